//! Idempotency keys: two workers that share a table, and every way in which a first call can end.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};
use sluice::accept::{AcceptEngine, Input};
use sluice::engine::{Callout, Output};
use sluice::http::CalloutResult;
use sluice::id::RequestId;
use sluice::idempotency::{KeyHash, KeyHolder};
use sluice::metric::Metric;

use support::{accept_engine, answer, at, records, request, stored};

/// Two workers of one Envoy, and the table that they share.
struct Process {
    workers: [AcceptEngine; 2],
    table: BTreeMap<u32, (Vec<u8>, u32)>,
    open: VecDeque<(usize, Callout)>,
    responses: Vec<(RequestId, u16, Value)>,
    counts: BTreeMap<Metric, i64>,
    body: Vec<u8>,
    millis: u64,
    /// What somebody else writes just before the next write of ours.
    intruder: Option<Vec<u8>>,
}

impl Process {
    fn new() -> Self {
        Self::with("")
    }

    /// With more configuration.
    fn with(extra: &str) -> Self {
        Self {
            workers: [accept_engine(extra), accept_engine(extra)],
            table: BTreeMap::new(),
            open: VecDeque::new(),
            responses: Vec::new(),
            counts: BTreeMap::new(),
            body: Vec::new(),
            millis: 0,
            intruder: None,
        }
    }

    fn input(&mut self, worker: usize, input: Input) {
        let now = at(self.millis);
        self.workers[worker].handle(input, now);
        let mut is_woken = false;
        while let Some(output) = self.workers[worker].poll_output() {
            match output {
                Output::ReadBody(request) => {
                    let body = Some(self.body.clone());
                    self.workers[worker].handle(Input::Body(request, body), now);
                }
                Output::ReadSlot(slot) => {
                    let (bytes, version) = self.table.entry(slot).or_default();
                    let input = Input::SlotRead(Some(bytes.clone()), *version);
                    self.workers[worker].handle(input, now);
                }
                Output::WriteSlot {
                    slot,
                    bytes,
                    version,
                } => {
                    let entry = self.table.entry(slot).or_default();
                    if let Some(intruder) = self.intruder.take() {
                        *entry = (intruder, entry.1 + 1);
                    }
                    let is_written = entry.1 == version;
                    if is_written {
                        *entry = (bytes, version + 1);
                    }
                    self.workers[worker].handle(Input::SlotWritten(is_written), now);
                }
                Output::Callout(callout) => self.open.push_back((worker, callout)),
                Output::Respond(request, response) => {
                    let body = serde_json::from_slice(&response.body).unwrap();
                    self.responses.push((request, response.status, body));
                }
                Output::Count(metric, by) => *self.counts.entry(metric).or_default() += by,
                Output::Wake => is_woken = true,
                Output::WakeDrain | Output::ReleaseKey(_) => {}
                Output::Observe(..) | Output::Log(..) | Output::Unsigned(_) => {}
            }
        }
        if is_woken {
            self.input(worker, Input::Wake);
        }
    }

    fn ask(&mut self, worker: usize, number: u32, key: &str) {
        self.input(worker, request(number, &[("idempotency-key", key)]));
    }

    fn tick(&mut self, millis: u64) {
        self.millis += millis;
        self.input(0, Input::Tick);
        self.input(1, Input::Tick);
    }

    /// Lets the Stream answer the oldest publish.
    fn publish(&mut self, result: impl FnOnce(&Callout) -> CalloutResult) {
        let (worker, callout) = self.open.pop_front().unwrap();
        let result = result(&callout);
        self.input(worker, Input::CalloutDone(callout.ticket, result));
    }

    fn statuses(&self) -> Vec<u16> {
        self.responses
            .iter()
            .map(|(_, status, _)| *status)
            .collect()
    }
}

#[test]
fn the_same_request_gets_the_first_ones_202_from_any_worker() {
    let mut process = Process::new();
    process.ask(0, 1, "k");
    process.publish(|callout| stored(callout, 7));
    process.ask(1, 2, "k");
    process.ask(0, 3, "\"k\"");
    assert_eq!(process.statuses(), [202, 202, 202]);
    assert_eq!(process.responses[0].2, process.responses[1].2);
    assert_eq!(process.responses[0].2, process.responses[2].2);
    assert_eq!(process.responses[0].2["offset"], 7);
    assert!(process.open.is_empty(), "it is stored once");
    assert_eq!(process.counts[&Metric::RepeatedRequests], 2);
    assert_eq!(process.counts[&Metric::WaitingRequests], 0);
}

#[test]
fn another_request_with_the_same_key_is_refused() {
    let mut process = Process::new();
    process.ask(0, 1, "k");
    process.publish(|callout| stored(callout, 0));
    let other = request(2, &[("idempotency-key", "k"), (":path", "/else")]);
    let Input::RequestHead { mut head, .. } = other else {
        panic!("a head")
    };
    head.fields
        .retain(|(name, value)| name != ":path" || value == b"/else");
    let input = Input::RequestHead {
        request: RequestId(2),
        head,
        end_of_stream: true,
    };
    process.input(0, input);
    assert_eq!(process.statuses(), [202, 422]);
    assert_eq!(process.responses[1].2["type"], "urn:sluice:key-reused");
}

#[test]
fn a_repetition_waits_while_the_first_is_being_published() {
    let mut process = Process::new();
    process.ask(0, 1, "k");
    process.ask(1, 2, "k");
    process.tick(50);
    assert!(process.responses.is_empty());
    assert_eq!(process.open.len(), 1);
    process.publish(|callout| stored(callout, 3));
    process.tick(50);
    assert_eq!(process.statuses(), [202, 202]);
    assert_eq!(process.responses[0].2, process.responses[1].2);
}

#[test]
fn a_key_is_free_again_where_the_first_call_came_to_nothing() {
    let mut process = Process::new();
    process.ask(0, 1, "k");
    process.publish(|_| answer(503, &[], "no"));
    process.ask(1, 2, "k");
    process.publish(|callout| stored(callout, 0));
    assert_eq!(process.statuses(), [503, 202]);

    // Or where its client has left before it was published.
    let mut process = Process::new();
    process.ask(0, 1, "other");
    process.ask(0, 2, "k");
    process.input(0, Input::RequestGone(RequestId(2)));
    process.ask(1, 3, "k");
    process.tick(50);
    assert_eq!(process.open.len(), 2, "the other one's and the third's");
}

#[test]
fn a_call_whose_client_has_left_is_known_all_the_same() {
    let mut process = Process::new();
    process.ask(0, 1, "k");
    process.input(0, Input::RequestGone(RequestId(1)));
    process.publish(|callout| stored(callout, 5));
    process.ask(0, 2, "k");
    assert_eq!(process.statuses(), [202]);
    assert_eq!(process.responses[0].2["offset"], 5);
}

#[test]
fn a_dead_letter_frees_its_key() {
    let mut process = Process::new();
    process.ask(0, 1, "k");
    let (_, callout) = process.open.front().unwrap();
    let holder = holder(callout);
    process.publish(|callout| stored(callout, 0));
    process.input(1, Input::KeyReleased(holder));
    process.ask(0, 2, "k");
    assert_eq!(process.open.len(), 1, "it may be sent anew");
}

#[test]
fn the_dead_letter_of_another_call_frees_no_key() {
    let mut process = Process::new();
    process.ask(0, 1, "k");
    let (_, callout) = process.open.front().unwrap();
    let lost = holder(callout);
    process.publish(|_| CalloutResult::Lost);
    process.ask(0, 2, "k");
    process.publish(|callout| stored(callout, 1));
    assert_eq!(process.statuses(), [503, 202]);
    // The first one was stored after all, and dies.
    process.input(1, Input::KeyReleased(lost));
    process.ask(0, 3, "k");
    assert_eq!(process.statuses(), [503, 202, 202]);
    assert!(process.open.is_empty(), "it is known by the second call");
}

/// Returns the call of the only record of a batch, with its key.
fn holder(callout: &Callout) -> KeyHolder {
    let record = &records(callout)[0];
    let text = |name: &str| record[name].as_str().unwrap().to_owned();
    KeyHolder {
        key: KeyHash::parse(&text("idempotency")).unwrap(),
        call_id: text("id"),
    }
}

#[test]
fn a_window_ends() {
    let mut process = Process::new();
    process.ask(0, 1, "k");
    process.publish(|callout| stored(callout, 0));
    process.millis += 86_399_000;
    process.ask(0, 2, "k");
    assert_eq!(process.statuses(), [202, 202]);
    process.millis += 1_001;
    process.ask(0, 3, "k");
    assert_eq!(process.open.len(), 1, "it is a new request");
}

#[test]
fn a_slot_that_somebody_else_has_written_is_read_again() {
    let mut process = Process::new();
    process.intruder = Some(b"[]".to_vec());
    process.ask(0, 1, "k");
    process.publish(|callout| stored(callout, 0));
    process.ask(1, 2, "k");
    assert_eq!(process.statuses(), [202, 202]);
    assert!(process.open.is_empty());
}

#[test]
fn requests_without_a_key_never_meet_the_table() {
    let mut process = Process::new();
    process.input(0, request(1, &[]));
    process.publish(|callout| stored(callout, 0));
    assert!(process.table.is_empty());
    let record = json!({ "status": process.statuses() });
    assert_eq!(record, json!({ "status": [202] }));
}

#[test]
fn a_call_that_is_answered_and_not_stored_yet_is_known_until_it_is_lost() {
    let immediate = r#","publish":{"ack":"immediate","buffer":{"ageSeconds":5}}"#;
    let mut process = Process::with(immediate);
    process.ask(0, 1, "k");
    process.ask(1, 2, "k");
    assert_eq!(process.statuses(), [202, 202]);
    assert_eq!(process.responses[0].2, process.responses[1].2);
    assert_eq!(process.open.len(), 1, "one call");
    process.publish(|_| CalloutResult::NotSent);
    process.tick(6_000);
    assert_eq!(process.counts[&Metric::Lost], 1);
    process.ask(1, 3, "k");
    assert_ne!(process.responses[0].2["id"], process.responses[2].2["id"]);
}
