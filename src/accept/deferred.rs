//! What each caller has outstanding: calls that were accepted and aren't due yet.
//!
//! It is an estimate of one worker. The worker knows which calls it has accepted since its start
//! and when they are due. It doesn't know about other workers, other gateways, retries, or
//! cancelled calls.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::accept::{AcceptEngine, Refusal};
use crate::caller::CallerKey;
use crate::id::RequestId;
use crate::limits::DEFERRED_MOMENTS_MAX;
use crate::time::Wall;

/// A call may be counted longer than it waits, by at most this part of its wait. So the calls of a
/// whole year take a few hundred entries at most, however many calls there are.
const PARTS: u64 = 16;

/// Moments are at least whole seconds.
const SECOND_MS: u64 = 1_000;

/// Until when calls are counted, in milliseconds. Calls that are due at about the same time share
/// one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

impl Moment {
    fn of(due: Wall, now: Wall) -> Self {
        let wait = due.0.saturating_sub(now.0);
        let step = (wait / PARTS).checked_ilog2().map_or(1, |log| 1_u64 << log);
        let step = step.max(SECOND_MS);
        Self(due.0.div_ceil(step).saturating_mul(step))
    }
}

/// The deferred calls of all callers.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    callers: BTreeMap<CallerKey, Outstanding>,
    moments: usize,
}

#[derive(Debug, Default)]
struct Outstanding {
    until: BTreeMap<Moment, usize>,
    calls: usize,
}

impl Outstanding {
    /// Forgets moments that have passed, and returns how many there were.
    fn forget_due(&mut self, now: Wall) -> usize {
        let mut forgotten = 0;
        while let Some(first) = self
            .until
            .first_entry()
            .filter(|first| first.key().0 <= now.0)
        {
            self.calls = self.calls.saturating_sub(first.remove());
            forgotten += 1;
        }
        forgotten
    }
}

impl Deferred {
    /// Returns how many calls a caller has that aren't due yet, and when the first of them is.
    fn outstanding(&mut self, caller: CallerKey, now: Wall) -> (usize, Wall) {
        let Some(own) = self.callers.get_mut(&caller) else {
            return (0, now);
        };
        self.moments = self.moments.saturating_sub(own.forget_due(now));
        let first = own.until.first_key_value();
        let first = first.map_or(now, |(moment, _)| Wall(moment.0));
        let calls = own.calls;
        if calls == 0 {
            self.callers.remove(&caller);
        }
        (calls, first)
    }

    /// Counts a call, and returns the moment at which it is counted.
    fn add(&mut self, caller: CallerKey, due: Wall, now: Wall) -> Moment {
        if self.moments >= DEFERRED_MOMENTS_MAX {
            self.make_room(now);
        }
        let moment = Moment::of(due, now);
        let own = self.callers.entry(caller).or_default();
        let calls = own.until.entry(moment).or_default();
        self.moments = self.moments.saturating_add(usize::from(*calls == 0));
        *calls = calls.saturating_add(1);
        own.calls = own.calls.saturating_add(1);
        moment
    }

    /// Stops counting a call that will not be made.
    fn remove(&mut self, caller: CallerKey, moment: Moment) {
        let Some(own) = self.callers.get_mut(&caller) else {
            return;
        };
        if let Some(calls) = own.until.get_mut(&moment) {
            *calls = calls.saturating_sub(1);
            own.calls = own.calls.saturating_sub(1);
            if *calls == 0 {
                own.until.remove(&moment);
                self.moments = self.moments.saturating_sub(1);
            }
        }
        if own.calls == 0 {
            self.callers.remove(&caller);
        }
    }

    /// Makes room: first forgets what is due, then the eighth of all callers who have least
    /// outstanding. These callers are farthest from their limit.
    fn make_room(&mut self, now: Wall) {
        for own in self.callers.values_mut() {
            self.moments = self.moments.saturating_sub(own.forget_due(now));
        }
        self.callers.retain(|_, own| own.calls > 0);
        let mut by_calls: Vec<_> = self
            .callers
            .iter()
            .map(|(who, own)| (own.calls, *who))
            .collect();
        by_calls.sort_unstable();
        let enough = DEFERRED_MOMENTS_MAX.saturating_sub(DEFERRED_MOMENTS_MAX / 8);
        for (_, who) in by_calls {
            if self.moments <= enough {
                return;
            }
            let gone = self.callers.remove(&who).map_or(0, |own| own.until.len());
            self.moments = self.moments.saturating_sub(gone);
        }
    }
}

impl AcceptEngine {
    /// Counts a call that is due later, if its caller may have another one.
    pub(super) fn defer(
        &mut self,
        caller: CallerKey,
        due: Option<Wall>,
    ) -> Result<Option<Moment>, Refusal> {
        let now = self.now.wall;
        let Some(due) = due.filter(|due| *due > now) else {
            return Ok(None);
        };
        let limit = self.config.callers.deferred_max;
        let (calls, first) = self.deferred.outstanding(caller, now);
        if calls >= limit {
            let soonest = first.since(now).saturating_add(Duration::from_millis(999));
            return Err(Refusal::TooManyDeferred { limit, soonest });
        }
        Ok(Some(self.deferred.add(caller, due, now)))
    }

    /// Stops counting a request that does not become a call of its own.
    pub(super) fn give_back_deferred(&mut self, request: RequestId) {
        if let Some((caller, moment)) = self.requests.take_deferred(request) {
            self.deferred.remove(caller, moment);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(number: usize) -> CallerKey {
        CallerKey::parse(&format!("{number:032x}")).unwrap()
    }

    #[test]
    fn a_call_counts_until_it_is_due_and_not_much_longer() {
        for wait in [1, 999, 1_000, 61_000, 3_600_000, 86_400_000, 31_622_400_000] {
            let (now, due) = (Wall(1_795_408_560_123), Wall(1_795_408_560_123 + wait));
            let mut deferred = Deferred::default();
            deferred.add(who(1), due, now);
            assert_eq!(deferred.outstanding(who(1), now).0, 1);
            assert_eq!(deferred.outstanding(who(1), Wall(due.0 - 1)).0, 1, "{wait}");
            let over = Wall(due.0 + (wait / PARTS).max(SECOND_MS));
            assert_eq!(deferred.outstanding(who(1), over).0, 0, "{wait}");
            assert_eq!((deferred.moments, deferred.callers.len()), (0, 0));
        }
    }

    #[test]
    fn what_comes_to_nothing_is_given_back() {
        let mut deferred = Deferred::default();
        let moments: Vec<Moment> = (0..5)
            .map(|_| deferred.add(who(1), Wall(100_000), Wall(0)))
            .collect();
        assert_eq!(deferred.moments, 1, "they are due at the same time");
        for (left, moment) in (0..5).rev().zip(moments) {
            deferred.remove(who(1), moment);
            assert_eq!(deferred.outstanding(who(1), Wall(0)).0, left);
        }
        assert_eq!((deferred.moments, deferred.callers.len()), (0, 0));
    }

    #[test]
    fn a_crowd_is_bounded_and_hides_nobody_who_has_much() {
        let mut deferred = Deferred::default();
        for _ in 0..50 {
            deferred.add(who(1), Wall(10_000_000), Wall(0));
        }
        for number in 2..2 * DEFERRED_MOMENTS_MAX {
            deferred.add(who(number), Wall(10_000_000), Wall(0));
            assert!(deferred.moments <= DEFERRED_MOMENTS_MAX);
        }
        assert_eq!(deferred.outstanding(who(1), Wall(0)).0, 50);
    }

    #[test]
    fn a_year_takes_a_few_hundred_entries() {
        let mut deferred = Deferred::default();
        for second in 0..1_000_000_u64 {
            deferred.add(who(1), Wall(second * 31_622 + 1), Wall(0));
        }
        assert!(deferred.moments < 600, "{}", deferred.moments);
    }
}
