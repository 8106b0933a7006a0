//! One round: six rates, measured one after the other.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use local_gateway::{LocalSet, Part, ports};
use provision::cancel;
use provision::progress::say;
use testkit::wait::until_some;

use super::Arguments;
use super::load::{Load, request};
use super::report::{Rate, Round};
use super::sets::{self, DIRECT_PATH, PlainPorts};
use super::target::Target;
use crate::cpu;

/// A drain that has made no call by then never will.
const FIRST_CALL_DEADLINE: Duration = Duration::from_secs(30);
/// Enough of a large backlog to know the rate.
const DELIVERY_DEADLINE: Duration = Duration::from_secs(10);
/// Calls at the start and at the end are left out, because the drain then also does other work.
const SKIPPED_SHARE: u64 = 20;
const SAMPLE_INTERVAL: Duration = Duration::from_millis(1);

pub(super) fn measure(programs: &sets::Programs, arguments: &Arguments) -> Result<Round> {
    let target = Target::start()?;
    let plain = PlainPorts {
        plain: ports::free()?,
        buffered: ports::free()?,
    };
    let mut set = sets::accepting(programs, target.port, plain)?;
    let gateway = set.ports().gateway;
    let direct = rate(&set, arguments, (plain.plain, DIRECT_PATH), 200)?.0;
    let buffered = rate(&set, arguments, (plain.buffered, DIRECT_PATH), 200)?.0;
    let (accepted, backlog) = rate(&set, arguments, (gateway, "/call"), 202)?;
    let proxied = rate(&set, arguments, (plain.plain, "/call"), 200)?.0;
    let passed = rate(&set, arguments, (gateway, "/call"), 200)?.0;
    // Its worker has to be the only one while the backlog is delivered.
    set.kill9(Part::Envoy)?;
    let draining = sets::draining(programs, target.port, set.ports().stream)?;
    let watched = (draining.pid(Part::Envoy), set.pid(Part::StreamServer));
    let delivered = delivery_rate(&target, backlog, watched)?;
    Ok(Round {
        direct,
        buffered,
        accepted,
        proxied,
        passed,
        delivered,
    })
}

/// Returns how fast one kind of request is answered, and how many answers there were in all.
fn rate(
    set: &LocalSet,
    arguments: &Arguments,
    (port, path): (u16, &str),
    status: u16,
) -> Result<(Rate, u64)> {
    let load = Load {
        port,
        request: request(path, arguments.body, status == 202),
        status,
        connections: arguments.connections,
        duration: Duration::from_secs(arguments.seconds),
    };
    let watched = (set.pid(Part::Envoy), set.pid(Part::StreamServer));
    let meter = Meter::start(watched);
    let measured = load.run()?;
    if measured.wrong_answers > 0 {
        say(&format!(
            "{path}: {} other answers than {status}",
            measured.wrong_answers
        ));
    }
    Ok((
        meter.rate(measured.per_second, measured.answers),
        measured.answers,
    ))
}

/// Returns how fast a backlog arrives.
fn delivery_rate(target: &Target, backlog: u64, watched: Watched) -> Result<Rate> {
    wait_for(target, 1, FIRST_CALL_DEADLINE);
    if target.calls() == 0 {
        bail!("no call arrived: see the log of the drain's Envoy");
    }
    let (start_calls, start) = wait_for(target, backlog / SKIPPED_SHARE, DELIVERY_DEADLINE);
    let meter = Meter::start(watched);
    let most = backlog.saturating_sub(backlog / SKIPPED_SHARE);
    let (end_calls, end) = wait_for(target, most, DELIVERY_DEADLINE);
    cancel::check()?;
    let calls = end_calls.saturating_sub(start_calls);
    let per_second = f64::from(u32::try_from(calls)?) / (end - start).as_secs_f64();
    Ok(meter.rate(per_second, calls))
}

/// Envoy and the stream server.
type Watched = (Option<u32>, Option<u32>);

/// Measures how much processor time something takes.
struct Meter {
    watched: Watched,
    envoy: Option<Duration>,
    stream: Option<Duration>,
}

impl Meter {
    fn start(watched: Watched) -> Self {
        Self {
            watched,
            envoy: cpu::used(watched.0),
            stream: cpu::used(watched.1),
        }
    }

    fn rate(&self, per_second: f64, count: u64) -> Rate {
        let each = |before: Option<Duration>, pid: Option<u32>| {
            let used = cpu::used(pid)?.checked_sub(before?)?;
            Some(used.as_secs_f64() * 1e6 / f64::from(u32::try_from(count).ok()?))
        };
        Rate {
            per_second,
            envoy_cpu: each(self.envoy, self.watched.0).unwrap_or(f64::NAN),
            stream_cpu: each(self.stream, self.watched.1).unwrap_or(f64::NAN),
        }
    }
}

/// Waits until so many calls have arrived or the time is up. Returns how many there are and when.
fn wait_for(target: &Target, calls: u64, deadline: Duration) -> (u64, Instant) {
    let is_over = || target.calls() >= calls || cancel::requested();
    // The number of calls shows whether the time was up.
    let _in_time = until_some(deadline, SAMPLE_INTERVAL, || is_over().then_some(()));
    (target.calls(), Instant::now())
}
