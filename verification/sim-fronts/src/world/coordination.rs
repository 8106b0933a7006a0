//! Fronts are told what has happened, and do what they want done.

use sim::invariants::Violation;
use stream_coordination::io::{Answer, Input, LogId, Output};
use stream_coordination::record::{Change, Stage, StreamState};

use super::{Event, World};
use crate::cluster::Life;
use crate::ledger::Asked;
use crate::troubles::Kind;

impl World {
    /// Tells a front something, before anything else happens.
    pub(super) fn tell(&mut self, life: Life, input: Input) {
        self.inputs.push_back((life, input));
    }

    pub(super) fn tell_all(&mut self) -> Result<(), Violation> {
        while let Some((life, input)) = self.inputs.pop_front() {
            if self.is_there(life) {
                self.told = self.told.saturating_add(1);
                self.handle(life, input)?;
            }
        }
        Ok(())
    }

    fn handle(&mut self, life: Life, input: Input) -> Result<(), Violation> {
        let Some(front) = self.fronts.get_mut(life.0) else {
            return Ok(());
        };
        let steady = front.steady(self.now);
        let Some(coordinator) = &mut front.coordinator else {
            return Ok(());
        };
        coordinator.handle(input, steady);
        self.perform_all(life)?;
        self.check_folds(life)?;
        self.wake(life);
        Ok(())
    }

    /// Performs what a front wants done.
    pub(super) fn perform_all(&mut self, life: Life) -> Result<(), Violation> {
        loop {
            let front = self
                .fronts
                .get_mut(life.0)
                .filter(|front| front.life == life.1);
            let coordinator = front.and_then(|front| front.coordinator.as_mut());
            match coordinator.and_then(|coordinator| coordinator.poll_output()) {
                Some(output) => self.perform(life, output)?,
                None => return Ok(()),
            }
        }
    }

    fn perform(&mut self, life: Life, output: Output) -> Result<(), Violation> {
        match output {
            Output::Open { log } => {
                if let Some(front) = self.fronts.get_mut(life.0) {
                    front.readers.remove(&log);
                }
                self.soon(20, Event::Bounds(life, log));
            }
            Output::Read { log, from } => {
                if let Some(front) = self.fronts.get_mut(life.0) {
                    front.read_from(log, from);
                }
                self.fetch_soon(life, log);
            }
            Output::Append {
                log,
                ticket,
                records,
            } => {
                self.note_append(life, log, &records);
                self.send(life, log, ticket, records);
            }
            Output::DeleteBefore { slot, offset } => {
                // It is lost now and then, as if the front had died just before.
                if !self.strikes(200) {
                    let most = if self.strikes(100) { 20_000 } else { 50 };
                    self.soon(most, Event::Delete(slot, offset));
                }
            }
            Output::Answer { request, answer } => self.done(life, request, answer)?,
            Output::Gained { slot, epoch } => {
                self.note_front(life, format!("gained slot {slot}, epoch {epoch}"));
                if let Some(front) = self.fronts.get_mut(life.0) {
                    front.load(slot, epoch);
                    front.finishing.clear();
                }
                self.finish_streams(life.0);
            }
            Output::Lost { slot, epoch } => {
                self.note_front(life, format!("lost slot {slot}, epoch {epoch}"));
                if let Some(front) = self.fronts.get_mut(life.0) {
                    front.tables.remove(&slot);
                }
            }
            Output::Changed { .. } => self.finish_streams(life.0),
            Output::Left => self.left(life.0),
        }
        Ok(())
    }

    fn note_append(&mut self, life: Life, log: LogId, records: &[Vec<u8>]) {
        if let (LogId::Slot(slot), Some(front)) = (log, self.front(life.0)) {
            let epoch = front.tables.get(&slot).map(|table| table.epoch);
            let truth = self.log(log).and_then(|log| log.truth());
            if truth.map(|truth| truth.epoch) > epoch && epoch.is_some() {
                self.count(Kind::Zombie);
            }
        }
        for record in records {
            let text = String::from_utf8_lossy(record);
            let text: String = text.chars().take(160).collect();
            self.note_front(life, format!("to {log:?}: {text}"));
        }
    }

    /// Asks a front's coordination for a change.
    pub(super) fn ask(&mut self, life: Life, slot: u32, change: Change, op: Option<u64>) {
        let request = self.number();
        let asked = Asked {
            slot,
            change: change.clone(),
            at: self.now,
            op,
        };
        self.ledger.ask(life, request, asked);
        self.tell(
            life,
            Input::Request {
                request,
                slot,
                change,
            },
        );
    }

    fn done(&mut self, life: Life, request: u64, answer: Answer) -> Result<(), Violation> {
        if answer == Answer::Unknown {
            self.count(Kind::Unknown);
        }
        let logs = &self.logs;
        let log = |slot| logs.get(&LogId::Slot(slot));
        let asked = self.ledger.answer(life, request, &answer, log)?;
        if let (LogId::Slot(slot), Some(truth)) = (
            LogId::Slot(asked.slot),
            logs.get(&LogId::Slot(asked.slot))
                .and_then(|log| log.truth()),
        ) {
            self.ledger.check(slot, truth)?;
        }
        if let Change::ActivateStream { stream, .. } | Change::ForgetStream { stream } =
            &asked.change
            && let Some(front) = self.fronts.get_mut(life.0)
        {
            front.finishing.remove(stream);
        }
        if let Some(op) = asked.op {
            self.go_on(life, op, &asked, answer)?;
        }
        Ok(())
    }

    /// Lets the owner of slot 0 create or delete the topics of streams.
    pub(super) fn finish_streams(&mut self, front: usize) {
        let life = self.life(front);
        let Some(found) = self
            .fronts
            .get(front)
            .filter(|found| found.tables.contains_key(&0))
        else {
            return;
        };
        let Some(state) = found.coordinator.as_ref().and_then(|c| c.state(0)) else {
            return;
        };
        let change = |stream: &StreamState| match stream.stage {
            Stage::Creating => Some(Change::ActivateStream {
                stream: stream.key,
                topic_id: None,
            }),
            Stage::Deleting => Some(Change::ForgetStream { stream: stream.key }),
            Stage::Active => None,
        };
        let unfinished = state
            .streams()
            .filter(|stream| !found.finishing.contains(&stream.key));
        let wanted: Vec<_> = unfinished
            .filter_map(|stream| Some((stream.key, change(stream)?)))
            .collect();
        for (key, change) in wanted {
            if let Some(found) = self.fronts.get_mut(front) {
                found.finishing.insert(key);
            }
            self.ask(life, 0, change, None);
        }
    }

    /// K4: whoever stands at one offset has folded the same.
    fn check_folds(&mut self, life: Life) -> Result<(), Violation> {
        let Some(front) = self.fronts.get(life.0).filter(|front| front.life == life.1) else {
            return Ok(());
        };
        let Some(coordinator) = &front.coordinator else {
            return Ok(());
        };
        for slot in 0..self.plan.slots {
            let (Some(folded), Some(log)) =
                (coordinator.folded(slot), self.logs.get(&LogId::Slot(slot)))
            else {
                continue;
            };
            let checked = self.checked.insert((life.0, slot), folded.next);
            if checked != Some(folded.next) {
                log.check(folded, &crate::cluster::name(life))?;
            }
        }
        Ok(())
    }

    /// Has a front told the time when it wants it.
    pub(super) fn wake(&mut self, life: Life) {
        let Some(front) = self
            .fronts
            .get_mut(life.0)
            .filter(|front| front.life == life.1)
        else {
            return;
        };
        let Some(coordinator) = &front.coordinator else {
            return;
        };
        let at = front.true_time(coordinator.next_wakeup()).max(self.now);
        if front.wakes_at.is_none_or(|wakes_at| wakes_at > at) {
            front.wakes_at = Some(at);
            self.at(at, Event::Wake(life));
        }
    }

    /// K5: nobody waits for an answer for too long.
    pub(super) fn look_at_requests(&self) -> Result<(), Violation> {
        for ((life, request), asked) in &self.ledger.asked {
            let paused_until = self.front(life.0).map_or(0, |front| front.paused_until);
            let resumed = self.resumed.get(&life.0).copied().unwrap_or(0);
            if paused_until > self.now || !self.is_there(*life) {
                continue;
            }
            let from = asked.at.max(resumed.min(self.now));
            let most = match self.is_healthy() && asked.at > self.plan.calm_at + super::RECOVERY_MS
            {
                true => super::UNSERVED_MS_MAX,
                false => self.plan.times.answer_ms.saturating_mul(1_000) / 850 + 1_000,
            };
            if self.now > from + most {
                let text = format!("request {request} of {life:?} has no answer: {asked:?}");
                return Err(Violation::new("K5", "", text));
            }
        }
        Ok(())
    }
}
