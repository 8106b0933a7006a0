//! `ack: immediate`: the client's answer comes first, the Stream's later; what is kept meanwhile is
//! bounded, put again, and given up in the end.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod support;

use sluice::accept::{AcceptEngine, Input};
use sluice::engine::Callout;
use sluice::http::CalloutResult;
use sluice::metric::Metric;

use support::{Said, accept, accept_engine, answer, at, records, request, stored};

fn immediate(buffer: &str) -> AcceptEngine {
    accept_engine(&format!(
        r#","publish":{{"ack":"immediate","buffer":{{{buffer}}}}}"#
    ))
}

/// Lets these whole requests arrive. Turns of the event loop come as they are asked for.
fn arrive(engine: &mut AcceptEngine, numbers: std::ops::Range<u32>, millis: u64) -> Said {
    for number in numbers {
        accept(engine, request(number, &[]), at(millis), b"");
    }
    turns(engine, millis)
}

fn turns(engine: &mut AcceptEngine, millis: u64) -> Said {
    let mut all = Said::default();
    loop {
        let said = accept(engine, Input::Wake, at(millis), b"");
        all.responses.extend(said.responses);
        all.callouts.extend(said.callouts);
        for (metric, by) in said.counts {
            *all.counts.entry(metric).or_default() += by;
        }
        if said.wakes == 0 {
            return all;
        }
    }
}

fn done(engine: &mut AcceptEngine, put: &Callout, result: CalloutResult, millis: u64) -> Said {
    accept(
        engine,
        Input::CalloutDone(put.ticket, result),
        at(millis),
        b"",
    )
}

fn tick(engine: &mut AcceptEngine, millis: u64) -> Said {
    accept(engine, Input::Tick, at(millis), b"")
}

#[test]
fn clients_are_answered_before_the_stream_has_their_calls() {
    let mut engine = immediate("");
    let said = arrive(&mut engine, 0..3, 0);
    assert_eq!(said.responses.len(), 3);
    for (_, status, body) in &said.responses {
        assert_eq!(*status, 202);
        assert!(body.contains(r#""acceptedAt""#), "{body}");
        assert!(
            !body.contains("offset") && !body.contains("partition"),
            "{body}"
        );
    }
    let (first, rest) = (
        said.counted(Metric::Accepted),
        said.counted(Metric::Buffered),
    );
    assert_eq!((first, rest), (3, 3));
    let put = &said.callouts[0];
    assert_eq!(records(put).len(), 3);
    let said = arrive(&mut engine, 3..5, 1);
    assert_eq!(
        said.responses.len(),
        2,
        "nobody waits for the batch in flight"
    );
    assert!(said.callouts.is_empty(), "their records do");
    let said = done(&mut engine, put, stored(put, 0), 2);
    assert_eq!((said.counted(Metric::Buffered), said.drain_wakes), (-3, 1));
    let put = &said.callouts[0];
    assert_eq!(records(put).len(), 2);
    assert!(engine.tick_period().is_some(), "two are kept still");
    done(&mut engine, put, stored(put, 3), 3);
    tick(&mut engine, 4);
    assert_eq!(engine.tick_period(), None);
}

#[test]
fn what_the_stream_does_not_take_is_put_again() {
    let mut engine = immediate("");
    let put = arrive(&mut engine, 0..2, 0).callouts.remove(0);
    let said = done(&mut engine, &put, CalloutResult::Lost, 10);
    assert!(said.responses.is_empty(), "they have their answers");
    assert!(said.callouts.is_empty(), "not at once");
    let again = tick(&mut engine, 1_000).callouts.remove(0);
    assert_eq!(records(&again), records(&put));
    let partly = r#"{"failures":1,"entries":[{"error":"TooManyRequests","errorMessage":""},
        {"partition":"0","offset":1}]}"#;
    let said = done(&mut engine, &again, answer(200, &[], partly), 1_010);
    assert_eq!(said.counted(Metric::PublishedRecords), 1);
    let third = tick(&mut engine, 3_000).callouts.remove(0);
    assert_eq!(records(&third), records(&put)[..1]);
}

#[test]
fn what_nobody_stores_in_time_is_lost_and_said_to_be() {
    let mut engine = immediate(r#""ageSeconds":5"#);
    let put = arrive(&mut engine, 0..2, 0).callouts.remove(0);
    done(&mut engine, &put, CalloutResult::NotSent, 10);
    let put = tick(&mut engine, 1_000).callouts.remove(0);
    let said = tick(&mut engine, 6_000);
    assert_eq!(
        said.counted(Metric::Lost),
        0,
        "they may be being stored now"
    );
    let said = done(&mut engine, &put, CalloutResult::NotSent, 6_001);
    assert_eq!(said.counted(Metric::Lost), 2);
    assert_eq!(said.counted(Metric::Buffered), -2);
    let id = records(&put)[0]["id"].as_str().unwrap().to_owned();
    assert!(
        said.logs.iter().any(|line| line.contains(&id)),
        "{:?}",
        said.logs
    );
    assert_eq!(engine.tick_period(), None);
}

#[test]
fn more_than_may_be_kept_is_refused() {
    let mut engine = immediate(r#""calls":2"#);
    let said = arrive(&mut engine, 0..3, 0);
    let statuses: Vec<_> = said
        .responses
        .iter()
        .map(|(_, status, _)| *status)
        .collect();
    assert_eq!(statuses, [202, 202, 429]);
    assert_eq!(said.counted(Metric::RefusedTooManyWaiting), 1);
    let put = &said.callouts[0];
    done(&mut engine, put, stored(put, 0), 1);
    assert_eq!(arrive(&mut engine, 3..4, 2).responses[0].1, 202);
}

#[test]
fn calls_with_one_order_key_never_share_a_batch() {
    let mut engine = immediate("");
    for number in 0..3 {
        let key = if number == 1 { "b" } else { "a" };
        accept(
            &mut engine,
            request(number, &[("async-order-key", key)]),
            at(0),
            b"",
        );
    }
    let first = accept(&mut engine, Input::Wake, at(0), b"")
        .callouts
        .remove(0);
    assert_eq!(
        records(&first).len(),
        2,
        "the third waits: it must not overtake the first"
    );
    let failed = r#"{"failures":2,"entries":[{"error":"x","errorMessage":""},
        {"error":"x","errorMessage":""}]}"#;
    done(&mut engine, &first, answer(200, &[], failed), 1);
    let again = tick(&mut engine, 1_000).callouts.remove(0);
    assert_eq!(records(&again), records(&first));
    let last = done(&mut engine, &again, stored(&again, 0), 1_001)
        .callouts
        .remove(0);
    assert_eq!(records(&last)[0]["orderKey"], "a");
}
