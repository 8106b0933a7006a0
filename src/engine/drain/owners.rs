//! Whose calls with order keys are away: one caller leaves room for those of others.

use std::collections::BTreeMap;

use super::parked::Key;
use crate::call::caller::CallerKey;
use crate::call::share::Shares;

/// Who has made the calls that are away, as far as this drain has sent them there.
#[derive(Debug, Default)]
pub(super) struct Owners {
    of: BTreeMap<(Key, u64), CallerKey>,
    shares: Shares,
}

impl Owners {
    /// How many calls of this caller are away.
    pub(super) fn count(&self, caller: CallerKey) -> usize {
        self.shares.of(caller)
    }

    /// A caller's call goes away.
    pub(super) fn add(&mut self, key: Key, number: u64, caller: CallerKey) {
        self.remove(key, number);
        self.of.insert((key, number), caller);
        self.shares.add(caller, 1);
    }

    /// A call is away no more.
    pub(super) fn remove(&mut self, key: Key, number: u64) {
        if let Some(caller) = self.of.remove(&(key, number)) {
            self.shares.remove(caller, 1);
        }
    }

    /// Forgets all calls but these.
    pub(super) fn retain(&mut self, is_away: impl Fn(Key, u64) -> bool) {
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
