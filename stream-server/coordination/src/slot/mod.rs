//! One slot as one front sees it: it follows the slot's log, claims the slot, owns it under a
//! lease, and gives it up.

mod claim;
mod requests;

use claim::Claim;

use crate::config::Config;
use crate::fold::{Folded, SlotFold, Step};
use crate::io::{Answer, AppendResult, LogId, Output, WhyNotDone};
use crate::members::Members;
use crate::outbox::Outbox;
use crate::placement::ranked;
use crate::record::FrontId;
use crate::snapshot::SnapshotJob;
use crate::writer::Writer;

/// How much later each slot is given to its first candidate than the slot before, in milliseconds.
const HAND_OVER_STEP_MS: u64 = 500;

/// What a slot needs to know besides itself.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) config: &'a Config,
    pub(crate) members: &'a Members,
    /// Whether the process is about to end.
    pub(crate) is_leaving: bool,
    pub(crate) now_ms: u64,
}

/// One slot.
#[derive(Debug)]
pub(crate) struct Slot {
    number: u32,
    /// `None` until the log's bounds are known.
    fold: Option<SlotFold>,
    /// While the log's bounds are being asked for: what was folded up to when the question was
    /// asked. This front's own writes may be folded meanwhile, so that its end is out of date.
    opening_from: Option<u64>,
    ownership: Option<Ownership>,
    claim: Claim,
    /// When the last valid record was read, by this front's steady clock.
    heard_ms: u64,
    /// The same in the time that [`Members`] counts.
    heard_counted_ms: u64,
    /// Another front's lease may last until then, whatever this front owns: what is left of the
    /// wait of an ownership that it has lost.
    not_before_ms: u64,
}

/// The slot is this front's own.
#[derive(Debug)]
struct Ownership {
    epoch: u64,
    writer: Writer,
    /// Reads are served from then on: no lease of the owner before can last longer.
    serve_from_ms: u64,
    /// When the last record that is known to be valid was sent.
    renewed_ms: Option<u64>,
    /// Whether the slot is being given up: it takes no requests and serves no reads.
    is_ending: bool,
    /// Since when another front is the slot's first candidate.
    second_since_ms: Option<u64>,
    /// Whether groups of deleted streams may be left.
    may_have_orphans: bool,
}

impl Slot {
    pub(crate) fn new(number: u32) -> Self {
        Self {
            number,
            fold: None,
            opening_from: None,
            ownership: None,
            claim: Claim::default(),
            heard_ms: 0,
            heard_counted_ms: 0,
            not_before_ms: 0,
        }
    }

    pub(crate) fn folded(&self) -> Option<&Folded> {
        self.fold.as_ref()?.known()
    }

    pub(crate) fn next(&self) -> u64 {
        self.fold.as_ref().map_or(0, SlotFold::next)
    }

    pub(crate) fn foreign(&self) -> u64 {
        self.fold.as_ref().map_or(0, SlotFold::foreign)
    }

    fn log(&self) -> LogId {
        LogId::Slot(self.number)
    }

    /// Returns the epoch in which this front owns the slot.
    pub(crate) fn own_epoch(&self) -> Option<u64> {
        self.ownership.as_ref().map(|own| own.epoch)
    }

    /// Returns whether requests are taken here.
    pub(crate) fn takes_requests(&self) -> bool {
        self.ownership.as_ref().is_some_and(|own| !own.is_ending)
    }

    /// Returns whether nothing of this front's is left in the slot.
    pub(crate) fn is_left(&self) -> bool {
        self.ownership.is_none() && !self.claim.is_flying()
    }

    /// Returns whether groups may be read here now.
    pub(crate) fn may_serve(&self, epoch: u64, now_ms: u64, lease_ms: u64) -> bool {
        self.ownership.as_ref().is_some_and(|own| {
            let lasts = |sent_ms: u64| now_ms < sent_ms.saturating_add(lease_ms);
            own.epoch == epoch
                && !own.is_ending
                && now_ms >= own.serve_from_ms
                && own.renewed_ms.is_some_and(lasts)
        })
    }

    pub(crate) fn open(&mut self, out: &mut Outbox) {
        if self.opening_from.is_none() {
            self.opening_from = Some(self.next());
            out.push(Output::Open { log: self.log() });
        }
    }

    /// Goes on with what is folded if the log still has the rest; otherwise starts anew.
    pub(crate) fn opened(&mut self, oldest: u64, end: u64, around: Around<'_>, out: &mut Outbox) {
        let Some(from) = self.opening_from.take() else {
            return;
        };
        let goes_on =
            |fold: &SlotFold| fold.known().is_some() && oldest <= fold.next() && from <= end;
        if !self.fold.as_ref().is_some_and(goes_on) {
            // What this front has sent may stand in the part that it can't read any more.
            self.lose(&Answer::Unknown, out);
            self.fold = Some(SlotFold::start(self.number, oldest, end));
            self.note_known(false, around, out);
        }
        let (log, from) = (self.log(), self.next());
        out.push(Output::Read { log, from });
    }

    /// Applies records that were read.
    pub(crate) fn fetched(
        &mut self,
        from: u64,
        records: &[(u64, Vec<u8>)],
        next: u64,
        around: Around<'_>,
        out: &mut Outbox,
    ) {
        if self.opening_from.is_some() || self.fold.is_none() {
            return;
        }
        if from > self.next() {
            let (log, from) = (self.log(), self.next());
            out.push(Output::Read { log, from });
            return;
        }
        for (offset, bytes) in records {
            self.apply(*offset, bytes, around, out);
        }
        let was_known = self.folded().is_some();
        if let Some(fold) = &mut self.fold {
            fold.skip_to(next);
        }
        self.note_known(was_known, around, out);
    }

    /// Takes the result of an append: if nobody came between, it is valid as it stands.
    pub(crate) fn appended(
        &mut self,
        ticket: u64,
        result: &AppendResult,
        around: Around<'_>,
        out: &mut Outbox,
    ) {
        let flight = self.ownership.as_mut();
        let flight = flight.and_then(|own| own.writer.end_write(ticket));
        let is_claim = flight.is_none();
        let records = match flight {
            Some(flight) => flight.records,
            None => match self.claim.end(ticket) {
                Some(record) => vec![record],
                None => return,
            },
        };
        let offsets = match result {
            AppendResult::At(offsets) if offsets.len() == records.len() => offsets,
            AppendResult::At(_) | AppendResult::Unknown => {
                let times = &around.config.times;
                match &mut self.ownership {
                    Some(own) if !is_claim => own.writer.note_unknown(around.now_ms, times),
                    Some(_) | None => self.claim.note_unknown(around.now_ms, times),
                }
                return;
            }
        };
        if is_claim {
            self.claim.note_offset(offsets.first().copied());
        }
        let expected = (self.next()..).take(offsets.len());
        if expected.eq(offsets.iter().copied()) && self.folded().is_some() {
            for (offset, record) in offsets.iter().zip(&records) {
                self.apply(*offset, record, around, out);
            }
        }
    }

    fn apply(&mut self, offset: u64, bytes: &[u8], around: Around<'_>, out: &mut Outbox) {
        let was_known = self.folded().is_some();
        let Some(fold) = &mut self.fold else { return };
        let snapshot = |fold: &SlotFold| fold.known().and_then(|known| known.snapshot);
        let before = snapshot(fold);
        match fold.apply(offset, bytes) {
            Step::Ignored => {}
            Step::Claimed { previous } => self.claimed(previous.as_ref(), around, out),
            Step::Valid {
                seq,
                is_change,
                effect,
            } => {
                let after = snapshot(fold);
                let is_released = fold.known().is_some_and(|known| known.owner.is_none());
                self.note_heard(around);
                if let Some(own) = &mut self.ownership {
                    let answer = |request, answer| out.answer(request, answer);
                    if let Some(decided) = own.writer.decide(seq, &effect, offset, answer) {
                        own.renewed_ms = own.renewed_ms.max(Some(decided.sent_ms));
                        own.may_have_orphans |= decided.is_own_change;
                    }
                    if let Some((begin, _)) = after.filter(|_| after != before) {
                        out.delete_before(self.number, begin);
                    }
                }
                if is_released {
                    self.lose(&Answer::NotDone(WhyNotDone::NotOwner), out);
                }
                if is_change && self.number == 0 && was_known {
                    out.note_changed(0);
                }
            }
        }
        self.note_known(was_known, around, out);
    }

    /// Somebody has won the slot: this front, or another one.
    fn claimed(&mut self, previous: Option<&FrontId>, around: Around<'_>, out: &mut Outbox) {
        // What was sent before and not read by now stands behind the claim, if anywhere.
        self.lose(&Answer::NotDone(WhyNotDone::NotOwner), out);
        let own = &around.config.front;
        let heard_ms = self.heard_ms;
        self.note_heard(around);
        let Some(folded) = self
            .folded()
            .filter(|known| known.owner.as_ref() == Some(own))
        else {
            return;
        };
        let (epoch, snapshot) = (folded.epoch, folded.snapshot);
        let serve_from_ms = match previous {
            Some(previous) if previous != own => {
                heard_ms.saturating_add(around.config.times.wait_ms)
            }
            // Whoever releases has waited for the owner before.
            None => around.now_ms,
            Some(_) => around.now_ms.max(self.not_before_ms),
        };
        self.claim = Claim::default();
        self.ownership = Some(Ownership {
            epoch,
            writer: Writer::new(epoch),
            serve_from_ms,
            renewed_ms: None,
            is_ending: around.is_leaving,
            second_since_ms: None,
            may_have_orphans: true,
        });
        out.push(Output::Gained {
            slot: self.number,
            epoch,
        });
        // The owner before may have ended between its snapshot and this.
        if let Some((begin, _)) = snapshot {
            out.delete_before(self.number, begin);
        }
    }

    fn lose(&mut self, sent_are: &Answer, out: &mut Outbox) {
        let Some(own) = self.ownership.take() else {
            return;
        };
        self.not_before_ms = own.serve_from_ms;
        let (slot, epoch) = (self.number, own.epoch);
        own.writer
            .end(sent_are, |request, answer| out.answer(request, answer));
        out.push(Output::Lost { slot, epoch });
    }

    fn note_heard(&mut self, around: Around<'_>) {
        self.heard_ms = around.now_ms;
        self.heard_counted_ms = around.members.counted_ms();
    }

    fn note_known(&mut self, was_known: bool, around: Around<'_>, out: &mut Outbox) {
        if let Some(folded) = self.folded().filter(|_| !was_known) {
            // A claim of this front's own was found, and nobody knows whose lease it has ended.
            if folded.owner.as_ref() == Some(&around.config.front) {
                let wait_ms = around.config.times.wait_ms;
                self.not_before_ms = around.now_ms.saturating_add(wait_ms);
            }
            self.note_heard(around);
            out.note_changed(self.number);
        }
    }

    /// Does what is due.
    pub(crate) fn pump(&mut self, around: Around<'_>, out: &mut Outbox) {
        if self.ownership.is_some() {
            self.hand_over(around);
            self.write(around, out);
        } else {
            self.claim(around, out);
        }
    }

    /// Begins to give the slot up, if the process ends or another front has been the slot's first
    /// candidate for long enough.
    fn hand_over(&mut self, around: Around<'_>) {
        let times = &around.config.times;
        let first = ranked(self.number, around.members.living())
            .into_iter()
            .next();
        let is_first = first.is_none_or(|first| *first == around.config.front);
        let Some(own) = &mut self.ownership else {
            return;
        };
        own.second_since_ms = match own.second_since_ms {
            _ if is_first => None,
            Some(since_ms) => Some(since_ms),
            None => Some(around.now_ms),
        };
        let step_ms = u64::from(self.number).saturating_mul(HAND_OVER_STEP_MS);
        let settle_ms = times.settle_ms.saturating_add(step_ms);
        let is_settled = |since_ms: u64| around.now_ms >= since_ms.saturating_add(settle_ms);
        own.is_ending |= around.is_leaving || own.second_since_ms.is_some_and(is_settled);
    }

    fn write(&mut self, around: Around<'_>, out: &mut Outbox) {
        let (log, config) = (self.log(), around.config);
        let folded = self.fold.as_ref().and_then(SlotFold::known);
        let (Some(folded), Some(own)) = (folded, &mut self.ownership) else {
            return;
        };
        let (now_ms, times) = (around.now_ms, &config.times);
        let answer = |request, answer| out.answer(request, answer);
        own.writer.expire(now_ms, times, answer);
        let snapshot_end = folded.snapshot.map_or(0, |(_, end)| end);
        let since = folded.next.saturating_sub(snapshot_end);
        if since >= config.snapshot_records
            && !own.is_ending
            && !own.writer.has_snapshot()
            && own.writer.is_decided()
        {
            let job = SnapshotJob::new(config.front.clone(), &folded.state);
            own.writer.begin_snapshot(job);
        }
        let ticket = out.peek_ticket();
        // What is released may be served at once: the lease of the owner before must be over.
        let is_last = own.is_ending && now_ms >= own.serve_from_ms;
        if let Some(records) = own.writer.next_write(ticket, is_last, now_ms, times) {
            out.append(log, records);
        }
    }

    /// Returns when something is to be done without any input.
    pub(crate) fn next_wakeup(&self, config: &Config) -> u64 {
        match &self.ownership {
            Some(own) => own.writer.next_wakeup(&config.times),
            None => self.claim.next_wakeup(&config.times),
        }
    }
}
