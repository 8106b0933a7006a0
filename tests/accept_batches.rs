//! Group commit: how marked requests share batches, and how each gets its own answer.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod support;

use sluice::accept::{AcceptEngine, Input};
use sluice::http::CalloutResult;
use sluice::id::RequestId;
use sluice::metric::Metric;

use support::{
    Said, accept, accept_engine, answer, at, open_request, open_request_of, records, request,
    stored,
};

/// Requests `from..to` arrive, whole.
fn arrive(engine: &mut AcceptEngine, range: std::ops::Range<u32>, millis: u64) -> usize {
    range
        .map(|number| accept(engine, request(number, &[]), at(millis), b"").wakes)
        .sum()
}

fn wake(engine: &mut AcceptEngine, millis: u64) -> Said {
    accept(engine, Input::Wake, at(millis), b"")
}

#[test]
fn requests_that_arrive_together_share_one_batch() {
    let mut engine = accept_engine("");
    assert_eq!(
        arrive(&mut engine, 0..5, 0),
        1,
        "one turn is asked for, not five"
    );
    let said = wake(&mut engine, 0);
    assert_eq!(said.callouts.len(), 1);
    assert_eq!(records(&said.callouts[0]).len(), 5);
}

#[test]
fn while_a_batch_is_in_flight_the_next_gathers() {
    let mut engine = accept_engine(r#","publish":{"inFlight":1}"#);
    arrive(&mut engine, 0..1, 0);
    let first = wake(&mut engine, 0).callouts.remove(0);
    assert_eq!(arrive(&mut engine, 1..4, 1), 0);
    let done = Input::CalloutDone(first.ticket, stored(&first, 0));
    let said = accept(&mut engine, done, at(2), b"");
    assert_eq!(said.responses.len(), 1);
    assert_eq!(records(&said.callouts[0]).len(), 3);
}

#[test]
fn half_as_many_as_are_under_way_do_not_wait_for_them() {
    let mut engine = accept_engine(r#","publish":{"inFlight":3}"#);
    let mut sizes = Vec::new();
    let mut arrive_and_send = |range: std::ops::Range<u32>| {
        arrive(&mut engine, range, 0);
        let puts = wake(&mut engine, 0).callouts;
        sizes.push(puts.iter().map(|put| records(put).len()).sum::<usize>());
    };
    arrive_and_send(0..4);
    arrive_and_send(4..5);
    arrive_and_send(5..6);
    arrive_and_send(6..8);
    arrive_and_send(8..9);
    arrive_and_send(9..40);
    assert_eq!(
        sizes,
        [4, 0, 2, 0, 3, 0],
        "half of four, half of six, and then no further one may be open"
    );
}

#[test]
fn a_full_batch_does_not_wait_for_the_one_in_flight() {
    let mut engine = accept_engine(r#","publish":{"batchRecords":2,"inFlight":2}"#);
    arrive(&mut engine, 0..7, 0);
    let said = wake(&mut engine, 0);
    let sizes: Vec<_> = said.callouts.iter().map(|put| records(put).len()).collect();
    assert_eq!(
        sizes,
        [2, 2],
        "two full ones are in flight, three requests wait"
    );
}

#[test]
fn a_batch_is_bounded_by_bytes_too() {
    let mut engine = accept_engine(r#","publish":{"batchBytes":2048,"inFlight":1}"#);
    for number in 0..3 {
        accept(&mut engine, open_request(number), at(0), b"");
        let body = Input::RequestBody {
            request: RequestId(number),
            buffered_bytes: 900,
            end_of_stream: true,
        };
        accept(&mut engine, body, at(0), b"");
    }
    let said = accept(&mut engine, Input::Wake, at(0), &[b'x'; 900]);
    assert_eq!(
        said.callouts.len(),
        2,
        "the second record closed the first batch, the third the second"
    );
    assert_eq!(records(&said.callouts[0]).len(), 1);
    assert_eq!(
        records(&said.callouts[0])[0]["body"]
            .as_str()
            .unwrap()
            .len(),
        900
    );
}

#[test]
fn each_request_gets_the_answer_of_its_own_entry() {
    let mut engine = accept_engine("");
    arrive(&mut engine, 0..3, 0);
    let put = wake(&mut engine, 0).callouts.remove(0);
    let result = answer(
        200,
        &[],
        r#"{"failures":2,"entries":[{"error":"TooManyRequests","errorMessage":"slow down"},
            {"partition":"1","offset":4},
            {"error":"InternalServerError","errorMessage":"who knows"}]}"#,
    );
    let said = accept(
        &mut engine,
        Input::CalloutDone(put.ticket, result),
        at(1),
        b"",
    );
    let statuses: Vec<_> = said
        .responses
        .iter()
        .map(|(id, status, _)| (id.0, *status))
        .collect();
    assert_eq!(statuses, [(0, 503), (1, 202), (2, 503)]);
    assert!(said.responses[0].2.contains(r#""stored":"no""#));
    // Such a record may be stored all the same: on Kafka, a broker's answer was lost.
    assert!(said.responses[2].2.contains(r#""stored":"unknown""#));
}

#[test]
fn at_most_64_answers_leave_in_one_turn() {
    let mut engine = accept_engine("");
    arrive(&mut engine, 0..150, 0);
    let put = wake(&mut engine, 0).callouts.remove(0);
    let done = Input::CalloutDone(put.ticket, stored(&put, 0));
    let mut said = accept(&mut engine, done, at(1), b"");
    let mut turns = vec![said.responses.len()];
    while said.wakes > 0 {
        said = wake(&mut engine, 1);
        turns.push(said.responses.len());
    }
    assert_eq!(turns, [64, 64, 22]);
}

#[test]
fn a_client_that_left_is_neither_stored_nor_answered() {
    let mut engine = accept_engine("");
    arrive(&mut engine, 0..3, 0);
    accept(&mut engine, Input::RequestGone(RequestId(1)), at(0), b"");
    let put = wake(&mut engine, 0).callouts.remove(0);
    assert_eq!(records(&put).len(), 2);
    accept(&mut engine, Input::RequestGone(RequestId(0)), at(0), b"");
    let done = Input::CalloutDone(put.ticket, stored(&put, 0));
    let said = accept(&mut engine, done, at(1), b"");
    assert_eq!(
        said.responses
            .iter()
            .map(|(id, ..)| id.0)
            .collect::<Vec<_>>(),
        [2]
    );
    assert_eq!(said.counted(Metric::PublishedRecords), 2);
    assert_eq!(said.counted(Metric::Accepted), 1);
}

#[test]
fn whatever_goes_wrong_says_whether_the_call_was_stored() {
    let reset = "upstream connect error or disconnect/reset before headers. reset reason: ";
    for (result, stored) in [
        (CalloutResult::NotSent, "no"),
        (CalloutResult::Lost, "unknown"),
        (answer(429, &[], "{}"), "no"),
        (answer(404, &[], "{}"), "no"),
        (
            answer(503, &[], &format!("{reset}remote connection failure")),
            "no",
        ),
        (
            answer(503, &[], &format!("{reset}connection termination")),
            "unknown",
        ),
        (answer(504, &[], "upstream request timeout"), "unknown"),
        (answer(200, &[], "<html>"), "unknown"),
        (
            answer(200, &[], r#"{"failures":0,"entries":[]}"#),
            "unknown",
        ),
    ] {
        let mut engine = accept_engine("");
        arrive(&mut engine, 0..1, 0);
        let put = wake(&mut engine, 0).callouts.remove(0);
        let done = Input::CalloutDone(put.ticket, result.clone());
        let said = accept(&mut engine, done, at(1), b"");
        let [(_, 503, body)] = said.responses.as_slice() else {
            panic!("{result:?} {said:?}")
        };
        assert!(
            body.contains(&format!(r#""stored":"{stored}""#)),
            "{result:?}: {body}"
        );
    }
}

#[test]
fn nobody_waits_longer_than_the_publish_timeout() {
    let mut engine = accept_engine(r#","publish":{"timeoutMs":1000,"inFlight":1}"#);
    arrive(&mut engine, 0..1, 0);
    let put = wake(&mut engine, 0).callouts.remove(0);
    arrive(&mut engine, 1..2, 500);
    let tick = |engine: &mut AcceptEngine, millis| {
        let said = accept(engine, Input::Tick, at(millis), b"");
        said.responses
            .iter()
            .map(|(id, _, body)| (id.0, body.clone()))
            .collect::<Vec<_>>()
    };
    assert!(tick(&mut engine, 999).is_empty());
    let refused = tick(&mut engine, 1_000);
    assert_eq!(refused.len(), 1);
    assert!(refused[0].0 == 0 && refused[0].1.contains(r#""stored":"unknown""#));
    let refused = tick(&mut engine, 1_500);
    assert!(refused[0].0 == 1 && refused[0].1.contains(r#""stored":"no""#));
    // The answer comes after all: nobody is answered twice.
    let said = accept(
        &mut engine,
        Input::CalloutDone(put.ticket, stored(&put, 0)),
        at(2_000),
        b"",
    );
    assert!(said.responses.is_empty());
    assert_eq!(engine.tick_period(), None, "nothing waits any more");
}

#[test]
fn at_the_limit_of_waiting_requests_the_next_is_refused() {
    let mut engine = accept_engine(r#","limits":{"waitingRequests":2}"#);
    arrive(&mut engine, 0..2, 0);
    let said = accept(&mut engine, request(2, &[]), at(0), b"");
    assert_eq!(said.responses[0].1, 429);
    accept(&mut engine, Input::RequestGone(RequestId(0)), at(0), b"");
    let said = accept(&mut engine, request(3, &[]), at(0), b"");
    assert!(said.responses.is_empty());
}

#[test]
fn at_the_limit_of_waiting_bytes_bodies_are_refused_until_there_is_room() {
    let mut engine = accept_engine(r#","limits":{"waitingBytes":2097152}"#);
    let body = |number, buffered_bytes| Input::RequestBody {
        request: RequestId(number),
        buffered_bytes,
        end_of_stream: false,
    };
    let open = |number: u32| open_request_of(&number.to_string(), number);
    for number in 0..4 {
        accept(&mut engine, open(number), at(0), b"");
    }
    for (number, bytes) in [(0, 655_360), (1, 300_000), (1, 655_360), (2, 400_000)] {
        let said = accept(&mut engine, body(number, bytes), at(0), b"");
        assert!(said.responses.is_empty());
    }
    let said = accept(&mut engine, body(3, 100_000), at(0), b"");
    assert!(said.responses.is_empty());
    let said = accept(&mut engine, body(3, 600_000), at(0), b"");
    assert_eq!(said.responses[0].1, 429);
    assert_eq!(said.counted(Metric::WaitingRequests), -1);
    accept(&mut engine, Input::RequestGone(RequestId(0)), at(0), b"");
    accept(&mut engine, open(4), at(0), b"");
    let said = accept(&mut engine, body(4, 655_360), at(0), b"");
    assert!(said.responses.is_empty(), "there is room again");
}

#[test]
fn at_the_limit_of_waiting_bytes_heads_and_trailers_are_refused_too() {
    let mut engine = accept_engine(r#","limits":{"waitingBytes":2097152}"#);
    let large = "x".repeat(50_000);
    let head = |number: u32| {
        let caller = number.to_string();
        let fields = [("x-large", large.as_str()), ("authorization", &caller)];
        let Input::RequestHead { request, head, .. } = request(number, &fields) else {
            panic!("no head")
        };
        Input::RequestHead {
            request,
            head,
            end_of_stream: false,
        }
    };
    let refused = (0..50).filter(|number| {
        let said = accept(&mut engine, head(*number), at(0), b"");
        said.responses
            .first()
            .is_some_and(|(_, status, _)| *status == 429)
    });
    assert_eq!(refused.count(), 50 - 41);
    let trailers = Input::RequestTrailers {
        request: RequestId(0),
        trailers: vec![("checksum".to_owned(), large.clone().into_bytes())],
    };
    let said = accept(&mut engine, trailers, at(0), b"");
    assert_eq!(said.responses[0].1, 429);
}

#[test]
fn a_body_that_grows_past_the_limit_is_refused_with_the_limit() {
    let mut engine = accept_engine(r#","limits":{"bodyBytes":10}"#);
    accept(&mut engine, open_request(0), at(0), b"");
    let request = RequestId(0);
    let body = |bytes| Input::RequestBody {
        request,
        buffered_bytes: bytes,
        end_of_stream: false,
    };
    assert!(
        accept(&mut engine, body(10), at(0), b"")
            .responses
            .is_empty()
    );
    let said = accept(&mut engine, body(11), at(0), b"");
    assert_eq!(said.responses[0].1, 413);
    assert!(said.responses[0].2.contains(r#""limitBytes":10"#));
    assert!(
        accept(&mut engine, body(12), at(0), b"")
            .responses
            .is_empty(),
        "answered once"
    );
}

#[test]
fn trailers_end_a_request_and_stand_in_its_record() {
    let mut engine = accept_engine("");
    accept(&mut engine, open_request(0), at(0), b"");
    let request = RequestId(0);
    let body = Input::RequestBody {
        request,
        buffered_bytes: 3,
        end_of_stream: false,
    };
    accept(&mut engine, body, at(0), b"");
    let trailers = vec![("checksum".to_owned(), b"1".to_vec())];
    accept(
        &mut engine,
        Input::RequestTrailers { request, trailers },
        at(0),
        b"",
    );
    let said = accept(&mut engine, Input::Wake, at(0), b"abc");
    let record = records(&said.callouts[0]).remove(0);
    assert_eq!(record["body"], "abc");
    assert_eq!(record["trailers"], serde_json::json!([["checksum", "1"]]));
}
