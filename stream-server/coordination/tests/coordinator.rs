//! One front, driven by hand.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use stream_coordination::config::Config;
use stream_coordination::coordinator::Coordinator;
use stream_coordination::io::{Answer, AppendResult, Input, LogId, Output, Route};
use stream_coordination::record::{Change, Document, FrontId, SlotBody, SlotRecord};

const SLOT: LogId = LogId::Slot(0);

/// A front and two logs that take everything at once, unless a test wants it otherwise.
struct Rig {
    front: Coordinator,
    now: u64,
    logs: [Vec<Vec<u8>>; 2],
    /// Whether the outcome of writes into the slot stays unknown.
    is_mute: bool,
    answers: Vec<(u64, Answer)>,
    has_left: bool,
}

impl Rig {
    fn start() -> Self {
        Self::start_on(Vec::new())
    }

    fn start_on(slot: Vec<SlotRecord>) -> Self {
        let id = FrontId("a-1".to_owned());
        let mut config = Config::new(id, "http://a".to_owned(), 1);
        config.times.gather_ms = 0;
        let mut rig = Self {
            front: Coordinator::new(config, 0).unwrap(),
            now: 0,
            logs: [Vec::new(), slot.iter().map(SlotRecord::bytes).collect()],
            is_mute: false,
            answers: Vec::new(),
            has_left: false,
        };
        rig.perform();
        rig
    }

    fn log(&mut self, log: LogId) -> &mut Vec<Vec<u8>> {
        let [members, slot] = &mut self.logs;
        if log == LogId::Members { members } else { slot }
    }

    fn tell(&mut self, input: Input) {
        self.front.handle(input, self.now);
        self.perform();
    }

    fn perform(&mut self) {
        while let Some(output) = self.front.poll_output() {
            match output {
                Output::Open { log } => {
                    let end = u64::try_from(self.log(log).len()).unwrap();
                    let oldest = 0;
                    self.front
                        .handle(Input::Opened { log, oldest, end }, self.now);
                }
                Output::Append {
                    log,
                    ticket,
                    records,
                } => self.append(log, ticket, records),
                Output::Answer { request, answer } => self.answers.push((request, answer)),
                Output::Read { log, from } if log == SLOT && from == 0 => self.read_all(),
                Output::Read { .. } => {}
                Output::Left => self.has_left = true,
                Output::DeleteBefore { .. }
                | Output::Gained { .. }
                | Output::Lost { .. }
                | Output::Changed { .. } => {}
            }
        }
    }

    fn read_all(&mut self) {
        let [_, slot] = &self.logs;
        let records: Vec<_> = (0..).zip(slot.iter().cloned()).collect();
        let next = u64::try_from(records.len()).unwrap();
        let (log, from) = (SLOT, 0);
        let fetched = Input::Fetched {
            log,
            from,
            records,
            next,
        };
        self.front.handle(fetched, self.now);
    }

    fn append(&mut self, log: LogId, ticket: u64, records: Vec<Vec<u8>>) {
        let from = u64::try_from(self.log(log).len()).unwrap();
        let offsets: Vec<u64> = (from..).take(records.len()).collect();
        let next = from + u64::try_from(records.len()).unwrap();
        let is_lost = self.is_mute && log == SLOT;
        if !is_lost {
            self.log(log).extend(records.iter().cloned());
        }
        let result = match is_lost {
            true => AppendResult::Unknown,
            false => AppendResult::At(offsets.clone()),
        };
        self.front
            .handle(Input::Appended { ticket, result }, self.now);
        if log == LogId::Members {
            let records = offsets.into_iter().zip(records).collect();
            let fetched = Input::Fetched {
                log,
                from,
                records,
                next,
            };
            self.front.handle(fetched, self.now);
        }
    }

    fn pass(&mut self, millis: u64) {
        self.now += millis;
        self.tell(Input::Tick);
    }

    fn put(&mut self, request: u64) {
        let change = Change::PutDocument(Document {
            kind: "pool".to_owned(),
            id: "one".to_owned(),
            json: request.to_string(),
        });
        self.tell(Input::Request {
            request,
            slot: 0,
            change,
        });
    }

    fn bodies(&self) -> Vec<SlotBody> {
        let [_, slot] = &self.logs;
        let read = slot.iter().filter_map(|record| SlotRecord::read(record));
        read.map(|record| record.body).collect()
    }
}

#[test]
fn a_front_alone_claims_serves_and_releases() {
    let mut rig = Rig::start();
    assert_eq!(rig.front.route(0), Route::Here { epoch: 1 });
    assert!(rig.front.may_serve(0, 1, rig.now));
    rig.put(7);
    assert!(matches!(rig.answers[..], [(7, Answer::Done { .. })]));
    rig.tell(Input::Leave);
    assert_eq!(rig.bodies().last(), Some(&SlotBody::Release));
    assert!(!rig.front.may_serve(0, 1, rig.now));
    assert!(rig.has_left);
}

#[test]
fn a_lost_write_is_written_anew_and_answered_once() {
    let mut rig = Rig::start();
    rig.is_mute = true;
    rig.put(7);
    assert_eq!(rig.answers, []);
    rig.is_mute = false;
    rig.pass(300);
    assert!(
        matches!(rig.answers[..], [(7, Answer::Done { .. })]),
        "{:?}",
        rig.answers
    );
    let is_put = |body: &SlotBody| matches!(body, SlotBody::Change(_));
    assert_eq!(rig.bodies().into_iter().filter(is_put).count(), 1);
}

#[test]
fn a_lease_ends_without_valid_records() {
    let mut rig = Rig::start();
    rig.is_mute = true;
    rig.pass(1_000);
    assert!(rig.front.may_serve(0, 1, rig.now));
    rig.pass(2_500);
    assert!(
        !rig.front.may_serve(0, 1, rig.now),
        "3 s after its last record"
    );
    assert_eq!(rig.front.route(0), Route::Here { epoch: 1 }, "a pause only");
    rig.put(8);
    rig.pass(21_000);
    assert!(matches!(
        rig.answers[..],
        [(8, Answer::Unknown | Answer::NotDone(_))]
    ));
}

#[test]
fn an_owner_keeps_its_slot_when_the_bounds_that_it_is_told_are_old() {
    let mut rig = Rig::start();
    let end = u64::try_from(rig.logs[1].len()).unwrap();
    rig.front.handle(Input::OutOfRange { log: SLOT }, rig.now);
    assert_eq!(rig.front.poll_output(), Some(Output::Open { log: SLOT }));
    // While the brokers are asked, it writes on.
    rig.put(7);
    let oldest = 0;
    rig.tell(Input::Opened {
        log: SLOT,
        oldest,
        end,
    });
    assert_eq!(rig.front.route(0), Route::Here { epoch: 1 });
}

#[test]
fn a_slot_is_not_released_before_the_lease_of_its_owner_before_is_over() {
    let mut rig = Rig::start_on(vec![SlotRecord {
        epoch: 1,
        seq: 0,
        body: SlotBody::Claim {
            front: FrontId("b-1".to_owned()),
        },
    }]);
    for _ in 0..6 {
        rig.pass(1_000);
    }
    // The owner serves on, though nobody hears that it lives.
    let renewal = SlotRecord {
        epoch: 1,
        seq: 1,
        body: SlotBody::Renew,
    };
    rig.logs[1].push(renewal.bytes());
    rig.tell(Input::Fetched {
        log: SLOT,
        from: 1,
        records: vec![(1, renewal.bytes())],
        next: 2,
    });
    for _ in 0..3 {
        rig.pass(1_000);
    }
    assert_eq!(rig.front.route(0), Route::Here { epoch: 2 });
    assert!(!rig.front.may_serve(0, 2, rig.now), "the lease may last");
    rig.tell(Input::Leave);
    assert!(!rig.bodies().contains(&SlotBody::Release));
    assert_eq!(rig.front.route(0), Route::Nowhere, "it takes nothing more");
    for _ in 0..4 {
        rig.pass(1_000);
    }
    assert_eq!(rig.bodies().last(), Some(&SlotBody::Release));
    assert!(rig.has_left);
}
