//! Recognises two records of one call on the Stream. They are there because an answer was lost, or
//! because a drain ended after it had stored a hop and before it committed the old record.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::id::RecordId;
use crate::limits::HOPS_REMEMBERED_MAX;

/// One call: its id, when it was accepted, and how often it was redriven. Publishers may use an id
/// twice; records with the same id and another time are other calls.
pub(super) type CallIdentity = (Rc<str>, Rc<str>, u32);

/// The latest hops and the latest ends of calls. A second record of a call is recognised by them.
#[derive(Debug, Default)]
pub(super) struct HopDedup {
    /// Which record has brought a call at one point of its way, that is with so many hops.
    hops: Latest<(CallIdentity, u32), RecordId>,
    /// With how many hops a call has ended, and in which record.
    ended: Latest<CallIdentity, (u32, RecordId)>,
}

impl HopDedup {
    /// Returns whether a record other than this one has already brought the hop.
    pub(super) fn is_repeated(&mut self, call: CallIdentity, hops: u32, record: RecordId) -> bool {
        let seen = self.hops.get_or_insert((call, hops), record);
        seen != record
    }

    /// Remembers that a call has ended: its target has taken it, or its dead letter is stored.
    pub(super) fn ends(&mut self, call: CallIdentity, hops: u32, record: RecordId) {
        self.ended.get_or_insert(call, (hops, record));
    }

    /// Returns whether the call has ended in a record other than this one. Two records without hops
    /// are two calls: publishers have written both.
    pub(super) fn has_ended(&self, call: &CallIdentity, hops: u32, record: RecordId) -> bool {
        self.ended
            .get(call)
            .is_some_and(|(of, by)| *by != record && (*of > 0 || hops > 0))
    }
}

/// The latest [`HOPS_REMEMBERED_MAX`] entries of a map.
#[derive(Debug)]
struct Latest<K, V> {
    entries: BTreeMap<K, V>,
    oldest_first: VecDeque<K>,
}

impl<K, V> Default for Latest<K, V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            oldest_first: VecDeque::new(),
        }
    }
}

impl<K: Ord + Clone, V: Copy> Latest<K, V> {
    fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    /// Returns the value that is known, or inserts this one and returns it.
    fn get_or_insert(&mut self, key: K, value: V) -> V {
        if let Some(known) = self.entries.get(&key) {
            return *known;
        }
        if self.oldest_first.len() >= HOPS_REMEMBERED_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.entries.remove(&oldest);
        }
        self.oldest_first.push_back(key.clone());
        self.entries.insert(key, value);
        value
    }
}
