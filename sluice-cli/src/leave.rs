//! `sluice leave`: prepares a gateway for its end, so that its replacement repeats no call.
//!
//! Envoy's own `POST /healthcheck/fail` is the signal: load balancers send no more requests, and
//! the drain's health check fails, so that the drain begins no more calls and leaves its groups.
//! What is left to do can be read off Envoy's stats.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use sluice::time_text::parse_duration;
use ureq::Agent;
use ureq::http::{Method, Request};

use crate::failure::Failure;
use crate::limits::{CONNECT_TIMEOUT, ERROR_CHARS_MAX, LEAVE_PAUSE, STATS_BYTES_MAX};
use crate::progress::Progress;
use crate::stream::Endpoint;
use crate::text;

pub(crate) const AFTER_HELP: &str = "\
Run it before Envoy is ended: as preStop hook in Kubernetes, or before SIGTERM elsewhere. It asks
Envoy to fail its health checks (POST /healthcheck/fail). Load balancers then send no more requests,
and the drain begins no more calls, waits for the ends of those under way, commits them, and leaves
the rest to other gateways. `POST /healthcheck/ok` takes it back.

Example:
  sluice leave --admin http://127.0.0.1:9901 --within 90s

Exit codes: 0 nothing is left to wait for, 1 something is, or Envoy can't be asked, 2 wrong usage.";

/// `leave`.
#[derive(Debug, Args)]
pub struct Leave {
    /// Envoy's admin interface: a URL such as http://127.0.0.1:9901
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9901",
        value_parser = Endpoint::parse)]
    admin: Endpoint,
    /// How long to wait at the most, such as 60s or 5m
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    within: Duration,
    /// How long to wait in any case: until load balancers have noticed
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    least: Duration,
}

/// What a gateway still has to do, as its stats tell it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Left {
    /// Whether the stats tell of a drain at all.
    has_drain: bool,
    /// Workers whose drain still makes calls.
    drains: u64,
    /// Groups of which its drains are members.
    memberships: u64,
    /// Calls of the drain that wait for their targets.
    calls: u64,
    /// Requests of clients.
    requests: u64,
    /// Calls that were answered with `202` before the Stream has them (`publish.ack`).
    buffered: u64,
}

/// Asks Envoy to fail its health checks, and waits until nothing is left to do.
///
/// # Errors
/// [`Failure::Failed`] with what is left, or why Envoy can't be asked; [`Failure::Usage`] if it may
/// wait no longer than it has to.
pub(crate) fn leave(leave: &Leave, out: &mut dyn Write) -> Result<(), Failure> {
    if leave.within < leave.least {
        let problem = "--within has to be as long as --least, or longer";
        return Err(Failure::Usage(problem.to_owned()));
    }
    let agent: Agent = Agent::config_builder()
        .max_redirects(0)
        .timeout_global(Some(CONNECT_TIMEOUT))
        .build()
        .into();
    let began = Instant::now();
    ask(&agent, leave, Method::POST, "/healthcheck/fail")?;
    let mut progress = Progress::start();
    loop {
        // A look that fails says nothing: Envoy may be busy, and has still to be waited for.
        let looked = ask(&agent, leave, Method::GET, "/stats").map(|stats| Left::read(&stats));
        let took = began.elapsed();
        let describe = || match &looked {
            Ok(left) => left.describe(),
            Err(failure) => failure.to_string(),
        };
        if looked.as_ref().is_ok_and(|left| left.is_nothing()) && took >= leave.least {
            let seconds = took.as_secs_f32();
            progress.wipe();
            return Ok(writeln!(
                out,
                "nothing is left to wait for after {seconds:.1} s"
            )?);
        }
        if took >= leave.within {
            return Err(Failure::Failed(format!(
                "after {:?} there is still something to do: {}. Give it more time by --within, or \
                 the calls under way are made again",
                leave.within,
                describe()
            )));
        }
        progress.show(describe);
        thread::sleep(LEAVE_PAUSE);
    }
}

fn ask(agent: &Agent, leave: &Leave, method: Method, path: &str) -> Result<String, Failure> {
    let admin = &leave.admin;
    let failed = |problem: &dyn std::fmt::Display| {
        let problem = text::line(&problem.to_string(), ERROR_CHARS_MAX);
        let admin = text::line(admin.as_str(), ERROR_CHARS_MAX);
        Failure::Failed(format!("{admin}{path}: {problem}. Is this Envoy's admin?"))
    };
    let request = Request::builder().method(method).uri(admin.url(path));
    let request = request.body(()).map_err(|error| failed(&error))?;
    let answer = agent.run(request);
    let mut answer = answer.map_err(|error| failed(&error))?;
    let body = answer.body_mut().with_config().limit(STATS_BYTES_MAX);
    body.read_to_string().map_err(|error| failed(&error))
}

impl Left {
    /// Reads Envoy's `/stats`: a line `name: value` for each.
    fn read(stats: &str) -> Self {
        let mut left = Self::default();
        for line in stats.lines() {
            let Some((name, value)) = line.split_once(": ") else {
                continue;
            };
            let value: u64 = value.parse().unwrap_or_default();
            let count = match name {
                "wasmcustom.sluice_active_drains" => {
                    left.has_drain = true;
                    &mut left.drains
                }
                "wasmcustom.sluice_group_memberships" => &mut left.memberships,
                "wasmcustom.sluice_calls_in_flight" => &mut left.calls,
                "wasmcustom.sluice_buffered_calls" => &mut left.buffered,
                _ if is_of_clients(name) => &mut left.requests,
                _ => continue,
            };
            *count = count.saturating_add(value);
        }
        left
    }

    fn is_nothing(self) -> bool {
        let nothing = Self {
            has_drain: true,
            ..Self::default()
        };
        self == nothing
    }

    fn describe(self) -> String {
        if !self.has_drain {
            return "Envoy's stats don't tell of a drain: is wasmcustom.sluice_active_drains left \
                    out by stats_matcher, or is this another Envoy?"
                .to_owned();
        }
        let Self {
            has_drain: _,
            drains,
            memberships,
            calls,
            requests,
            buffered,
        } = self;
        format!(
            "{requests} requests, {buffered} calls to be stored, {calls} calls under way, {drains} \
             drains make calls, member of {memberships} groups"
        )
    }
}

/// Returns whether this stat counts requests that clients wait for. The admin interface answers
/// us, the drain's listener answers health checks, and the others carry calls, which the drain
/// counts.
fn is_of_clients(name: &str) -> bool {
    const OTHERS: [&str; 5] = ["admin", "drain", "dispatch", "egress-http", "egress-https"];
    let listener = name
        .strip_prefix("http.")
        .and_then(|name| name.strip_suffix(".downstream_rq_active"));
    listener.is_some_and(|listener| !OTHERS.contains(&listener))
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|_| "write a duration such as 90s or 5m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_read_off_envoys_stats() {
        let stats = "http.admin.downstream_rq_active: 1\nhttp.gateway.downstream_rq_active: 2\n\
                     http.drain.downstream_rq_active: 1\nhttp.in.downstream_rq_active: 3\n\
                     wasmcustom.sluice_group_memberships: 7\nwasmcustom.sluice_calls_in_flight: 4\n\
                     wasmcustom.sluice_active_drains: 1\nwasmcustom.sluice_buffered_calls: 6\n\
                     cluster.function.upstream_rq_active: 9\nnonsense\n";
        let left = Left::read(stats);
        let expected = Left {
            has_drain: true,
            drains: 1,
            buffered: 6,
            memberships: 7,
            calls: 4,
            requests: 5,
        };
        assert_eq!(left, expected);
        assert!(!left.is_nothing());
        assert!(Left::read("wasmcustom.sluice_active_drains: 0\n").is_nothing());
        assert!(!Left::read("").is_nothing(), "nobody knows");
    }
}
