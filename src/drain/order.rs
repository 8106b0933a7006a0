//! Calls with an order key that can't be made now leave the window, and come back in order (G6).
//!
//! A call that is not due, or rests before its next attempt, waits on a lane as any other. Those
//! behind it follow it there. What is away is known by number, so that no later call is made before
//! it; and a note on the stream of calls tells it to whoever reads the partition next
//! ([`crate::record::note`]).

use std::time::Duration;

use crate::drain::DrainEngine;
use crate::drain::backpressure::{is_room_to_fetch, orphaned_max};
use crate::drain::lifecycle::state::{State, Transition};
use crate::drain::notes::NoteStep;
use crate::drain::outbox::{Content, Publication};
use crate::drain::owners::Key;
use crate::drain::returning::Return;
use crate::id::{RecordId, StreamName};
use crate::lanes::Wait;
use crate::record::note::Note;
use crate::stream::consume::Message;
use crate::time::{Now, Steady};

/// A call has expired when its time is over: clocks show whole milliseconds.
const A_MOMENT: Duration = Duration::from_millis(1);

/// A call that should be back is waited for in memory so long.
const BACK_SOON: Duration = Duration::from_secs(2);

/// A call that waits for one that is late looks after it this often at least.
const LATE_PAUSE_MAX: Duration = Duration::from_secs(10);

/// A call behind another one stays in the window for so long, because it holds back commits.
const BEHIND_MAX: Duration = Duration::from_secs(5);

/// How often calls that have waited for too long are looked for.
const LOOK_PAUSE: Duration = Duration::from_millis(200);

/// A partition whose end was not reached for so long is asked for it.
const PROBE_AFTER: Duration = Duration::from_secs(1);

/// Of a window that is full, each key keeps this part.
const KEY_SHARE: usize = 64;

/// An answer of the Stream with fewer bytes and fewer records than were asked for has reached the
/// end: an answer takes a mebibyte.
const SHORT_ANSWER_BYTES: usize = 524_288;

impl DrainEngine {
    /// What a fetch of the stream of calls has brought, before it is taken in. Returns whether it
    /// has reached the end.
    pub(super) fn read_in_order(&mut self, messages: &[Message], limit: usize) -> bool {
        self.parked
            .read(messages.iter().map(|message| message.position));
        let bytes: usize = messages.iter().map(|message| message.value.len()).sum();
        messages.len() < limit && bytes < SHORT_ANSWER_BYTES
    }

    /// All that the stream of calls holds was read: what is away is known.
    pub(super) fn reached_the_end(&mut self) {
        if self.parked.completed() {
            self.wake_first();
        }
    }

    fn wake_first(&mut self) {
        let first = self.window.order().filter_map(|queue| queue.front());
        self.parked.wakes.extend(first);
    }

    /// The order key of a call and its place in the order.
    pub(super) fn place(&self, id: RecordId) -> Option<(Key, u64)> {
        let tracked = self.window.get(id)?;
        let key = (id.position.partition, tracked.order_digest()?);
        Some((key, tracked.number(id)))
    }

    /// A call was read that has perhaps come back from a lane.
    pub(super) fn note_return(&mut self, id: RecordId) {
        self.parked.something_else();
        let order = self
            .window
            .get(id)
            .and_then(|tracked| tracked.progress.order);
        if let Some(order) = order
            && let Some(((_, key), _)) = self.place(id)
        {
            let key = (order.partition, key);
            if self.parked.is_told_behind(key, order.offset) {
                self.hold_for_a_note(id, order.partition);
            }
            self.parked.came_back(key, order.offset);
        }
    }

    /// A note that says that this call is away is behind the call's record. Whoever reads on
    /// between them would wait for the call. So the record is not committed before the next note.
    fn hold_for_a_note(&mut self, id: RecordId, partition: u32) {
        if let Some(fetch) = self.window.fetch(id)
            && let Some(session) = self.sessions.get_mut(&id.source)
        {
            session.commits.hold(fetch);
            self.parked.contradict(partition, fetch);
        }
    }

    /// A record was read again that was read before the session was lost.
    pub(super) fn read_again_in_order(&mut self, id: RecordId) {
        if id.source == StreamName::Calls
            && let Some((key, number)) = self.place(id)
        {
            self.parked.read_again(key, number);
        }
    }

    /// A call is the first one of its key in memory. Returns whether it has to wait all the same,
    /// because an earlier one is away, and lets it wait.
    pub(super) fn is_kept_back(&mut self, id: RecordId, now: Now) -> bool {
        let partition = id.position.partition;
        // Without lanes nothing is away.
        let has_lanes = self.config.lanes.shortest().is_some();
        let waits = has_lanes && self.parked.is_to_be_read(partition);
        if !waits && self.parked.is_empty() {
            return false;
        }
        let Some((key, number)) = self.place(id) else {
            return false;
        };
        if waits {
            let stay = Transition::StayBehind { look: None };
            self.window.apply(id, stay, now.steady);
            return true;
        }
        let Some(back_at) = self.parked.absent.first_before(key, number) else {
            return false;
        };
        let (left, late) = (back_at.left(now), back_at.late(now));
        let shortest = self.config.lanes.shortest();
        let leaves = shortest.is_some_and(|shortest| left >= shortest) || late > BACK_SOON;
        let leaves = leaves && self.parked.absent.unsure_since(partition).is_none();
        if !leaves || !self.follows(id, left.max(late.min(LATE_PAUSE_MAX)), now) {
            let look = now.steady.plus(left).plus(BACK_SOON);
            let stay = Transition::StayBehind { look: Some(look) };
            self.window.apply(id, stay, now.steady);
        }
        true
    }

    /// A call goes onto a lane because earlier ones of its key are to be made first. False where it
    /// can't.
    fn follows(&mut self, id: RecordId, pause: Duration, now: Now) -> bool {
        let Some(shortest) = self.config.lanes.shortest() else {
            return false;
        };
        let Some(plan) = self.plan(id) else {
            return false;
        };
        // Not beyond its own time: then it has expired, whoever it waits for.
        let left = plan
            .limits
            .expires_at
            .since(now.wall)
            .saturating_add(A_MOMENT);
        let own = plan.not_before.since(now.wall);
        let pause = pause.min(left).max(shortest).max(own);
        match self.config.lanes.wait(pause) {
            Wait::On(lane) => self.hop(id, StreamName::Lane(lane), pause, now),
            Wait::Over | Wait::InMemory(_) => false,
        }
    }

    /// Returns whether so many calls of this key are away already that no other one may leave.
    pub(super) fn is_too_many(&self, id: RecordId) -> bool {
        let caller = self.plan(id).map(|plan| plan.caller).unwrap_or_default();
        let Some((key, number)) = self.place(id) else {
            return false;
        };
        // What waits only for its partition to be read has room of its own.
        !self.parked.is_unread(key, number) && !self.parked.has_room(key, caller)
    }

    /// A call with an order key leaves for a lane: it is settled when its hop is stored, and a note
    /// that tells of it.
    pub(super) fn leaves_in_order(&mut self, id: RecordId, back_at: Return, now: Now) {
        let Some(place) = self.place(id) else {
            return;
        };
        if let Some(plan) = self
            .window
            .get(id)
            .and_then(|tracked| tracked.plan.as_ref())
        {
            self.parked.leaves(id, place, plan, back_at, now.steady);
        }
        let next = self.window.apply(id, Transition::Depart, now.steady);
        self.parked.wakes.extend(next);
    }

    /// Looks at calls whose turn may have come.
    pub(super) fn wake_in_order(&mut self, now: Now) {
        while let Some(id) = self.parked.wakes.pop_front() {
            let tracked = self.window.get(id);
            if tracked
                .is_some_and(|tracked| tracked.state() == State::Behind && tracked.plan.is_some())
            {
                self.schedule(id, now);
            }
        }
    }

    /// Calls that wait behind others of their key leave the window, if they have waited for long,
    /// or if the window is full and their key has more than its share of it.
    pub(super) fn park(&mut self, now: Now) {
        if !self.window.is_any_behind() || now.steady < self.parked.next_look {
            return;
        }
        self.parked.next_look = now.steady.plus(LOOK_PAUSE);
        self.window.look_behind();
        let Some(shortest) = self.config.lanes.shortest() else {
            return;
        };
        let is_crowded = !is_room_to_fetch(&self.config, &self.window, StreamName::Calls);
        self.probe(is_crowded, now);
        let calls_max = (self.config.window.calls_max / KEY_SHARE).max(1);
        let bytes_max = self.config.window.bytes_max / KEY_SHARE;
        let mut leaving = Vec::new();
        for queue in self.window.order() {
            let (mut calls, mut bytes, mut leaves) = (0, 0, false);
            for (index, id) in queue.iter().enumerate() {
                let Some(tracked) = self.window.get(*id) else {
                    continue;
                };
                let is_behind = tracked.state() == State::Behind;
                let is_old = tracked.since.plus(BEHIND_MAX) <= now.steady;
                let is_excess = index == 0 || calls >= calls_max || bytes >= bytes_max;
                // Whoever leaves takes all along that are behind it.
                leaves |= is_behind && (is_old || is_crowded && is_excess);
                if leaves && is_behind {
                    leaving.push(*id);
                } else {
                    calls = calls.saturating_add(1);
                    bytes = bytes.saturating_add(tracked.bytes());
                }
            }
        }
        for id in leaving {
            if !self.parked.is_complete(id.position.partition)
                && !self.parked.is_to_be_read(id.position.partition)
            {
                self.parked.wakes.push_back(id);
            } else {
                self.follows(id, shortest, now);
            }
        }
    }

    /// Asks, for calls that have waited for long, how far their partitions were read.
    fn probe(&mut self, is_crowded: bool, now: Now) {
        for queue in self.window.order() {
            let first = queue
                .front()
                .and_then(|id| Some((*id, self.window.get(*id)?)));
            if let Some((id, tracked)) = first
                && tracked.state() == State::Behind
                && (is_crowded || tracked.since.plus(PROBE_AFTER) <= now.steady)
                && !self.parked.is_complete(id.position.partition)
                && let Some(route) = tracked
                    .plan
                    .as_ref()
                    .and_then(|plan| plan.order_key.as_ref())
            {
                self.parked.probe(id.position.partition, route, now.steady);
            }
        }
    }

    /// Returns when calls in order need something next, if nothing happens before.
    pub(super) fn order_wakeup(&self) -> Option<Steady> {
        let look = self.window.is_any_behind().then_some(self.parked.next_look);
        let is_crowded = !is_room_to_fetch(&self.config, &self.window, StreamName::Calls);
        self.parked.wakeup(is_crowded).into_iter().chain(look).min()
    }

    /// A note was read, for the first time or again.
    pub(super) fn note_read(&mut self, id: RecordId, note: &Note, now: Now) {
        self.window.apply(id, Transition::Keep, now.steady);
        if note.partition != id.position.partition || id.source != StreamName::Calls {
            return self.settle(id, now);
        }
        let was_complete = self.parked.is_complete(note.partition);
        if !self.parked.note_read(id, note, now) {
            self.settle(id, now);
        }
        let is_complete = !was_complete && self.parked.is_complete(note.partition);
        if self.parked.take_clearer() || is_complete {
            self.wake_first();
        }
    }

    /// Writes the notes that are due, and settles those that nobody needs any more.
    pub(super) fn advance_notes(&mut self, now: Now) {
        self.parked.forget_overdue(now);
        let is_crowded = !is_room_to_fetch(&self.config, &self.window, StreamName::Calls);
        while let Some(step) = self.parked.next_step(is_crowded, now) {
            match step {
                NoteStep::Settle(notes) => {
                    for id in notes {
                        self.settle(id, now);
                    }
                }
                NoteStep::Write(note) => self.write_note(&note),
            }
        }
    }

    fn write_note(&mut self, note: &Note) {
        let message = note.encode().unwrap_or_default();
        self.parked.note_written(note.partition, message.len());
        let publication = Publication {
            record: RecordId::of_notes(note.partition),
            message,
            key: Some(note.route.clone()),
            content: Content::Note,
            metric: None,
        };
        self.outbox.add(StreamName::Calls, publication);
    }

    /// A note is stored: the calls that it tells of may be settled, and the notes before it.
    pub(super) fn note_stored(&mut self, partition: u32, now: Now) {
        let waited = self.parked.note_stored(partition);
        for id in waited.covered {
            self.message_stored(id, now);
        }
        for id in waited.replaced {
            self.settle(id, now);
        }
        if let Some(session) = self.sessions.get_mut(&StreamName::Calls) {
            for fetch in waited.released {
                session.commits.settle(fetch);
            }
        }
    }

    /// A note is refused for good: what waits for it waits no longer, and the next one says it all.
    pub(super) fn note_refused(&mut self, partition: u32, now: Now) {
        self.note_stored(partition, now);
        self.parked.want_another(partition);
    }

    /// A session is lost.
    pub(super) fn lose_session(&mut self, source: StreamName, now: Steady) {
        if source == StreamName::Calls {
            self.parked.session_lost();
        }
        let orphaned_max = orphaned_max(&self.config, source);
        let forgotten = self.window.detach(source, orphaned_max, now);
        self.count_forgotten(forgotten);
    }
}
