//! What a seed stands for: the gateways, their configuration, the faults, and the calls. Each run
//! has some faults and not others, and limits small enough to be reached.

mod faults;

pub use faults::{Faults, ProcessFault};

use serde_json::{Value, json};

use faults::{draw_faults, draw_process_faults, draw_retirements};

use crate::call::{self, Request};
use crate::rng::Rng;
use crate::stream::ocid;

/// One run.
pub struct Plan {
    /// Number of gateways.
    pub gateways: usize,
    /// Accept workers, and as many drain workers, of each.
    pub workers: usize,
    /// Streams with their partitions.
    pub streams: Vec<(String, u32)>,
    /// Whether requests to the Stream are signed, and the Stream checks their dates.
    pub is_signed: bool,
    /// Lanes: milliseconds.
    pub lanes: Vec<u64>,
    /// The configuration of the accept roles.
    pub accept: Value,
    /// The configuration of the drain roles.
    pub drain: Value,
    /// How often each fault happens.
    pub faults: Faults,
    /// When which worker, gateway or server has a fault.
    pub process_faults: Vec<(u64, ProcessFault)>,
    /// Requests of clients, and records that others publish, by time.
    pub requests: Vec<(u64, Request)>,
    /// Set if somebody fills the window with calls of order keys that aren't due. Nothing else goes
    /// wrong, and a call that is due and has no key is begun so many milliseconds after it was
    /// stored.
    pub begun_within: Option<u64>,
    /// Set if nothing goes wrong, but gateways are replaced, one after the other.
    pub is_rolling: bool,
    /// Whether no wall clock is ever set.
    pub are_clocks_right: bool,
    /// When faults stop, in milliseconds.
    pub calm_at: u64,
    /// When everything has to be done at the latest, in milliseconds.
    pub done_at: u64,
    /// When every engine has to be idle at the latest, in milliseconds.
    pub idle_at: u64,
}

/// Until when, after faults have stopped, every engine has to be idle, in milliseconds. Records of
/// lost sessions are remembered for two minutes.
const IDLE_MS_MAX: u64 = 300_000;
/// The longest delay that a call asks for, in milliseconds.
const DELAY_MS_MAX: u64 = 25_000;
/// How many calls somebody hoards.
const HOARDED: u64 = 200;
/// How long after its time a call is begun at the latest although somebody hoards, in milliseconds.
/// Drains that are not told look for new records every three seconds.
const BEGUN_WITHIN_MS: u64 = 8_000;
/// How long joining, fetching and committing may take in all, in milliseconds.
const SLACK_MS: u64 = 25_000;
/// When a call that went onto a lane is no longer waited for, in milliseconds.
const OVERDUE_MS: u64 = 80_000;

impl Plan {
    /// Draws a plan.
    pub fn draw(rng: &mut Rng) -> Self {
        let gateways = 1 + index(rng, 3);
        let workers = 1 + index(rng, 2);
        let span = rng.between(3_000, 40_000);
        let calm_at = span + 5_000;
        let lanes = draw_lanes(rng);
        let partitions = [1, 2, 4];
        let mut streams = vec![
            ("calls".to_owned(), rng.one_of(&partitions).unwrap_or(1)),
            ("dead".to_owned(), 1),
        ];
        for (index, _) in lanes.iter().enumerate() {
            let partitions = rng.one_of(&[1, 1, 2]).unwrap_or(1);
            streams.push((format!("lane-{index}"), partitions));
        }
        let count = rng.between(3, 30);
        let mut requests: Vec<(u64, Request)> = (0..count)
            .map(|number| (rng.below(span), Request::draw(rng, number)))
            .collect();
        requests.extend(call::repetitions(rng, span, &requests));
        requests.extend(draw_flood(rng, span));
        requests.sort_by_key(|(at, _)| *at);
        let max_age = rng.one_of(&[15, 15, 90]).unwrap_or(15);
        let process_faults = draw_process_faults(rng, calm_at, gateways, workers);
        let jumps = process_faults.iter().map(|(_, process_fault)| {
            let (ProcessFault::Jump(_, millis) | ProcessFault::WrongClock(_, millis, _)) =
                process_fault
            else {
                return 0;
            };
            millis.unsigned_abs()
        });
        let jumps: u64 = jumps.sum();
        let hoarded = !lanes.is_empty() && rng.per_mille(100);
        let is_rolling = !hoarded && rng.per_mille(100);
        let process_faults = match (hoarded, is_rolling) {
            (true, _) => Vec::new(),
            (_, true) => draw_retirements(rng, span, gateways),
            (false, false) => process_faults,
        };
        let jumps = if hoarded || is_rolling { 0 } else { jumps };
        if hoarded {
            requests = hoard(rng, span);
        }
        // A call and then its reply may each become as old as allowed.
        let ages = DELAY_MS_MAX + 2 * 1_000 * max_age;
        Self {
            done_at: calm_at + ages + jumps + OVERDUE_MS + SLACK_MS,
            idle_at: calm_at + IDLE_MS_MAX + jumps,
            is_signed: rng.coin(),
            accept: accept_config(rng, &lanes),
            drain: match hoarded {
                true => hoarded_config(drain_config(rng, &lanes, max_age)),
                false => drain_config(rng, &lanes, max_age),
            },
            faults: match hoarded || is_rolling {
                true => Faults::default(),
                false => draw_faults(rng),
            },
            begun_within: hoarded.then_some(BEGUN_WITHIN_MS),
            is_rolling,
            are_clocks_right: jumps == 0,
            process_faults,
            gateways,
            workers,
            streams,
            lanes,
            requests,
            calm_at,
        }
    }
}

/// In some runs, one caller sends many calls to a slow target within a second.
fn draw_flood(rng: &mut Rng, span: u64) -> Vec<(u64, Request)> {
    if !rng.per_mille(200) {
        return Vec::new();
    }
    let (start, count) = (rng.below(span), rng.between(8, 24));
    // The last digit decides who the caller is.
    let number = |index: u64| 1_000 + 10 * (index / 2) + 4 * (index % 2);
    let mut flood = Vec::new();
    for index in 0..count {
        let at = start.saturating_add(rng.below(1_000));
        flood.push((at, Request::slow(number(index))));
    }
    flood
}

/// Returns requests of which many aren't due, with one order key or with many, while other clients
/// go on as usual.
fn hoard(rng: &mut Rng, span: u64) -> Vec<(u64, Request)> {
    let has_many_keys = rng.coin();
    let hoarded = (0..HOARDED).map(|number| {
        let key = if has_many_keys { number } else { 0 };
        (number, Request::hoarded(number, &format!("hoard-{key}")))
    });
    let mut requests: Vec<(u64, Request)> = hoarded.collect();
    for number in 0..30 {
        let at = rng.between(1_000, span);
        requests.push((at, Request::plain(HOARDED.saturating_add(number))));
    }
    requests.sort_by_key(|(at, _)| *at);
    requests
}

/// Returns a configuration in which a quarter of the window is too small for everything that is
/// hoarded, and targets are quick.
fn hoarded_config(mut config: Value) -> Value {
    let changes = [
        ("window", "calls", 64),
        ("window", "inFlight", 64),
        ("window", "uncommitted", 1_000),
        ("window", "laneRecords", 64),
        ("window", "parkedCalls", 8_192),
        ("fetch", "records", 16),
        ("limits", "inFlight", 64),
        ("limits", "perSecond", 0),
    ];
    for (section, name, value) in changes {
        if let Some(place) = config
            .get_mut(section)
            .and_then(|found| found.get_mut(name))
        {
            *place = json!(value);
        }
    }
    config
}

fn draw_lanes(rng: &mut Rng) -> Vec<u64> {
    let choices: [&[u64]; 5] = [
        &[],
        &[1_000],
        &[1_000, 5_000],
        &[500, 2_000, 9_000],
        &[4_000],
    ];
    rng.one_of(&choices).unwrap_or_default().to_vec()
}

fn lanes_config(lanes: &[u64]) -> Value {
    let lane = |(index, delay): (usize, &u64)| {
        let stream_id = ocid(&format!("lane-{index}"));
        json!({ "streamId": stream_id, "delayMs": delay })
    };
    lanes.iter().enumerate().map(lane).collect()
}

/// Returns the allowed targets and reply addresses; [`crate::invariants::g7_allowed`] knows them
/// too.
fn allowed() -> (Value, Value) {
    let targets = json!([
        { "host": "*.allowed.test" },
        { "host": "plain.test", "scheme": "http", "pathPrefix": "/t" }
    ]);
    (
        json!({ "allow": targets }),
        json!({ "allow": [{ "host": "replies.test" }], "paths": ["/inbox", "/failures"] }),
    )
}

fn accept_config(rng: &mut Rng, lanes: &[u64]) -> Value {
    let (targets, replies) = allowed();
    json!({
        "stream": { "cluster": "stream", "authority": "s", "streamId": ocid("calls") },
        "publish": {
            "timeoutMs": rng.between(500, 3_000),
            "batchRecords": rng.one_of(&[1, 2, 5, 256]),
            "inFlight": rng.between(1, 4),
        },
        "limits": { "waitingRequests": rng.one_of(&[4, 20, 1_000]), "bodyBytes": 4_096 },
        "idempotency": { "windowSeconds": 3_600, "keys": 64 },
        "lanes": lanes_config(lanes),
        "targets": targets,
        "replies": replies,
    })
}

fn drain_config(rng: &mut Rng, lanes: &[u64], max_age: u64) -> Value {
    let (targets, replies) = allowed();
    let in_flight = rng.one_of(&[1, 2, 8, 64]);
    let retries = rng.one_of(&[0, 2, 5, 50]);
    json!({
        "stream": { "cluster": "stream", "authority": "s", "streamId": ocid("calls") },
        "deadLetters": { "streamId": ocid("dead") },
        "dispatch": {
            "cluster": "dispatch", "httpsCluster": "egress-https", "httpCluster": "egress-http",
        },
        "targets": targets,
        "replies": replies,
        "lanes": lanes_config(lanes),
        "group": {
            "timeoutMs": rng.between(2_000, 10_000), "leaseMs": rng.between(3_000, 10_000),
            "leaveMs": rng.one_of(&[0, 0, 500, 6_000]),
        },
        "fetch": {
            "idleIntervalMs": rng.one_of(&[300, 1_000, 3_000]),
            "records": rng.one_of(&[1, 3, 16, 256]),
            "commitIntervalMs": rng.one_of(&[0, 50, 700]),
            "timeoutMs": rng.between(500, 3_000),
        },
        "window": {
            "calls": rng.one_of(&[2, 6, 64]), "inFlight": rng.one_of(&[1, 4, 64]),
            "perTurn": rng.one_of(&[1, 8]), "uncommitted": rng.one_of(&[4, 16, 1_000]),
            "patienceMs": rng.one_of(&[100, 1_000]),
            "laneRecords": rng.one_of(&[1, 4, 64]),
            "parkedCalls": rng.one_of(&[8, 8_192]),
        },
        "attempt": {
            "timeoutMs": rng.between(300, 4_000), "timeoutMaxMs": 5_000,
            "retries": retries, "retriesMax": retries,
            "maxAgeSeconds": max_age, "maxAgeMaxSeconds": max_age,
            "backoffBaseMs": rng.one_of(&[50, 500, 2_000]),
            "backoffMaxMs": rng.one_of(&[1_000, 15_000]),
        },
        "limits": { "inFlight": in_flight, "perSecond": rng.one_of(&[0, 0, 2, 20]) },
    })
}

fn index(rng: &mut Rng, count: usize) -> usize {
    let drawn = rng.below(u64::try_from(count).unwrap_or(1));
    usize::try_from(drawn).unwrap_or_default()
}
