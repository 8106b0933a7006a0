//! Compares the window's indexes with the states of its records.

use std::collections::{BTreeMap, BTreeSet};

use crate::drain::lifecycle::count::HeldCount;
use crate::drain::lifecycle::state::State;
use crate::drain::lifecycle::tracked::TrackedRecord;
use crate::drain::lifecycle::window::Window;
use crate::id::{RecordId, StreamName};

/// Fails if two things differ that should be the same.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, kept: &T, rebuilt: &T) -> Result<(), String> {
    if kept == rebuilt {
        return Ok(());
    }
    Err(format!("{what}: kept are {kept:?}, rebuilt {rebuilt:?}"))
}

impl Window {
    /// Rebuilds every index from the states of the records, after an input, and compares.
    ///
    /// # Errors
    /// The first difference.
    pub(in crate::drain) fn check(&self) -> Result<(), String> {
        if let Some(violation) = &self.violation {
            return Err(format!("no such transition: {violation}"));
        }
        let undecided =
            |tracked: &TrackedRecord| matches!(tracked.state(), State::New | State::Picked);
        let undecided = self.tracked.iter().find(|(_, tracked)| undecided(tracked));
        if let Some((id, tracked)) = undecided {
            return Err(format!("{id:?} is {:?} after an input", tracked.state()));
        }
        self.check_counts()?;
        let in_state = |state: State| {
            let all = self.tracked.iter();
            let all = all.filter(move |(_, tracked)| tracked.state() == state);
            all.map(|(id, _)| *id).collect::<BTreeSet<_>>()
        };
        let in_flight = in_state(State::InFlight);
        same("in flight", &self.in_flight, &in_flight.len())?;
        same("started", &self.target_queues.started(), &in_flight)?;
        same(
            "target queues",
            &self.target_queues.standing(),
            &in_state(State::Ready),
        )?;
        let waits = self.tracked.iter().filter_map(|(id, tracked)| {
            let State::Waiting { until } = tracked.state() else {
                return None;
            };
            Some((until, *id))
        });
        same("waits", &self.waits, &waits.collect())?;
        self.target_queues.check()?;
        self.check_order()
    }

    fn check_counts(&self) -> Result<(), String> {
        let mut counts: BTreeMap<StreamName, HeldCount> = BTreeMap::new();
        let mut understood = 0_usize;
        for (id, tracked) in &self.tracked {
            if tracked.fetch.is_some() {
                counts.entry(id.source).or_default().add(tracked);
            }
            let is_kept = usize::from(tracked.call.is_some());
            understood = understood.saturating_add(tracked.record.len().saturating_mul(is_kept));
        }
        let sources: BTreeSet<StreamName> =
            self.counts.keys().chain(counts.keys()).copied().collect();
        for source in sources {
            let rebuilt = counts.get(&source).copied().unwrap_or_default();
            same("counts", &self.count(source), &rebuilt)?;
        }
        same("understood bytes", &self.understood_bytes, &understood)
    }

    /// Checks the order of calls with the same key: each call is once in the queue of its key, and
    /// only the first may be in its target's queue.
    fn check_order(&self) -> Result<(), String> {
        let mut placed: BTreeSet<RecordId> = BTreeSet::new();
        for (key, queue) in &self.order {
            if queue.is_empty() {
                return Err(format!("nobody stands in the order of {key:?}"));
            }
            for (place, id) in queue.iter().enumerate() {
                let tracked = self.tracked.get(id);
                let plan =
                    tracked.and_then(|tracked| Some((tracked.state(), tracked.plan.as_ref()?)));
                let Some((state, plan)) = plan else {
                    return Err(format!(
                        "{id:?} stands in an order, and isn't held as a call"
                    ));
                };
                if plan.order_key.as_ref() != Some(key) || !placed.insert(*id) {
                    return Err(format!(
                        "{id:?} stands twice, or under the key of another one"
                    ));
                }
                let may_stand = match state {
                    State::Ready => place == 0,
                    State::Behind
                    | State::InFlight
                    | State::Waiting { .. }
                    | State::Leaving { .. } => true,
                    State::New
                    | State::Picked
                    | State::Note
                    | State::Suspended { .. }
                    | State::Settled { .. } => false,
                };
                if !may_stand {
                    return Err(format!("{id:?} stands at {place} in its order: {state:?}"));
                }
            }
        }
        for (id, tracked) in &self.tracked {
            let is_ordered = tracked.plan.as_ref().is_some_and(|p| p.order_key.is_some());
            let has_place = match tracked.state() {
                State::Behind => true,
                State::Ready | State::InFlight => is_ordered,
                State::Waiting { .. } => is_ordered && id.source == StreamName::Calls,
                State::New
                | State::Picked
                | State::Note
                | State::Suspended { .. }
                | State::Leaving { .. }
                | State::Settled { .. } => false,
            };
            if has_place && !placed.contains(id) {
                return Err(format!(
                    "{id:?} has no place in its order: {:?}",
                    tracked.state()
                ));
            }
            if tracked.state() == State::Behind && !self.is_any_behind {
                return Err(format!("{id:?} is behind, and nobody looks after it"));
            }
        }
        Ok(())
    }
}
