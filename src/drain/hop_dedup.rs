//! Recognises hops that were published twice, because an answer was lost or because of a crash.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::id::RecordId;
use crate::limits::HOPS_REMEMBERED_MAX;

/// The latest hops. A hop that was published twice is recognised by them.
#[derive(Debug, Default)]
pub(super) struct HopDedup {
    seen: BTreeMap<Hop, RecordId>,
    order: VecDeque<Hop>,
}

/// A call at one point of its way: its id, hops and redrives.
pub(super) type Hop = (Rc<str>, u32, u32);

impl HopDedup {
    /// Returns whether a record other than this one has already brought the hop.
    pub(super) fn is_repeated(&mut self, hop: Hop, record: RecordId) -> bool {
        match self.seen.get(&hop) {
            Some(seen) => *seen != record,
            None => {
                if self.order.len() >= HOPS_REMEMBERED_MAX
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.seen.remove(&oldest);
                }
                self.order.push_back(hop.clone());
                self.seen.insert(hop, record);
                false
            }
        }
    }
}
