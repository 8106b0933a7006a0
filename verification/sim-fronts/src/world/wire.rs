//! Between fronts and brokers: appends, reads, and what goes wrong with them.

use std::collections::{BTreeMap, BTreeSet};

use sim::invariants::Violation;
use stream_coordination::io::{AppendResult, Input, LogId};

use super::{Event, Fetched, World};
use crate::cluster::{Life, Log};
use crate::troubles::Kind;

/// Records that a front has sent.
pub(super) struct Append {
    by: Life,
    log: LogId,
    ticket: u64,
    records: Vec<Vec<u8>>,
    /// The offsets of those that have landed, by the number of the record: its pieces may land in
    /// any order.
    offsets: BTreeMap<usize, u64>,
    is_ack_lost: bool,
    /// Whether the front was told what came of it.
    is_told: bool,
}

impl World {
    /// Sends an append on its way.
    pub(super) fn send(&mut self, by: Life, log: LogId, ticket: u64, records: Vec<Vec<u8>>) {
        let wire = self.plan.wire.clone();
        let count = records.len();
        let number = self.number();
        let is_ack_lost = self.strikes(wire.ack_lost);
        self.appends.insert(
            number,
            Append {
                by,
                log,
                ticket,
                records,
                offsets: BTreeMap::new(),
                is_ack_lost,
                is_told: false,
            },
        );
        let timeout = self.rng.between(1_000, 30_000);
        self.after(timeout, Event::TimedOut(number));
        let land = |from, to, is_copy| Event::Land {
            append: number,
            from,
            to,
            is_copy,
        };
        let mut delay = self.rng.between(1, 12);
        if self.strikes(wire.late) {
            delay += self.rng.between(1_000, 25_000);
        }
        if self.strikes(wire.copied) {
            let copied = delay + self.rng.between(20, 20_000);
            self.after(copied, land(0, count, true));
        }
        if self.strikes(wire.lost) {
            self.count(Kind::Lost);
            return;
        }
        if count < 2 || !self.strikes(wire.split) {
            self.after(delay, land(0, count, false));
            return;
        }
        self.count(Kind::Split);
        let (mut from, mut is_gap) = (0, false);
        for to in self.draw_cuts(count).into_iter().chain([count]) {
            if self.rng.below(4) == 0 {
                is_gap = true;
            } else {
                self.after(delay, land(from, to, false));
                if is_gap {
                    self.count(Kind::Gap);
                }
            }
            from = to;
            delay += self.rng.between(1, 3_000);
        }
    }

    /// Returns where an append of so many records is cut: once or twice.
    fn draw_cuts(&mut self, count: usize) -> BTreeSet<usize> {
        let most = u64::try_from(count.saturating_sub(1)).unwrap_or(1);
        let cuts = self.rng.between(1, 2);
        let cuts = (0..cuts).map(|_| self.rng.between(1, most));
        cuts.filter_map(|cut| usize::try_from(cut).ok()).collect()
    }

    /// A part of an append reaches its log, or waits for its broker.
    pub(super) fn land(
        &mut self,
        number: u64,
        (from, to): (usize, usize),
        is_copy: bool,
    ) -> Result<(), Violation> {
        let Some(append) = self.appends.get(&number) else {
            return Ok(());
        };
        let (by, log, is_told) = (append.by, append.log, append.is_told);
        let records = append.records.get(from..to).unwrap_or_default().to_vec();
        let away_until = self.log(log).map_or(0, |log| log.away_until);
        let cut_until = match self.is_there(by) {
            true => self.front(by.0).map_or(0, |front| front.blocked_until(log)),
            false => 0,
        };
        let blocked_until = away_until.max(cut_until);
        if blocked_until > self.now {
            // Who is gone doesn't try again.
            if self.is_there(by) {
                let at = blocked_until + self.rng.below(200);
                let event = Event::Land {
                    append: number,
                    from,
                    to,
                    is_copy,
                };
                self.at(at, event);
            }
            return Ok(());
        }
        if self.strikes(self.plan.wire.foreign) {
            self.count(Kind::Foreign);
            let foreign = self.rng.coin().then(|| b"{\"v\":1,\"other\":{}}".to_vec());
            self.add(log, foreign, None)?;
        }
        if is_told && !is_copy {
            self.count(Kind::Late);
        }
        if is_copy {
            self.count(Kind::Copied);
            self.count_late_copy(log, &records);
        }
        for (index, record) in (from..).zip(records) {
            let offset = self.add(log, Some(record), Some(by))?;
            if let Some(append) = self.appends.get_mut(&number).filter(|_| !is_copy) {
                append.offsets.insert(index, offset);
            }
        }
        self.acknowledge(number, is_copy);
        Ok(())
    }

    fn count_late_copy(&mut self, log: LogId, records: &[Vec<u8>]) {
        let epoch = self.log(log).and_then(|log| Some(log.truth()?.epoch));
        let read = |record: &Vec<u8>| stream_coordination::record::SlotRecord::read(record);
        let is_old = |record| read(record).is_some_and(|record| Some(record.epoch) < epoch);
        if records.iter().any(is_old) {
            self.count(Kind::CopiedLate);
        }
    }

    fn acknowledge(&mut self, number: u64, is_copy: bool) {
        let Some(append) = self.appends.get(&number).filter(|_| !is_copy) else {
            return;
        };
        if append.offsets.len() < append.records.len() || append.is_told {
            return;
        }
        if append.is_ack_lost {
            self.count(Kind::AckLost);
            return;
        }
        let (by, ticket) = (append.by, append.ticket);
        let result = AppendResult::At(append.offsets.values().copied().collect());
        if let Some(append) = self.appends.get_mut(&number) {
            append.is_told = true;
        }
        self.soon(10, Event::Result(by, ticket, result));
    }

    pub(super) fn timed_out(&mut self, number: u64) {
        let Some(append) = self.appends.get_mut(&number) else {
            return;
        };
        if !append.is_told {
            append.is_told = true;
            let event = Event::Result(append.by, append.ticket, AppendResult::Unknown);
            self.after(0, event);
        }
    }

    pub(super) fn result(&mut self, life: Life, ticket: u64, result: AppendResult) {
        let is_lost = self.is_cut(life.0) && result != AppendResult::Unknown;
        let result = if is_lost {
            AppendResult::Unknown
        } else {
            result
        };
        self.tell(life, Input::Appended { ticket, result });
    }

    /// Adds a record to a log, and tells those who read it.
    fn add(
        &mut self,
        log: LogId,
        record: Option<Vec<u8>>,
        by: Option<Life>,
    ) -> Result<u64, Violation> {
        let Some(found) = self.logs.get_mut(&log) else {
            return Ok(0);
        };
        let ownership = |log: &Log| Some((log.truth()?.epoch, log.truth()?.owner.clone()));
        let before = ownership(found);
        let offset = found.append(record, by)?;
        let after = ownership(found);
        if let (LogId::Slot(slot), Some(truth)) = (log, found.truth()) {
            self.ledger.check(slot, truth)?;
            if let (Some(before), Some(after)) = (before, after) {
                self.changed_hands(slot, &before, &after);
            }
        }
        for front in 0..self.plan.fronts {
            self.fetch_soon(self.life(front), log);
        }
        Ok(offset)
    }

    /// Lets a front fetch what is new in a log, unless it does so already.
    pub(super) fn fetch_soon(&mut self, life: Life, log: LogId) {
        let end = self.log(log).map_or(0, |log| log.end());
        let front = self
            .fronts
            .get_mut(life.0)
            .filter(|front| front.life == life.1);
        let Some(reader) = front.and_then(|front| front.readers.get_mut(&log)) else {
            return;
        };
        if reader.is_fetching || reader.next >= end {
            return;
        }
        reader.is_fetching = true;
        let generation = reader.generation;
        let most = match self.strikes(self.plan.wire.read_late) {
            true => 5_000,
            false => 10,
        };
        self.soon(most, Event::Fetch(life, log, generation));
    }

    pub(super) fn fetch(&mut self, life: Life, log: LogId, generation: u64) {
        let away_until = self.log(log).map_or(0, |log| log.away_until);
        let cut_until = self.front(life.0);
        let cut_until = cut_until.map_or(0, |front| front.blocked_until(log));
        let blocked_until = away_until.max(cut_until);
        if blocked_until > self.now {
            let at = blocked_until + self.rng.below(200);
            self.at(at, Event::Fetch(life, log, generation));
            return;
        }
        let reader = self.fronts.get_mut(life.0).and_then(|front| {
            let reader = front.readers.get(&log)?;
            (reader.generation == generation).then_some(*reader)
        });
        let (Some(reader), Some(found)) = (reader, self.logs.get(&log)) else {
            return;
        };
        if reader.next < found.start {
            if let Some(front) = self.fronts.get_mut(life.0) {
                front.readers.remove(&log);
            }
            self.count(Kind::OutOfRange);
            self.tell(life, Input::OutOfRange { log });
            return;
        }
        let most = usize::try_from(self.rng.between(1, 60)).unwrap_or(1);
        let from = reader.next;
        let (records, next) = self
            .log(log)
            .map_or((Vec::new(), from), |log| log.read(from, most));
        let fetched = Fetched {
            from,
            records,
            next,
        };
        self.soon(5, Event::Deliver(life, log, generation, fetched));
    }

    pub(super) fn deliver(&mut self, life: Life, log: LogId, generation: u64, fetched: Fetched) {
        let front = self.fronts.get_mut(life.0);
        let reader = front.and_then(|front| front.readers.get_mut(&log));
        let Some(reader) = reader.filter(|reader| reader.generation == generation) else {
            return;
        };
        reader.next = fetched.next;
        reader.is_fetching = false;
        let Fetched {
            from,
            records,
            next,
        } = fetched;
        self.tell(
            life,
            Input::Fetched {
                log,
                from,
                records,
                next,
            },
        );
        self.fetch_soon(life, log);
    }

    pub(super) fn bounds(&mut self, life: Life, log: LogId) {
        let away_until = self.log(log).map_or(0, |log| log.away_until);
        let cut_until = self.front(life.0);
        let cut_until = cut_until.map_or(0, |front| front.blocked_until(log));
        let blocked_until = away_until.max(cut_until);
        if blocked_until > self.now {
            let at = blocked_until + self.rng.below(200);
            self.at(at, Event::Bounds(life, log));
            return;
        }
        let (oldest, end) = self.log(log).map_or((0, 0), |log| (log.start, log.end()));
        self.soon(100, Event::BoundsTold(life, log, oldest, end));
    }

    pub(super) fn delete(&mut self, slot: u32, offset: u64) -> Result<(), Violation> {
        let Some(log) = self.logs.get_mut(&LogId::Slot(slot)) else {
            return Ok(());
        };
        if log.away_until > self.now || log.start >= offset {
            return Ok(());
        }
        log.start = offset.min(log.end());
        log.check_start()?;
        self.count(Kind::Deleted);
        self.note("log", format!("slot {slot} begins at {offset}"));
        Ok(())
    }
}
