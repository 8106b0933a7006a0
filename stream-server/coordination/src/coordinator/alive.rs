//! This front's signs of life, and how far it has read the others'.

use crate::config::{Config, Times};
use crate::io::{LogId, Output};
use crate::outbox::Outbox;
use crate::record::MemberRecord;

/// What this front does with `members`.
#[derive(Debug, Default)]
pub(super) struct Alive {
    is_opening: bool,
    /// The next offset to read; `None` before the log was opened.
    next: Option<u64>,
    /// The sign of life without a result: its ticket, and when it was sent.
    flight: Option<(u64, u64)>,
    last_sent_ms: Option<u64>,
    leaving: Leaving,
}

/// Whether the others know that this front is about to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Leaving {
    #[default]
    NotSent,
    Sent(u64),
    Told,
}

impl Alive {
    pub(super) fn open(&mut self, out: &mut Outbox) {
        if !self.is_opening {
            self.is_opening = true;
            let log = LogId::Members;
            out.push(Output::Open { log });
        }
    }

    /// Reads on, or from the end: only signs of life from now on count.
    pub(super) fn opened(&mut self, end: u64, out: &mut Outbox) {
        self.is_opening = false;
        self.next = Some(end);
        let (log, from) = (LogId::Members, end);
        out.push(Output::Read { log, from });
    }

    /// Returns the records that weren't read before.
    pub(super) fn fetched<'a>(
        &mut self,
        from: u64,
        records: &'a [(u64, Vec<u8>)],
        next: u64,
    ) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let expected = self
            .next
            .filter(|expected| from <= *expected && !self.is_opening);
        if let Some(expected) = expected {
            self.next = Some(expected.max(next));
        }
        let is_new = move |(offset, _): &&(u64, Vec<u8>)| {
            expected.is_some_and(|expected| *offset >= expected)
        };
        records
            .iter()
            .filter(is_new)
            .map(|(_, bytes)| bytes.as_slice())
    }

    pub(super) fn appended(&mut self, ticket: u64) {
        self.flight.take_if(|(sent, _)| *sent == ticket);
        if self.leaving == Leaving::Sent(ticket) {
            self.leaving = Leaving::Told;
        }
    }

    pub(super) fn pump(
        &mut self,
        config: &Config,
        is_leaving: bool,
        now_ms: u64,
        out: &mut Outbox,
    ) {
        let (front, url) = (config.front.clone(), config.url.clone());
        if is_leaving {
            if self.leaving == Leaving::NotSent {
                self.leaving = Leaving::Sent(out.peek_ticket());
                let record = MemberRecord::Leaving { front }.bytes();
                out.append(LogId::Members, vec![record]);
            }
            return;
        }
        let write_ms = config.times.write_ms;
        self.flight
            .take_if(|(_, sent_ms)| now_ms >= sent_ms.saturating_add(write_ms));
        let is_due = self.next_wakeup(&config.times) <= now_ms;
        // Nobody can hear this front before it listens itself.
        if is_due && self.flight.is_none() && self.next.is_some() {
            self.flight = Some((out.peek_ticket(), now_ms));
            self.last_sent_ms = Some(now_ms);
            let record = MemberRecord::Alive { front, url }.bytes();
            out.append(LogId::Members, vec![record]);
        }
    }

    /// Returns whether the others know that this front ends, or could not be told.
    pub(super) fn is_left(&self) -> bool {
        self.leaving == Leaving::Told
    }

    pub(super) fn next_wakeup(&self, times: &Times) -> u64 {
        if self.next.is_none() {
            return u64::MAX;
        }
        match (self.leaving, self.flight, self.last_sent_ms) {
            (Leaving::Sent(_) | Leaving::Told, ..) => u64::MAX,
            (_, Some((_, sent_ms)), _) => sent_ms.saturating_add(times.write_ms),
            (_, None, Some(sent_ms)) => sent_ms.saturating_add(times.alive_ms),
            (_, None, None) => 0,
        }
    }
}
