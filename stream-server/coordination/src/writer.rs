//! The records that a slot's owner writes: one write in flight, which gathers what waits, and one
//! answer for each request.
//!
//! A write whose outcome is unknown is not repeated. The next write has higher numbers, so when one
//! of its records is read, everything before it is decided: it stands before, or will never be
//! valid. What will never be valid is written again, with a new number.

use std::collections::{BTreeMap, VecDeque};

use crate::config::Times;
use crate::io::{Answer, WhyNotDone};
use crate::limits::{WAITING_REQUESTS_MAX, WRITE_BYTES_MAX, WRITE_RECORDS_MAX};
use crate::record::{Change, SlotBody, SlotRecord};
use crate::snapshot::SnapshotJob;
use crate::state::Effect;

/// Who wants a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A request, and when it is answered at the latest.
    Request {
        /// The caller's name for it.
        request: u64,
        /// In milliseconds of the steady clock.
        deadline_ms: u64,
    },
    /// The coordination itself.
    Own,
    /// A request that was answered already.
    Answered,
}

/// A change on its way into the log.
#[derive(Debug)]
struct Pending {
    origin: Origin,
    change: Change,
}

impl Pending {
    fn deadline_ms(&self) -> Option<u64> {
        match self.origin {
            Origin::Request { deadline_ms, .. } => Some(deadline_ms),
            Origin::Own | Origin::Answered => None,
        }
    }

    /// Returns the request if it has waited for too long.
    fn late(&self, now_ms: u64) -> Option<u64> {
        match self.origin {
            Origin::Request {
                request,
                deadline_ms,
            } => (deadline_ms <= now_ms).then_some(request),
            Origin::Own | Origin::Answered => None,
        }
    }
}

/// A record that was sent.
#[derive(Debug)]
struct Sent {
    at_ms: u64,
    /// `None` for records that are not changes.
    pending: Option<Pending>,
}

/// A record that is known to be valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decided {
    pub(crate) sent_ms: u64,
    /// Whether it is a change that the coordination itself wanted.
    pub(crate) is_own_change: bool,
}

/// A write without a result.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) ticket: u64,
    pub(crate) records: Vec<Vec<u8>>,
    at_ms: u64,
}

/// The writer of one ownership.
#[derive(Debug)]
pub(crate) struct Writer {
    epoch: u64,
    next_seq: u64,
    waiting: VecDeque<Pending>,
    /// What was sent and is not decided yet, by number.
    sent: BTreeMap<u64, Sent>,
    flight: Option<Flight>,
    snapshot: Option<SnapshotJob>,
    last_sent_ms: Option<u64>,
    retry_at_ms: u64,
    /// Whether something has to be written so that what was sent is decided.
    is_unknown: bool,
    /// Whether the last record was sent, as far as this is known.
    has_released: bool,
}

impl Writer {
    pub(crate) fn new(epoch: u64) -> Self {
        Self {
            epoch,
            next_seq: 1,
            waiting: VecDeque::new(),
            sent: BTreeMap::new(),
            flight: None,
            snapshot: None,
            last_sent_ms: None,
            retry_at_ms: 0,
            is_unknown: false,
            has_released: false,
        }
    }

    /// Takes a change.
    ///
    /// # Errors
    /// If too many wait.
    pub(crate) fn add(&mut self, origin: Origin, change: Change) -> Result<(), WhyNotDone> {
        if self.waiting.len() >= WAITING_REQUESTS_MAX {
            return Err(WhyNotDone::TooManyWaiting);
        }
        self.waiting.push_back(Pending { origin, change });
        Ok(())
    }

    /// Returns whether everything that was sent is decided.
    pub(crate) fn is_decided(&self) -> bool {
        self.sent.is_empty()
    }

    /// Returns whether a snapshot is being written.
    pub(crate) fn has_snapshot(&self) -> bool {
        self.snapshot.is_some()
    }

    /// Starts to write a snapshot. Everything that was sent must be decided.
    pub(crate) fn begin_snapshot(&mut self, job: SnapshotJob) {
        self.snapshot = Some(job);
    }

    /// Returns the records of the next write, if one is due. `is_last` releases the slot behind
    /// everything that waits.
    pub(crate) fn next_write(
        &mut self,
        ticket: u64,
        is_last: bool,
        now_ms: u64,
        times: &Times,
    ) -> Option<Vec<Vec<u8>>> {
        if self.flight.is_some() || now_ms < self.retry_at_ms {
            return None;
        }
        let is_urgent = is_last && !self.has_released;
        if !is_urgent && now_ms < self.due_ms(times) {
            return None;
        }
        let mut records = Vec::new();
        let mut bytes_left = WRITE_BYTES_MAX;
        self.write_snapshot(now_ms, &mut records, &mut bytes_left);
        self.write_waiting(now_ms, &mut records, &mut bytes_left);
        if is_last && self.waiting.is_empty() {
            self.snapshot = None;
            self.has_released = true;
            records.push(self.record(SlotBody::Release, None, now_ms));
        }
        if records.is_empty() {
            records.push(self.record(SlotBody::Renew, None, now_ms));
        }
        self.is_unknown = false;
        self.last_sent_ms = Some(now_ms);
        self.flight = Some(Flight {
            ticket,
            records: records.clone(),
            at_ms: now_ms,
        });
        Some(records)
    }

    /// Returns when the next write is due, if nothing is in flight.
    fn due_ms(&self, times: &Times) -> u64 {
        let has_work = !self.waiting.is_empty() || self.snapshot.is_some() || self.is_unknown;
        match self.last_sent_ms {
            Some(sent_ms) if !has_work => sent_ms.saturating_add(times.renew_ms),
            Some(_) | None => self.retry_at_ms,
        }
    }

    /// Writes the snapshot's first record before anything else, because it stands for the state
    /// before it; then one part, or the end.
    fn write_snapshot(&mut self, now_ms: u64, records: &mut Vec<Vec<u8>>, bytes_left: &mut usize) {
        let Some(mut job) = self.snapshot.take() else {
            return;
        };
        let seq = self.next_seq;
        for body in job.next(seq) {
            let bytes = self.record(body, None, now_ms);
            *bytes_left = bytes_left.saturating_sub(bytes.len());
            records.push(bytes);
        }
        self.snapshot = (!job.is_over()).then_some(job);
    }

    fn write_waiting(&mut self, now_ms: u64, records: &mut Vec<Vec<u8>>, bytes_left: &mut usize) {
        while records.len() < WRITE_RECORDS_MAX
            && let Some(pending) = self.waiting.pop_front()
        {
            let body = SlotBody::Change(pending.change.clone());
            let (epoch, seq) = (self.epoch, self.next_seq);
            let bytes = SlotRecord { epoch, seq, body }.bytes();
            let Some(left) = bytes_left.checked_sub(bytes.len()).or(match records.len() {
                0 => Some(0),
                _ => None,
            }) else {
                self.waiting.push_front(pending);
                return;
            };
            *bytes_left = left;
            self.note_sent(Some(pending), now_ms);
            records.push(bytes);
        }
    }

    fn record(&mut self, body: SlotBody, pending: Option<Pending>, now_ms: u64) -> Vec<u8> {
        let (epoch, seq) = (self.epoch, self.next_seq);
        self.note_sent(pending, now_ms);
        SlotRecord { epoch, seq, body }.bytes()
    }

    fn note_sent(&mut self, pending: Option<Pending>, at_ms: u64) {
        self.sent.insert(self.next_seq, Sent { at_ms, pending });
        self.next_seq = self.next_seq.saturating_add(1);
    }

    /// Ends the write with this ticket, if it has no result yet.
    pub(crate) fn end_write(&mut self, ticket: u64) -> Option<Flight> {
        self.flight.take_if(|flight| flight.ticket == ticket)
    }

    /// Notes that the outcome of the last write is unknown.
    pub(crate) fn note_unknown(&mut self, now_ms: u64, times: &Times) {
        self.is_unknown = true;
        self.has_released = false;
        self.retry_at_ms = now_ms.saturating_add(times.retry_ms);
    }

    /// Notes that the record with this number was read as valid, at this offset. Answers its
    /// request, and writes again what will never be valid. `None` if another writer sent it.
    pub(crate) fn decide(
        &mut self,
        seq: u64,
        effect: &Effect,
        offset: u64,
        mut answer: impl FnMut(u64, Answer),
    ) -> Option<Decided> {
        let later = self.sent.split_off(&seq.saturating_add(1));
        let mut decided = std::mem::replace(&mut self.sent, later);
        let valid = decided.remove(&seq)?;
        let origin = valid.pending.map(|pending| pending.origin);
        if let Some(Origin::Request { request, .. }) = origin {
            answer(request, answer_of(effect, offset));
        }
        let void = decided.into_values().rev().filter_map(|void| void.pending);
        for pending in void.filter(|pending| pending.origin != Origin::Answered) {
            self.waiting.push_front(pending);
        }
        Some(Decided {
            sent_ms: valid.at_ms,
            is_own_change: origin == Some(Origin::Own),
        })
    }

    /// Gives up what waits for too long: requests that were not sent are not done, of others it
    /// isn't known. A write without a result for too long counts as unknown.
    pub(crate) fn expire(
        &mut self,
        now_ms: u64,
        times: &Times,
        mut answer: impl FnMut(u64, Answer),
    ) {
        if self.next_deadline_ms() <= now_ms {
            self.waiting.retain(|pending| {
                let late = pending.late(now_ms);
                late.inspect(|late| answer(*late, Answer::NotDone(WhyNotDone::TimedOut)));
                late.is_none()
            });
            for pending in self
                .sent
                .values_mut()
                .filter_map(|sent| sent.pending.as_mut())
            {
                if let Some(late) = pending.late(now_ms) {
                    answer(late, Answer::Unknown);
                    pending.origin = Origin::Answered;
                }
            }
        }
        let is_hung = |flight: &mut Flight| now_ms >= flight.at_ms.saturating_add(times.write_ms);
        if self.flight.take_if(is_hung).is_some() {
            self.note_unknown(now_ms, times);
        }
    }

    /// Ends the writer. Requests that were not sent are not done; `sent_are` says what the others
    /// are.
    pub(crate) fn end(self, sent_are: &Answer, mut answer: impl FnMut(u64, Answer)) {
        for pending in self.waiting {
            if let Origin::Request { request, .. } = pending.origin {
                answer(request, Answer::NotDone(WhyNotDone::NotOwner));
            }
        }
        for pending in self.sent.into_values().filter_map(|sent| sent.pending) {
            if let Origin::Request { request, .. } = pending.origin {
                answer(request, sent_are.clone());
            }
        }
    }

    /// Returns when something is to be done without any input, in milliseconds.
    pub(crate) fn next_wakeup(&self, times: &Times) -> u64 {
        let write_ms = match &self.flight {
            Some(flight) => flight.at_ms.saturating_add(times.write_ms),
            None => self.due_ms(times).max(self.retry_at_ms),
        };
        self.next_deadline_ms().min(write_ms)
    }

    /// Returns the earliest deadline. What was sent before has an earlier one.
    fn next_deadline_ms(&self) -> u64 {
        let sent = self.sent.values().filter_map(|sent| sent.pending.as_ref());
        let sent = sent.filter_map(Pending::deadline_ms).next();
        let waiting = self.waiting.iter().filter_map(Pending::deadline_ms).next();
        sent.unwrap_or(u64::MAX).min(waiting.unwrap_or(u64::MAX))
    }
}

fn answer_of(effect: &Effect, offset: u64) -> Answer {
    let done = |key| Answer::Done { key, offset };
    match effect {
        Effect::Done => done(None),
        Effect::Group(key) | Effect::Stream(key) => done(Some(*key)),
        Effect::Refused(why) => Answer::Refused(why.clone()),
    }
}
