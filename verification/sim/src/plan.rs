//! What a seed stands for: the gateways, their configuration, the faults, and the calls. Each run
//! has some faults and not others, and limits small enough to be reached.

use serde_json::{Value, json};

use crate::call::{self, Request};
use crate::rng::Rng;
use crate::stream::ocid;

/// How often each fault happens, in a thousand.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// A callout that the gateway can't send.
    pub not_sent: u64,
    /// A request that is lost before it has any effect.
    pub lost: u64,
    /// An answer that is lost after the effect.
    pub unanswered: u64,
    /// A request or an answer that comes after the time limit.
    pub late: u64,
    /// An answer that comes twice.
    pub twice: u64,
    /// A callout whose end the host never tells.
    pub silent: u64,
    /// An answer that is cut off or makes no sense, after the effect.
    pub torn: u64,
    /// The Stream says 429, 500 or 503.
    pub refused: u64,
    /// The Stream refuses a cursor that is good.
    pub cursor: u64,
    /// Some entries of a PutMessages fail.
    pub partial: u64,
    /// A target that does something unusual.
    pub target: u64,
}

/// A fault at a certain moment.
#[derive(Clone, Copy, Debug)]
pub enum ProcessFault {
    /// The VM of a worker ends and comes again.
    Restart(usize),
    /// The VM of a worker ends within a callback: so many outputs from now.
    Trap(usize, u64),
    /// A gateway dies and loses everything that it knew. It comes again after so many milliseconds.
    Die(usize, u64),
    /// A gateway is stopped for so many milliseconds.
    Stop(usize, u64),
    /// A gateway's wall clock is set by so many milliseconds.
    Jump(usize, i64),
    /// A gateway's wall clock is wrong by so many milliseconds, for so many milliseconds. It is
    /// more than OCI's signatures allow.
    WrongClock(usize, i64, u64),
    /// Health checks of a gateway go to another worker.
    Elsewhere(usize),
    /// The Stream's server restarts.
    StreamRestart,
    /// Nothing reaches the Stream for so many milliseconds.
    StreamAway(u64),
}

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
        let process_faults = if hoarded { Vec::new() } else { process_faults };
        let jumps = if hoarded { 0 } else { jumps };
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
            faults: match hoarded {
                true => Faults::default(),
                false => draw_faults(rng),
            },
            begun_within: hoarded.then_some(BEGUN_WITHIN_MS),
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

fn draw_faults(rng: &mut Rng) -> Faults {
    // A third of the runs has no faults on the wire at all, so nothing excuses a repetition there.
    let is_clean = rng.below(3) == 0;
    let mut rate = |rates: &[u64]| match is_clean || rng.coin() {
        true => 0,
        false => rng.one_of(rates).unwrap_or_default(),
    };
    let rates = [5, 20, 80];
    Faults {
        not_sent: rate(&rates),
        lost: rate(&rates),
        unanswered: rate(&rates),
        late: rate(&rates),
        twice: rate(&rates),
        silent: rate(&[5, 20]),
        torn: rate(&rates),
        refused: rate(&rates),
        cursor: rate(&rates),
        partial: rate(&[100, 300, 600]),
        target: rate(&[20, 100, 300]),
    }
}

fn draw_process_faults(
    rng: &mut Rng,
    until: u64,
    gateways: usize,
    workers: usize,
) -> Vec<(u64, ProcessFault)> {
    let count = rng.one_of(&[0, 0, 1, 3, 8]).unwrap_or_default();
    let worker_count = gateways.saturating_mul(workers).saturating_mul(2);
    let mut process_faults = Vec::new();
    for _ in 0..count {
        let at = rng.below(until);
        let gateway = index(rng, gateways);
        let process_fault = match rng.below(10) {
            0 => ProcessFault::Restart(index(rng, worker_count)),
            1 | 8 => ProcessFault::Trap(index(rng, worker_count), rng.below(6)),
            2 => ProcessFault::Die(gateway, rng.between(100, 15_000)),
            3 => ProcessFault::Stop(gateway, rng.between(500, 15_000)),
            4 => {
                let by = i64::try_from(rng.below(60_000)).unwrap_or_default();
                ProcessFault::Jump(gateway, by.saturating_sub(30_000))
            }
            5 => ProcessFault::Elsewhere(gateway),
            6 => ProcessFault::StreamRestart,
            9 => {
                let by = i64::try_from(rng.between(310_000, 400_000)).unwrap_or_default();
                let by = if rng.coin() { by } else { by.saturating_neg() };
                let millis = rng.between(1_000, 20_000);
                ProcessFault::WrongClock(gateway, by, millis.min(until.saturating_sub(at)))
            }
            _ => ProcessFault::StreamAway(rng.between(500, 12_000)),
        };
        process_faults.push((at, process_fault));
    }
    process_faults
}

fn index(rng: &mut Rng, count: usize) -> usize {
    let drawn = rng.below(u64::try_from(count).unwrap_or(1));
    usize::try_from(drawn).unwrap_or_default()
}
