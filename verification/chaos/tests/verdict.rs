//! Wrong histories, and the count that catches each of them; and right ones, which none does.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use chaos::history::{
    Arrival, Fate, Fault, History, How, Letter, Millis, Number, Part, Request, Role, Told, Wish,
};
use chaos::verdict::repeats::Cause;
use chaos::verdict::{Verdict, judge};

/// The wall clock at the beginning.
const UNIX: u64 = 1_795_000_000_000;

fn request(number: Number, at: Millis) -> Request {
    Request {
        number,
        gateway: 0,
        wish: Wish::default(),
        at,
        due_unix: None,
        answered: at + 5,
        told: Told::Accepted(format!("call-{number}")),
        again: None,
    }
}

fn ordered(number: Number, at: Millis) -> Request {
    let mut request = request(number, at);
    request.wish.order_key = Some(1);
    request
}

fn arrival(number: Number, gateway: usize, start: Millis, fate: Fate) -> Arrival {
    Arrival {
        number,
        role: Role::Call,
        id: format!("call-{number}"),
        gateway,
        target: 0,
        attempt: Some(1),
        start,
        start_unix: UNIX + start,
        end: start + 10,
        fate,
        is_whole: true,
    }
}

fn taken(number: Number, gateway: usize, start: Millis) -> Arrival {
    arrival(number, gateway, start, Fate::Taken)
}

fn fault(part: Part, how: How, from: Millis, until: Millis) -> Fault {
    let reborn = if how == How::Kill {
        (from + until) / 2
    } else {
        until
    };
    Fault {
        part,
        how,
        from,
        reborn,
        until,
    }
}

fn verdict(requests: &[Request], arrivals: &[Arrival], faults: &[Fault]) -> Verdict {
    judge(&History {
        requests: requests.to_vec(),
        arrivals: arrivals.to_vec(),
        faults: faults.to_vec(),
        ..History::default()
    })
}

/// Returns what a history is found guilty of, in the order of the table.
fn guilty(requests: &[Request], arrivals: &[Arrival], faults: &[Fault]) -> Vec<&'static str> {
    let verdict = verdict(requests, arrivals, faults);
    verdict.violations().map(|(kind, _)| kind).collect()
}

#[test]
fn a_good_history_is_counted_and_nothing_else() {
    let mut failed = arrival(2, 1, 100, Fate::Again(0));
    failed.attempt = Some(1);
    let mut second = taken(2, 1, 300);
    second.attempt = Some(2);
    let verdict = verdict(
        &[request(1, 0), request(2, 50)],
        &[taken(1, 0, 10), failed, second],
        &[],
    );
    assert!(verdict.is_good(), "{verdict:?}");
    assert_eq!(
        (verdict.accepted, verdict.delivered, verdict.dead),
        (2, 2, 0)
    );
    assert!(verdict.repeated.is_empty());
}

#[test]
fn what_was_accepted_and_never_taken_is_lost() {
    assert_eq!(guilty(&[request(1, 0)], &[], &[]), ["lost"]);
    let failed = arrival(1, 0, 10, Fate::Again(0));
    assert_eq!(guilty(&[request(1, 0)], &[failed], &[]), ["lost"]);
}

#[test]
fn a_missing_reply_is_lost() {
    let mut asks = request(1, 0);
    asks.wish.reply = true;
    assert_eq!(guilty(&[asks.clone()], &[taken(1, 0, 10)], &[]), ["lost"]);
    let mut reply = taken(1, 0, 30);
    reply.role = Role::Reply;
    assert!(guilty(&[asks], &[taken(1, 0, 10), reply], &[]).is_empty());
}

#[test]
fn a_refused_call_needs_its_letter_and_only_that() {
    let letter = |id: &str| Letter {
        id: id.to_owned(),
        reason: "rejected".to_owned(),
    };
    let history = |fate, letters: &[Letter]| History {
        requests: vec![request(1, 0)],
        arrivals: vec![arrival(1, 0, 10, fate)],
        faults: Vec::new(),
        letters: letters.to_vec(),
        ..History::default()
    };
    let kinds = |history: &History| {
        let verdict = judge(history);
        verdict.violations().map(|(k, _)| k).collect::<Vec<_>>()
    };
    let dead = history(Fate::Refused, &[letter("call-1")]);
    assert!(judge(&dead).is_good());
    assert_eq!(judge(&dead).dead, 1);
    assert_eq!(kinds(&history(Fate::Refused, &[])), ["lost"]);
    assert_eq!(kinds(&history(Fate::Taken, &[letter("call-1")])), ["wrong"]);
    let stray = history(Fate::Taken, &[letter("call-9")]);
    assert_eq!(kinds(&stray), ["wrong"]);
}

#[test]
fn what_was_refused_must_not_be_made_and_what_is_unknown_may() {
    let told = |told: Told| {
        let mut request = request(1, 0);
        request.told = told;
        guilty(&[request], &[taken(1, 0, 10)], &[])
    };
    assert_eq!(told(Told::Refused(503)), ["wrong"]);
    assert_eq!(told(Told::NotSent), ["wrong"]);
    assert!(told(Told::Unknown).is_empty());
    let nobodys = guilty(&[], &[taken(1, 0, 10)], &[]);
    assert_eq!(nobodys, ["wrong"]);
}

#[test]
fn content_of_another_call_is_wrong() {
    let mut mixed = taken(1, 0, 10);
    mixed.is_whole = false;
    assert_eq!(guilty(&[request(1, 0)], &[mixed], &[]), ["wrong"]);
}

#[test]
fn one_idempotency_key_is_one_call_while_its_gateway_lives() {
    let mut twice = request(1, 0);
    twice.again = Some((20, 25, Told::Accepted("call-2".to_owned())));
    let mut other = taken(1, 0, 40);
    other.id = "call-2".to_owned();
    let arrivals = [taken(1, 0, 10), other];
    let quiet = guilty(&[twice.clone()], &arrivals, &[]);
    assert_eq!(quiet, ["wrong", "wrong"], "two answers, two calls");
    let killed = fault(Part::Gateway(0), How::Kill, 10, 22);
    assert!(guilty(&[twice], &arrivals, &[killed]).is_empty());
}

#[test]
fn a_repetition_in_quiet_times_has_no_excuse() {
    let twice = [taken(1, 0, 10), taken(1, 1, 500)];
    assert_eq!(
        guilty(&[request(1, 0)], &twice, &[]),
        ["unexplained duplicate"]
    );
    // Long over, elsewhere, or not yet.
    for fault in [
        fault(Part::Gateway(1), How::Kill, 600, 900),
        fault(Part::ToStream(1), How::Drop, 600, 900),
        fault(Part::Target(1), How::Kill, 0, 100),
        fault(Part::ToTarget(1, 0), How::Drop, 0, 100),
    ] {
        let found = guilty(&[request(1, 0)], &twice, &[fault]);
        assert_eq!(found, ["unexplained duplicate"], "{fault:?}");
    }
    // It was committed long before.
    let old = [taken(1, 0, 10), taken(1, 1, 50_000)];
    let died = fault(Part::Gateway(0), How::Kill, 40_000, 45_000);
    let found = guilty(&[request(1, 0)], &old, &[died]);
    assert_eq!(found, ["unexplained duplicate"]);
    let late = [taken(1, 0, 9_000), taken(1, 1, 9_500)];
    let over = fault(Part::Stream, How::Kill, 1_000, 2_000);
    let found = guilty(&[request(1, 0)], &late, &[over]);
    assert_eq!(found, ["unexplained duplicate"]);
}

#[test]
fn each_cause_excuses_what_it_can_have_caused() {
    let causes = |arrivals: &[Arrival], fault: Fault| {
        let verdict = verdict(&[request(1, 0)], arrivals, &[fault]);
        assert!(verdict.is_good(), "{verdict:?}");
        verdict.repeated.into_keys().collect::<Vec<_>>()
    };
    let twice = [taken(1, 0, 10), taken(1, 1, 5_000)];
    let died = fault(Part::Gateway(0), How::Kill, 2_000, 3_000);
    assert_eq!(causes(&twice, died), [Cause::DrainDied]);
    let stopped = fault(Part::Gateway(0), How::Stop, 2_000, 3_000);
    assert_eq!(causes(&twice, stopped), [Cause::SessionLost]);
    let stream = fault(Part::Stream, How::Kill, 2_000, 3_000);
    assert_eq!(causes(&twice, stream), [Cause::SessionLost]);
    let own = fault(Part::Gateway(1), How::Stop, 2_000, 4_000);
    assert_eq!(causes(&twice, own), [Cause::NotHeardYet]);
    let answer = fault(Part::ToTarget(0, 0), How::Drop, 15, 300);
    assert_eq!(causes(&twice, answer), [Cause::AnswerLost]);
    let mut failed = arrival(1, 0, 10, Fate::Again(1_000));
    failed.attempt = Some(1);
    let both = [failed, taken(1, 1, 5_000), taken(1, 1, 5_400)];
    assert_eq!(causes(&both, stopped), [Cause::TwoRecords]);
    let unreached = fault(Part::ToTarget(0, 0), How::Drop, 5, 1_500);
    let both_late = [taken(1, 1, 5_000), taken(1, 1, 5_400)];
    let faults = [unreached, stopped];
    assert!(verdict(&[request(1, 0)], &both_late, &faults).is_good());
    let unexplained = ["unexplained duplicate"; 1];
    assert_eq!(guilty(&[request(1, 0)], &both, &[]), unexplained);
    // Calls with a key are on no lane.
    assert_eq!(guilty(&[ordered(1, 0)], &both, &[stopped]), unexplained);
}

#[test]
fn a_drain_that_lives_remembers_what_it_has_done() {
    let twice = [taken(1, 0, 10), taken(1, 0, 5_000)];
    for fault in [
        fault(Part::Stream, How::Kill, 2_000, 3_000),
        fault(Part::ToStream(0), How::Drop, 2_000, 3_000),
        fault(Part::Gateway(0), How::Stop, 2_000, 3_000),
    ] {
        let found = guilty(&[request(1, 0)], &twice, &[fault]);
        assert_eq!(found, ["unexplained duplicate"], "{fault:?}");
    }
    let died = fault(Part::Gateway(0), How::Kill, 2_000, 3_000);
    assert!(guilty(&[request(1, 0)], &twice, &[died]).is_empty());
}

#[test]
fn a_call_that_is_still_under_way_is_not_made_again() {
    let mut hanging = arrival(1, 0, 10, Fate::Silence);
    hanging.end = 1_000;
    let soon = [hanging.clone(), taken(1, 0, 500)];
    assert_eq!(
        guilty(&[request(1, 0)], &soon, &[]),
        ["unexplained duplicate"]
    );
    let then = [hanging.clone(), taken(1, 0, 1_100)];
    assert!(guilty(&[request(1, 0)], &then, &[]).is_empty());
    // The drain has given it up, which the target doesn't see.
    let mut next = taken(1, 0, 500);
    next.attempt = Some(2);
    assert!(guilty(&[request(1, 0)], &[hanging, next], &[]).is_empty());
}

#[test]
fn replies_are_repeated_for_calls_that_are_or_for_a_doubt() {
    let mut asks = request(1, 0);
    asks.wish.reply = true;
    let reply = |start| {
        let mut reply = taken(1, 0, start);
        reply.role = Role::Reply;
        reply
    };
    let twice = [taken(1, 0, 10), reply(30), reply(900)];
    let found = guilty(&[asks.clone()], &twice, &[]);
    assert_eq!(found, ["unexplained duplicate"]);
    let doubt = fault(Part::ToStream(0), How::Drop, 15, 600);
    assert!(guilty(&[asks.clone()], &twice, &[doubt]).is_empty());
    let died = fault(Part::Gateway(1), How::Kill, 20, 600);
    let both = [taken(1, 1, 10), taken(1, 0, 700), reply(720), reply(900)];
    assert!(guilty(&[asks], &both, &[died]).is_empty());
}

#[test]
fn early_is_before_the_due_time_or_the_pause_that_was_asked_for() {
    let mut deferred = request(1, 0);
    deferred.due_unix = Some(UNIX + 1_000);
    assert_eq!(
        guilty(&[deferred.clone()], &[taken(1, 0, 999)], &[]),
        ["early"]
    );
    assert!(guilty(&[deferred], &[taken(1, 0, 1_000)], &[]).is_empty());
    let failed = arrival(1, 0, 10, Fate::Again(1_000));
    let mut again = taken(1, 1, 1_000);
    again.attempt = Some(2);
    assert_eq!(
        guilty(&[request(1, 0)], &[failed.clone(), again.clone()], &[]),
        ["early"]
    );
    again.start = 1_020;
    assert!(guilty(&[request(1, 0)], &[failed, again], &[]).is_empty());
}

#[test]
fn calls_of_one_key_neither_overtake_nor_overlap() {
    let both = [ordered(1, 0), ordered(2, 20)];
    let right = [taken(1, 0, 30), taken(2, 0, 40)];
    assert!(guilty(&both, &right, &[]).is_empty());
    let overtaken = [taken(2, 0, 30), taken(1, 0, 60)];
    assert_eq!(guilty(&both, &overtaken, &[]), ["order"]);
    // No trouble excuses it.
    let died = fault(Part::Gateway(0), How::Kill, 10, 25);
    assert_eq!(guilty(&both, &overtaken, &[died]), ["order"]);
    let failed = arrival(1, 0, 30, Fate::Again(0));
    let early = [failed, taken(2, 0, 45), taken(1, 0, 60)];
    assert_eq!(guilty(&both, &early, &[]), ["order"]);
    let overlap = [taken(1, 0, 30), taken(1, 1, 35), taken(2, 1, 50)];
    let stopped = fault(Part::Gateway(0), How::Stop, 10, 32);
    assert_eq!(
        guilty(&both, &overlap, &[]),
        ["unexplained duplicate", "order"]
    );
    assert!(guilty(&both, &overlap, &[stopped]).is_empty());
}

#[test]
fn an_old_owner_does_not_go_on_with_a_key() {
    let both = [ordered(1, 0), ordered(2, 20)];
    let arrivals = [taken(1, 1, 2_000), taken(2, 1, 2_020), taken(1, 0, 3_100)];
    let stopped = fault(Part::Gateway(0), How::Stop, 25, 3_000);
    let found = guilty(&both, &arrivals, &[stopped]);
    assert_eq!(found, ["unexplained duplicate"]);
    let plain = [request(1, 0), request(2, 20)];
    assert!(guilty(&plain, &arrivals, &[stopped]).is_empty());
}

#[test]
fn the_longest_recovery_of_each_kind_is_told() {
    let faults = [
        fault(Part::Gateway(0), How::Kill, 100, 200),
        fault(Part::Gateway(1), How::Kill, 5_000, 5_100),
    ];
    let arrivals = [
        taken(1, 1, 300),
        taken(2, 0, 400),
        taken(3, 0, 700),
        taken(4, 1, 6_000),
    ];
    // What was in memory before shows nothing.
    let requests = [
        request(1, 250),
        request(2, 0),
        request(3, 250),
        request(4, 5_500),
    ];
    let verdict = verdict(&requests, &arrivals, &faults);
    let took: Vec<_> = verdict.recoveries.iter().map(|r| r.took).collect();
    assert_eq!(took, [900]);
}

/// As it was found: the owner of a lane was cut off, and stored its hop late.
#[test]
fn two_hops_of_one_call_are_two_calls_to_whoever_reads_both() {
    let attempt = |gateway, start, attempt, fate| {
        let mut call = arrival(1, gateway, start, fate);
        call.attempt = Some(attempt);
        call
    };
    let arrivals = [
        attempt(1, 9_746, 1, Fate::Again(1_000)),
        attempt(1, 11_304, 2, Fate::Again(1_000)),
        attempt(0, 14_613, 3, Fate::Taken),
        attempt(0, 14_708, 2, Fate::Taken),
    ];
    let cut = fault(Part::ToStream(0), How::Drop, 10_321, 11_627);
    let verdict = verdict(&[request(1, 9_647)], &arrivals, &[cut]);
    assert!(verdict.is_good(), "{verdict:?}");
    assert!(verdict.repeated.contains_key(&Cause::TwoRecords));
}
