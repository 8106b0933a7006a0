//! Hops that were published twice, because an answer was lost or a crash came between.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::id::RecordId;
use crate::limits::HOPS_REMEMBERED_MAX;

/// The latest hops, so that one that was published twice is recognised.
#[derive(Debug, Default)]
pub(super) struct HopDedup {
    seen: BTreeMap<Hop, RecordId>,
    order: VecDeque<Hop>,
}

/// A call at one point of its way: id, hops, redrives.
pub(super) type Hop = (Rc<str>, u32, u32);

impl HopDedup {
    /// Returns whether another record than this one has brought the hop already.
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
