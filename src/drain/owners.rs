//! Who has made the calls with order keys that are away. One caller leaves room for those of
//! others.

use std::collections::{BTreeMap, BTreeSet};

use crate::caller::CallerKey;
use crate::caller::share::Shares;
use crate::record::note::KeyDigest;

/// The calls of one order key in one partition.
pub(super) type Key = (u32, KeyDigest);

/// The callers of calls that are away, as far as this drain has sent them away.
#[derive(Debug, Default)]
pub(super) struct Owners {
    of: BTreeMap<(Key, u64), CallerKey>,
    shares: Shares,
    /// Calls that went away only because their partition was not read to its end.
    unread: BTreeSet<(Key, u64)>,
}

impl Owners {
    /// Returns how many calls of this caller are away.
    pub(super) fn count(&self, caller: CallerKey) -> usize {
        self.shares.of(caller)
    }

    /// Returns how many calls are away only until their partitions are read to the end.
    pub(super) fn unread(&self) -> usize {
        self.unread.len()
    }

    /// These partitions were read to their ends.
    pub(super) fn were_read(&mut self, partitions: &BTreeSet<u32>) {
        self.unread
            .retain(|((partition, _), _)| !partitions.contains(partition));
    }

    /// A caller's call goes away. `is_unread` says whether only because its partition was not read
    /// to its end.
    pub(super) fn add(&mut self, key: Key, number: u64, caller: CallerKey, is_unread: bool) {
        self.remove(key, number);
        self.unread.extend(is_unread.then_some((key, number)));
        self.of.insert((key, number), caller);
        self.shares.add(caller, 1);
    }

    /// A call is no longer away.
    pub(super) fn remove(&mut self, key: Key, number: u64) {
        self.unread.remove(&(key, number));
        if let Some(caller) = self.of.remove(&(key, number)) {
            self.shares.remove(caller, 1);
        }
    }

    /// Forgets all calls but these.
    pub(super) fn retain(&mut self, is_away: impl Fn(Key, u64) -> bool) {
        self.unread.retain(|(key, number)| is_away(*key, *number));
        let shares = &mut self.shares;
        self.of.retain(|(key, number), caller| {
            let stays = is_away(*key, *number);
            if !stays {
                shares.remove(*caller, 1);
            }
            stays
        });
    }
}
