//! What is different where the streams are on Kafka: what excuses a repetition, and what an outage
//! is.
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

use chaos::history::{
    Arrival, Engine, Fate, Fault, History, How, Millis, Number, Part, Request, Role, Told, Wish,
};
use chaos::verdict::outage::Outage;
use chaos::verdict::repeats::{AFTERMATH_ON_KAFKA, TAKE_OVER};
use chaos::verdict::{Verdict, judge};

fn request(number: Number, at: Millis) -> Request {
    Request {
        number,
        gateway: 0,
        wish: Wish::default(),
        at,
        due_unix: None,
        answered: at,
        told: Told::Accepted(format!("call-{number}")),
        again: None,
    }
}

fn taken(number: Number, gateway: usize, start: Millis) -> Arrival {
    Arrival {
        number,
        role: Role::Call,
        id: format!("call-{number}"),
        gateway,
        target: 0,
        attempt: Some(1),
        start,
        start_unix: start,
        end: start,
        fate: Fate::Taken,
        is_whole: true,
    }
}

fn fault(part: Part, how: How, from: Millis, until: Millis) -> Fault {
    Fault {
        part,
        how,
        from,
        reborn: until,
        until,
    }
}

fn verdict(requests: &[Request], arrivals: &[Arrival], faults: &[Fault]) -> Verdict {
    judge(&History {
        engine: Engine::Kafka,
        requests: requests.to_vec(),
        arrivals: arrivals.to_vec(),
        faults: faults.to_vec(),
        letters: Vec::new(),
    })
}

/// Returns whether a repetition by the other gateway is explained by a fault that was over so long
/// before the first arrival.
fn is_explained(part: Part, over_for: Millis) -> bool {
    let now = 20_000;
    let arrivals = [taken(1, 0, now), taken(1, 1, now + 10)];
    let fault = fault(part, How::Stop, 0, now - over_for);
    let verdict = verdict(&[request(1, 0)], &arrivals, &[fault]);
    assert_eq!(verdict.lost, []);
    verdict.unexplained.is_empty()
}

#[test]
fn any_part_in_front_of_the_streams_moves_groups_for_a_while() {
    for part in [
        Part::Broker(1),
        Part::Controller,
        Part::BetweenBrokers(2),
        Part::Front(0),
        Part::ToBrokers(1),
        Part::ToFront(1, 2),
    ] {
        assert!(is_explained(part, TAKE_OVER), "{part}");
        assert!(!is_explained(part, TAKE_OVER + 1), "{part}");
    }
}

#[test]
fn a_gateway_and_its_way_do_so_for_a_shorter_time() {
    for part in [Part::Gateway(0), Part::ToStream(0)] {
        assert!(is_explained(part, AFTERMATH_ON_KAFKA), "{part}");
        assert!(!is_explained(part, AFTERMATH_ON_KAFKA + 1), "{part}");
    }
    assert!(!is_explained(Part::Target(1), 0), "another target");
}

/// Requests and calls at these times.
fn at(times: &[Millis]) -> (Vec<Request>, Vec<Arrival>) {
    let numbered = || (1..).zip(times.iter().copied());
    let requests = numbered().map(|(number, at)| request(number, at));
    let arrivals = numbered().map(|(number, at)| taken(number, 0, at + 1));
    (requests.collect(), arrivals.collect())
}

#[test]
fn the_longest_time_without_anything_counts_if_it_began_in_the_fault() {
    let (requests, arrivals) = at(&[0, 100, 700, 900, 2_900]);
    let kind = ("broker", How::Kill);
    let of = |from, until| {
        let fault = fault(Part::Broker(0), How::Kill, from, until);
        verdict(&requests, &arrivals, &[fault])
            .outages
            .get(&kind)
            .copied()
    };
    let outage = |length| Outage {
        measured: 1,
        accepts: length,
        arrivals: length,
    };
    assert_eq!(of(50, 200), Some(outage(600)));
    assert_eq!(of(50, 850), Some(outage(600)));
    assert_eq!(of(150, 1_000), Some(outage(2_000)));
    assert_eq!(of(150, 3_000), None, "nobody knows when it ends");
}

#[test]
fn an_outage_with_another_fault_in_it_is_nobodys() {
    let (requests, arrivals) = at(&[0, 100, 700]);
    let faults = [
        fault(Part::Broker(0), How::Kill, 50, 200),
        fault(Part::Front(0), How::Kill, 300, 400),
    ];
    assert!(verdict(&requests, &arrivals, &faults).outages.is_empty());
}
