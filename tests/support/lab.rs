//! A drain in a laboratory.

use std::collections::VecDeque;

use sluice::drain::{DrainEngine, Input};
use sluice::engine::Callout;
use sluice::http::CalloutResult;

use super::{
    Said, answer, at, drain, drain_engine, messages, messages_stored_at, records, stored, target,
};

/// A drain whose callouts are answered by hand, at a time that only goes forward.
pub struct Lab {
    pub engine: DrainEngine,
    pub open: VecDeque<Callout>,
    pub millis: u64,
    /// By how many milliseconds its wall clock is behind.
    pub slow_clock: u64,
    pub said: Said,
}

impl Lab {
    /// Returns a drain that has joined its group; its first fetch is open.
    pub fn joined(config: &str) -> Self {
        Self::with_dispatch("", config)
    }

    /// Returns the same, with more ways out.
    pub fn with_dispatch(dispatch: &str, config: &str) -> Self {
        Self::with_engine(drain_engine(dispatch, config))
    }

    /// Returns the same with an engine that was made elsewhere.
    pub fn with_engine(engine: DrainEngine) -> Self {
        let mut lab = Self {
            engine,
            open: VecDeque::new(),
            millis: 0,
            slow_clock: 0,
            said: Said::default(),
        };
        lab.input(Input::HealthCheck);
        lab.answer(
            "calls/groupCursors",
            answer(200, &[], r#"{"value":"start"}"#),
        );
        lab
    }

    pub fn input(&mut self, input: Input) {
        let mut now = at(self.millis);
        now.wall.0 -= self.slow_clock;
        let said = drain(&mut self.engine, input, now);
        for (metric, by) in said.counts {
            *self.said.counts.entry(metric).or_default() += by;
        }
        self.said.logs.extend(said.logs);
        self.open.extend(said.callouts);
        // Turns of the event loop come at once.
        if said.wakes > 0 {
            self.input(Input::Wake);
        }
    }

    /// Time passes.
    pub fn wait(&mut self, millis: u64) {
        self.millis += millis;
        self.input(Input::Tick);
    }

    /// Takes the first open callout whose target contains `part`.
    pub fn take(&mut self, part: &str) -> Callout {
        let index = self
            .open
            .iter()
            .position(|callout| target(callout).contains(part));
        let open: Vec<_> = self.open.iter().map(target).collect();
        let index = index.unwrap_or_else(|| panic!("no open {part:?} in {open:?}"));
        self.open.remove(index).unwrap()
    }

    pub fn answer(&mut self, part: &str, result: CalloutResult) -> Callout {
        let callout = self.take(part);
        self.input(Input::CalloutDone(callout.ticket, result));
        callout
    }

    pub fn fetch(&mut self, offset: usize, paths: &[&str]) {
        let records: Vec<_> = paths
            .iter()
            .map(|path| format!(r#"{{"path":"{path}"}}"#))
            .collect();
        let records: Vec<_> = records.iter().map(String::as_str).collect();
        self.answer("GET calls/messages", messages(offset, &records));
    }

    pub fn deliver(&mut self, path: &str) {
        self.answer(&format!("GET {path}"), answer(200, &[], ""));
    }

    pub fn is_open(&self, part: &str) -> bool {
        self.open
            .iter()
            .any(|callout| target(callout).contains(part))
    }

    /// Answers the open fetch with nothing, which lets the session go on.
    pub fn fetch_nothing(&mut self, offset: usize) {
        self.fetch(offset, &[]);
    }

    /// Time passes as in a gateway that lives: health checks come, and the Stream answers every
    /// request of the sessions, with nothing new.
    pub fn live(&mut self, millis: u64) {
        const STEP: u64 = 500;
        let end = self.millis + millis;
        loop {
            self.answer_sessions();
            let step = STEP.min(end - self.millis);
            if step == 0 {
                return;
            }
            self.millis += step;
            self.input(Input::HealthCheck);
            self.input(Input::Tick);
        }
    }

    /// Answers the sessions' open requests, until there are none that come at once.
    fn answer_sessions(&mut self) {
        for _ in 0..100 {
            let is_session = |callout: &Callout| {
                let target = target(callout);
                let kinds = ["/messages?cursor", "/commit?", "/heartbeat?"];
                kinds.iter().any(|kind| target.contains(kind))
            };
            let Some(index) = self.open.iter().position(is_session) else {
                return;
            };
            let callout = self.open.remove(index).unwrap();
            let result = answer(200, &[("opc-next-cursor", "next")], r#"{"value":"next"}"#);
            let result = if target(&callout).contains("/messages?") {
                messages(0, &[])
            } else {
                result
            };
            self.input(Input::CalloutDone(callout.ticket, result));
        }
    }

    /// Waits until a stream is read, and gives it records that are stored at this moment.
    pub fn bring(&mut self, stream: &str, offset: usize, records: &[serde_json::Value]) {
        let stored_at = at(self.millis).wall.to_string();
        let records: Vec<String> = records.iter().map(ToString::to_string).collect();
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        self.bring_answer(stream, messages_stored_at(&stored_at, offset, &records));
    }

    /// Waits until a stream is read, and answers so.
    pub fn bring_answer(&mut self, stream: &str, result: CalloutResult) {
        let fetch = format!("GET {stream}/messages?");
        for _ in 0..200 {
            if self.is_open(&fetch) {
                self.answer(&fetch, result);
                return;
            }
            for other in ["commit?", "heartbeat?"] {
                if self.is_open(&format!("{stream}/{other}")) {
                    let done = answer(200, &[], r#"{"value":"next"}"#);
                    self.answer(&format!("{stream}/{other}"), done);
                }
            }
            self.millis += 10;
            self.input(Input::HealthCheck);
            self.input(Input::Tick);
        }
        panic!(
            "{stream} is not read: {:?}",
            self.open.iter().map(target).collect::<Vec<_>>()
        );
    }

    /// Takes what is put onto a stream, and has it stored.
    pub fn put(&mut self, stream: &str) -> Vec<serde_json::Value> {
        let put = self.take(&format!("POST {stream}/messages"));
        let stored = stored(&put, 0);
        self.input(Input::CalloutDone(put.ticket, stored));
        records(&put)
    }

    /// Takes the notes that are put onto the stream of calls, and has them stored.
    pub fn take_notes(&mut self) -> Vec<serde_json::Value> {
        let is_note = |callout: &Callout| {
            let is_put = target(callout) == "POST calls/messages";
            is_put && records(callout).iter().all(|one| one["parked"].is_object())
        };
        let mut notes = Vec::new();
        while let Some(index) = self.open.iter().position(is_note) {
            let put = self.open.remove(index).unwrap();
            notes.extend(records(&put));
            let stored = stored(&put, 0);
            self.input(Input::CalloutDone(put.ticket, stored));
        }
        notes
    }

    /// Method and path of the open calls to targets.
    pub fn calls(&self) -> Vec<String> {
        let open = self.open.iter().filter(|call| &*call.cluster != "stream");
        open.map(target).collect()
    }
}
