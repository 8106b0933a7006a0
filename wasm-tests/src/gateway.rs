//! A local set with a recording target, and what most tests need from it.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use local_gateway::render::{Target as Origin, merge_patch};
use local_gateway::{Builder, LocalSet};
use serde_json::{Value, json};

use crate::target::Target;
use testkit::http1::{Request, Response, exchange};
use testkit::stream::Stream;
use testkit::{PATIENCE, wait};

/// Lines of a part's log that a failed test shows.
const LOG_LINES: usize = 40;

/// Returns settings of the drain for tests, quick where the defaults are patient, merged with
/// `more`.
#[must_use]
pub fn drain_settings(more: &Value) -> Value {
    let mut settings = json!({
        "group": { "timeoutMs": 1000 },
        "attempt": { "backoffBaseMs": 20, "backoffMaxMs": 200 },
    });
    merge_patch(&mut settings, more);
    settings
}

/// The gateway with the shipped filter, the stream server and a target. If a test fails, their logs
/// are shown.
pub struct Gateway {
    /// Envoy and the stream server.
    pub set: LocalSet,
    /// The target.
    pub target: Target,
}

impl Gateway {
    /// Starts a set in front of a target that takes everything.
    #[must_use]
    pub fn start(name: &str) -> Self {
        Self::with(name, Target::start(), |builder| builder)
    }

    /// Starts a set with changes.
    ///
    /// # Panics
    /// When a part doesn't get ready.
    #[must_use]
    pub fn with(name: &str, target: Target, change: impl FnOnce(Builder) -> Builder) -> Self {
        let builder = LocalSet::builder()
            .name(name)
            .target(Origin::local(target.port()))
            .drain_patch(drain_settings(&json!({})))
            .stats_flush_interval(Duration::from_secs(1));
        let set = change(builder).start();
        let set = set.unwrap_or_else(|error| panic!("{name}: {error:#}"));
        Self { set, target }
    }

    /// Returns the gateway's port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.set.ports().gateway
    }

    /// Makes a request on a connection of its own.
    #[must_use]
    pub fn exchange(&self, request: &Request) -> Response {
        exchange(self.port(), request)
    }

    /// Has a call without content accepted, and returns its id.
    pub fn call(&self, path: &str) -> String {
        self.accept(&Request::new("POST", path).marked().body(""))
    }

    /// Has a call accepted, and returns its id.
    pub fn accept(&self, request: &Request) -> String {
        let accepted = self.exchange(request).expect(202);
        accepted.message.text("async-call-id")
    }

    /// Returns the stream server.
    #[must_use]
    pub fn stream(&self) -> Stream {
        Stream::at(self.set.ports().stream)
    }

    /// Returns Envoy's counters and gauges that belong to the filter.
    #[must_use]
    pub fn metrics(&self) -> BTreeMap<String, u64> {
        let stats = self.set.admin_stats().expect("Envoy's stats").into_iter();
        let own = stats.filter_map(|(name, value)| {
            let name = name.strip_prefix("wasmcustom.")?;
            Some((name.to_owned(), value))
        });
        own.collect()
    }

    /// Returns a counter or gauge of the filter; zero before anything was counted.
    #[must_use]
    pub fn metric(&self, name: &str) -> u64 {
        self.metrics().get(name).copied().unwrap_or_default()
    }

    /// Waits until a condition holds.
    ///
    /// # Panics
    /// When it takes too long; the message has what was seen last.
    pub fn wait(&self, what: &str, is_true: impl FnMut() -> bool) {
        let held = wait::until(PATIENCE, is_true);
        assert!(
            held,
            "waited {PATIENCE:?} in vain: {what}\n{}",
            self.situation()
        );
    }

    /// Waits until the target has got this many requests for a path.
    pub fn wait_for(&self, path: &str, count: usize) {
        let what = format!("{count} requests to {path}");
        self.wait(&what, || self.target.of(path).len() >= count);
    }

    /// Waits until another server has got a request for a path.
    pub fn wait_for_elsewhere(&self, server: &Target, path: &str) {
        self.wait(&format!("a request to {path} elsewhere"), || {
            !server.of(path).is_empty()
        });
    }

    /// Waits until the call of this id has arrived.
    pub fn wait_for_call(&self, id: &str) {
        let what = format!("call {id} arrives");
        self.wait(&what, || self.target.arrivals().contains_key(id));
    }

    /// Waits until everything is settled: the group has committed everything, nothing is in memory,
    /// and no client waits.
    pub fn wait_until_settled(&self) {
        self.wait("everything is committed", || {
            self.stream().uncommitted().is_empty()
        });
        self.wait("all gauges are back at zero", || {
            let metrics = self.metrics();
            let gauges = [
                "sluice_waiting_requests",
                "sluice_calls_in_flight",
                "sluice_calls_held",
            ];
            let mut gauges = gauges.iter();
            gauges.all(|gauge| metrics.get(*gauge).is_none_or(|value| *value == 0))
        });
    }

    /// Returns how often a VM of the filter had to be loaded again.
    #[must_use]
    pub fn reloads(&self) -> u64 {
        let stats = self.set.admin_stats().expect("Envoy's stats");
        let reloads = stats
            .iter()
            .filter(|(name, _)| name.ends_with(".vm_reload_success"));
        reloads.map(|(_, count)| count).sum()
    }

    fn situation(&self) -> String {
        let metrics: Vec<String> = match self.set.admin_stats() {
            Ok(_) => self.metrics().iter().map(|m| format!("{m:?}")).collect(),
            Err(error) => vec![format!("{error:#}")],
        };
        let seen = self.target.count();
        format!("the target got {seen} requests; {}", metrics.join(" "))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", logs(&self.set));
        }
    }
}

/// Returns the ends of all logs of a set.
#[must_use]
pub fn logs(set: &LocalSet) -> String {
    use local_gateway::Part;
    let parts = [Part::Envoy, Part::StreamServer];
    let logs = parts.into_iter().filter_map(|part| {
        let file = set.log_file(part)?;
        let text = fs::read(file).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        // Envoy begins with a list of everything that is compiled into it.
        let lines = text
            .lines()
            .filter(|line| !line.contains("[source/server/server.cc"));
        let lines: Vec<&str> = lines.collect();
        let end = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
        Some(format!("--- the end of {} ---\n{end}\n", file.display()))
    });
    logs.collect()
}
