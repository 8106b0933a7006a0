//! How several callers share something that is limited: the more of it is taken, the less a caller
//! gets who already has much. So a caller that takes all it can leaves a part for the next one (as
//! when a switch shares its buffer by a dynamic threshold).

use std::collections::BTreeMap;

use crate::caller::CallerKey;

/// A caller may have so many times as much as is free. A single caller gets two thirds.
pub const SHARE_OF_FREE: usize = 2;

/// How much each caller has.
#[derive(Debug, Default)]
pub struct Shares {
    taken: BTreeMap<CallerKey, usize>,
    total: usize,
}

impl Shares {
    /// Returns how much all callers have together.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }

    /// Returns how much one caller has.
    #[must_use]
    pub fn of(&self, who: CallerKey) -> usize {
        self.taken.get(&who).copied().unwrap_or_default()
    }

    /// Counts what a caller takes.
    pub fn add(&mut self, who: CallerKey, amount: usize) {
        if amount > 0 {
            let taken = self.taken.entry(who).or_default();
            *taken = taken.saturating_add(amount);
            self.total = self.total.saturating_add(amount);
        }
    }

    /// Counts what a caller gives back.
    pub fn remove(&mut self, who: CallerKey, amount: usize) {
        if let Some(taken) = self.taken.get_mut(&who) {
            let given = amount.min(*taken);
            *taken = taken.saturating_sub(given);
            self.total = self.total.saturating_sub(given);
            if *taken == 0 {
                self.taken.remove(&who);
            }
        }
    }

    /// Returns whether a caller may take `amount` more of a total of `all`.
    #[must_use]
    pub fn may_take(&self, who: CallerKey, amount: usize, all: usize) -> bool {
        let free = all.saturating_sub(self.total);
        let then = self.of(who).saturating_add(amount);
        amount <= free && then <= free.saturating_mul(SHARE_OF_FREE)
    }

    /// Returns how much more a caller may take, one by one, of a total of `all`.
    #[must_use]
    pub fn room(&self, who: CallerKey, all: usize) -> usize {
        let free = all.saturating_sub(self.total);
        // Each one that the caller takes counts for it, and is no longer free.
        let left = free
            .saturating_mul(SHARE_OF_FREE)
            .saturating_sub(self.of(who));
        left.div_ceil(SHARE_OF_FREE.saturating_add(1)).min(free)
    }

    /// Returns whether a caller has more than its share, or all together have more than there is.
    #[must_use]
    pub fn is_too_much(&self, who: CallerKey, all: usize) -> bool {
        let free = all.saturating_sub(self.total);
        self.total > all || self.of(who) > free.saturating_mul(SHARE_OF_FREE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(number: u8) -> CallerKey {
        CallerKey::parse(&format!("{number:032x}")).unwrap()
    }

    #[test]
    fn whoever_takes_all_that_he_can_leaves_a_part_for_the_next_one() {
        let mut shares = Shares::default();
        let mut takes = |number| {
            let before = shares.total();
            let room = shares.room(who(number), 64);
            while shares.may_take(who(number), 1, 64) {
                shares.add(who(number), 1);
            }
            assert_eq!(shares.total() - before, room);
            room
        };
        let got: Vec<usize> = (1..=5).map(&mut takes).collect();
        assert_eq!(got, [43, 14, 5, 2, 0]);
        assert!(!shares.is_too_much(who(1), 200));
        assert!(shares.is_too_much(who(1), 64), "somebody came");
        shares.remove(who(1), 100);
        assert_eq!((shares.of(who(1)), shares.total()), (0, 21));
        shares.remove(who(9), 1);
        assert_eq!(shares.total(), 21, "a stranger has none");
    }

    #[test]
    fn a_single_one_always_fits() {
        let shares = Shares::default();
        assert!(shares.may_take(who(1), 1, 1));
        assert!(shares.may_take(who(1), 10, 10));
        assert!(!shares.may_take(who(1), 11, 10));
    }
}
