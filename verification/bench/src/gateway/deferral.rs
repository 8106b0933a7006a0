//! Measures how late deferred calls arrive, and that none of them is early.

use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use provision::cancel;
use testkit::wait::until_some;

use super::latency::answer;
use super::load::deferred;
use super::target::{NOTED, Target};
use super::{Arguments, sets};
use crate::socket::Socket;

/// Longer than the shortest lane, so that each call waits on a lane and then in memory.
const DELAY_MS: std::ops::Range<u128> = 1_200..3_000;
const DEADLINE: Duration = Duration::from_secs(30);
const SAMPLE_INTERVAL: Duration = Duration::from_millis(1);

/// The results of the deferred calls.
pub(super) struct Deferral {
    /// From the moment at which a call was due to its arrival; zero for an early one.
    pub(super) lateness: Vec<Duration>,
    pub(super) early: usize,
}

pub(super) fn measure(programs: &sets::Programs, arguments: &Arguments) -> Result<Deferral> {
    let target = Target::start()?;
    let set = sets::whole(programs, target.port)?;
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, set.ports().gateway))?;
    let mut socket = Socket::new(stream)?;
    // Arrivals are noted on the steady clock, but calls are due on the wall clock.
    let (steady, wall) = (Instant::now(), SystemTime::now());
    let count = u128::try_from(arguments.deferred)?;
    let mut due = Vec::new();
    for number in 0..count {
        cancel::check()?;
        let path = format!("{NOTED}deferred/{number}");
        let delay = DELAY_MS.start + (DELAY_MS.end - DELAY_MS.start) * number / count.max(1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let deliver_at = now.as_millis() + delay;
        socket.send(&deferred(&path, arguments.body, deliver_at));
        answer(&mut socket)?;
        due.push((path, Duration::from_millis(u64::try_from(deliver_at)?)));
    }
    let mut deferral = Deferral {
        lateness: Vec::new(),
        early: 0,
    };
    for (path, due) in due {
        let arrived = wall + arrival(&target, &path)?.duration_since(steady);
        let arrived = arrived
            .duration_since(UNIX_EPOCH)
            .context("the clock is before 1970")?;
        deferral.early += usize::from(arrived < due);
        deferral.lateness.push(arrived.saturating_sub(due));
    }
    Ok(deferral)
}

/// Waits for a call's arrival.
pub(super) fn arrival(target: &Target, path: &str) -> Result<Instant> {
    let arrived = until_some(DEADLINE, SAMPLE_INTERVAL, || match cancel::check() {
        Ok(()) => target.arrival(path).map(Ok),
        Err(interrupted) => Some(Err(interrupted)),
    });
    arrived.with_context(|| format!("{path} did not arrive within {} s", DEADLINE.as_secs()))?
}
