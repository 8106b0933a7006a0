//! A drain in a laboratory.

use std::collections::VecDeque;

use sluice::engine::drain::{DrainEngine, Input};
use sluice::engine::{Callout, CalloutResult};

use super::{Said, answer, at, drain, drain_engine, messages, target};

/// A drain whose callouts are answered by hand, at a time that only goes forward.
pub struct Lab {
    pub engine: DrainEngine,
    pub open: VecDeque<Callout>,
    pub millis: u64,
    pub said: Said,
}

impl Lab {
    /// A drain that has joined its group; its first fetch is open.
    pub fn joined(config: &str) -> Self {
        let engine = drain_engine(config);
        let mut lab = Self {
            engine,
            open: VecDeque::new(),
            millis: 0,
            said: Said::default(),
        };
        lab.input(Input::Heartbeat);
        lab.answer("groupCursors", answer(200, &[], r#"{"value":"start"}"#));
        lab
    }

    pub fn input(&mut self, input: Input) {
        let said = drain(&mut self.engine, input, at(self.millis));
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
}
