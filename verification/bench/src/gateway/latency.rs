//! Measures how long a single call takes while nothing else happens.

use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use provision::cancel;
use testkit::http1::framing::{Kind, first};
use testkit::wait::until_some;

use super::load::request;
use super::target::{NOTED, Target};
use super::{Arguments, sets};
use crate::socket::{Socket, State, wait};

const DEADLINE: Duration = Duration::from_secs(5);
const SAMPLE_INTERVAL: Duration = Duration::from_micros(100);
/// The first calls find connections closed and code that has never run.
const WARM_UP_COUNT: usize = 20;
/// Pauses between two calls: different ones, so that they don't always meet the same timer of the
/// drain.
const PAUSE_MS: std::ops::Range<u64> = 20..60;

/// How long each call took until it arrived.
pub(super) struct Latencies {
    pub(super) from_request: Vec<Duration>,
    /// How long each 202 took.
    pub(super) to_answer: Vec<Duration>,
    /// Zero for a call that arrived before its caller had read the answer.
    pub(super) from_answer: Vec<Duration>,
}

pub(super) fn measure(programs: &sets::Programs, arguments: &Arguments) -> Result<Latencies> {
    let target = Target::start()?;
    let set = sets::whole(programs, target.port)?;
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, set.ports().gateway))?;
    let mut socket = Socket::new(stream)?;
    let mut latencies = Latencies {
        from_request: Vec::new(),
        to_answer: Vec::new(),
        from_answer: Vec::new(),
    };
    for number in 0..arguments.calls + WARM_UP_COUNT {
        cancel::check()?;
        let path = format!("{NOTED}{number}");
        let sent = Instant::now();
        socket.send(&request(&path, arguments.body, true));
        let answered = answer(&mut socket)?;
        let arrived = arrival(&target, &path)?;
        if number >= WARM_UP_COUNT {
            latencies.from_request.push(arrived - sent);
            latencies.to_answer.push(answered - sent);
            latencies
                .from_answer
                .push(arrived.saturating_duration_since(answered));
        }
        thread::sleep(pause(number));
    }
    Ok(latencies)
}

fn pause(number: usize) -> Duration {
    let span = PAUSE_MS.end - PAUSE_MS.start;
    // A step without a common divisor with the span visits all of it.
    let step = u64::try_from(number).unwrap_or(0).wrapping_mul(17) % span;
    Duration::from_millis(PAUSE_MS.start + step)
}

pub(super) fn answer(socket: &mut Socket) -> Result<Instant> {
    let start = Instant::now();
    while start.elapsed() < DEADLINE {
        wait(&mut [socket.interest()], DEADLINE)?;
        let state = socket.receive();
        if let Some(message) = first(Kind::Response, &socket.received, false)? {
            let answered = Instant::now();
            let (status, length) = (message.head.status(), message.length);
            socket.received.drain(..length);
            if status != Some(202) {
                bail!("a marked request got {status:?} instead of 202");
            }
            return Ok(answered);
        }
        if state == State::Closed {
            bail!("the gateway closed the connection");
        }
    }
    bail!("no answer within {} s", DEADLINE.as_secs())
}

fn arrival(target: &Target, path: &str) -> Result<Instant> {
    let arrived = until_some(DEADLINE, SAMPLE_INTERVAL, || target.arrival(path));
    arrived.with_context(|| format!("a call did not arrive within {} s", DEADLINE.as_secs()))
}
