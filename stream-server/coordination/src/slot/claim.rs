//! Claims: when this front claims a slot, and the claim on its way into the log.

use super::{Around, Slot};
use crate::config::Times;
use crate::fold::{Folded, SlotFold};
use crate::io::LogId;
use crate::outbox::Outbox;
use crate::placement::ranked;
use crate::record::{FrontId, SlotBody, SlotRecord};

/// The last claim that this front has sent, if any.
#[derive(Debug, Default)]
pub(super) struct Claim {
    flight: Option<Flight>,
    /// Where it stands. Until that was read, its outcome isn't known.
    offset: Option<u64>,
    retry_at_ms: u64,
}

#[derive(Debug)]
struct Flight {
    ticket: u64,
    record: Vec<u8>,
    at_ms: u64,
}

impl Claim {
    /// Notes that a claim is sent now; returns its record.
    pub(super) fn send(&mut self, ticket: u64, epoch: u64, front: FrontId, at_ms: u64) -> Vec<u8> {
        let body = SlotBody::Claim { front };
        let record = SlotRecord {
            epoch,
            seq: 0,
            body,
        };
        let record = record.bytes();
        self.offset = None;
        self.flight = Some(Flight {
            ticket,
            record: record.clone(),
            at_ms,
        });
        record
    }

    /// Ends the append with this ticket, if it has no result yet; returns its record.
    pub(super) fn end(&mut self, ticket: u64) -> Option<Vec<u8>> {
        let flight = self.flight.take_if(|flight| flight.ticket == ticket)?;
        Some(flight.record)
    }

    pub(super) fn note_offset(&mut self, offset: Option<u64>) {
        self.offset = offset;
    }

    pub(super) fn note_unknown(&mut self, now_ms: u64, times: &Times) {
        self.retry_at_ms = now_ms.saturating_add(times.retry_ms);
    }

    /// Gives up an append that has no result for too long. The claim may come into the log later.
    pub(super) fn expire(&mut self, now_ms: u64, times: &Times) {
        let is_hung = |flight: &mut Flight| now_ms >= flight.at_ms.saturating_add(times.write_ms);
        if self.flight.take_if(is_hung).is_some() {
            self.note_unknown(now_ms, times);
        }
    }

    pub(super) fn is_flying(&self) -> bool {
        self.flight.is_some()
    }

    /// Returns whether another claim may be sent, when everything before `next` was read.
    pub(super) fn is_decided(&self, next: u64, now_ms: u64) -> bool {
        let is_read = self.offset.is_none_or(|offset| offset < next);
        self.flight.is_none() && is_read && now_ms >= self.retry_at_ms
    }

    pub(super) fn next_wakeup(&self, times: &Times) -> u64 {
        match &self.flight {
            Some(flight) => flight.at_ms.saturating_add(times.write_ms),
            None => u64::MAX,
        }
    }
}

impl Slot {
    /// Claims the slot if this front should own it.
    pub(super) fn claim(&mut self, around: Around<'_>, out: &mut Outbox) {
        let times = &around.config.times;
        self.claim.expire(around.now_ms, times);
        let Some(folded) = self.fold.as_ref().and_then(SlotFold::known) else {
            return;
        };
        let may = !around.is_leaving
            && around.members.is_heard(around.now_ms)
            && around.members.counted_ms() >= times.gather_ms
            && self.claim.is_decided(folded.next, around.now_ms);
        if !may || !wants(self.number, folded, self.heard_counted_ms, around) {
            return;
        }
        let epoch = folded.epoch.saturating_add(1);
        let (ticket, now_ms) = (out.peek_ticket(), around.now_ms);
        let record = self
            .claim
            .send(ticket, epoch, around.config.front.clone(), now_ms);
        out.append(LogId::Slot(self.number), vec![record]);
    }
}

/// Returns whether this front should claim the slot: nobody owns it, its owner is dead or stuck,
/// and no better candidate had its turn.
fn wants(slot: u32, folded: &Folded, heard_counted_ms: u64, around: Around<'_>) -> bool {
    let (members, times) = (around.members, &around.config.times);
    let counted_ms = members.counted_ms();
    let own = &around.config.front;
    let stuck_from_ms = heard_counted_ms.saturating_add(times.stuck_ms);
    let (from_ms, stuck) = match &folded.owner {
        // An ownership that this front can't go on with, because it has lost its place in the log.
        Some(owner) if owner == own => return true,
        None => (heard_counted_ms, None),
        Some(owner) => {
            let heard_ms = counted_ms.saturating_sub(members.silent_ms(owner));
            let dead_from_ms = heard_ms.saturating_add(times.silence_ms);
            (dead_from_ms.min(stuck_from_ms), Some(owner))
        }
    };
    if counted_ms < from_ms {
        return false;
    }
    let living = members.living().filter(|(id, _)| Some(*id) != stuck);
    let rank = ranked(slot, living).into_iter().position(|id| id == own);
    let Some(rank) = rank.and_then(|rank| u64::try_from(rank).ok()) else {
        return false;
    };
    counted_ms >= from_ms.saturating_add(rank.saturating_mul(times.step_ms))
}
