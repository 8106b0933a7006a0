//! The scenarios, one file each.

mod answers;
mod crowd;
mod headers;
mod leaving;
mod limits;
mod load;
mod slow;
mod soak;
mod stopped;

use std::time::Duration;

use anyhow::Result;

use crate::rig::Rig;
use crate::sample::Sample;
use crate::tally::Tally;
use crate::verdict::{Check, always};

/// One scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    Crowd,
    Slow,
    Leaving,
    Limits,
    Headers,
    Answers,
    Stopped,
    Soak,
}

impl Scenario {
    /// All of them, in the order in which they run.
    pub(crate) const ALL: [Self; 8] = [
        Self::Crowd,
        Self::Slow,
        Self::Leaving,
        Self::Limits,
        Self::Headers,
        Self::Answers,
        Self::Stopped,
        Self::Soak,
    ];

    /// Returns the scenario's name for `--scenario`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Crowd => "crowd",
            Self::Slow => "slow",
            Self::Leaving => "leaving",
            Self::Limits => "limits",
            Self::Headers => "headers",
            Self::Answers => "answers",
            Self::Stopped => "stopped",
            Self::Soak => "soak",
        }
    }

    /// Returns what happens in it.
    pub(crate) fn about(self) -> &'static str {
        match self {
            Self::Crowd => "10,000 marked requests at the same time",
            Self::Slow => "bodies and heads that drip, on hundreds of connections",
            Self::Leaving => "20,000 clients that leave, at every stage",
            Self::Limits => "bodies at the limit, alone and more than there is room for",
            Self::Headers => "floods of header fields and trailers",
            Self::Answers => "answers of 30 MiB, and some without end",
            Self::Stopped => "the Stream stands still for a minute under load",
            Self::Soak => "all of it mixed, for --minutes, with flat memory",
        }
    }

    /// Runs it on a set of its own.
    pub(crate) async fn run(self, scale: Scale) -> Result<Report> {
        match self {
            Self::Crowd => crowd::run(scale).await,
            Self::Slow => slow::run(scale).await,
            Self::Leaving => leaving::run(scale).await,
            Self::Limits => limits::run(scale).await,
            Self::Headers => headers::run(scale).await,
            Self::Answers => answers::run(scale).await,
            Self::Stopped => stopped::run(scale).await,
            Self::Soak => soak::run(scale).await,
        }
    }
}

/// The size of the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// The short form: fewer clients, shorter times.
    pub(crate) is_short: bool,
    /// How long the soak lasts.
    pub(crate) soak: Duration,
}

impl Scale {
    /// Returns one of two values, for the whole form or for the short one.
    pub(crate) fn choose<T>(self, whole: T, short: T) -> T {
        if self.is_short { short } else { whole }
    }
}

/// The results of a scenario.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// Names and values, for people.
    pub(crate) figures: Vec<(&'static str, String)>,
    /// What had to hold.
    pub(crate) checks: Vec<Check>,
    /// The curves.
    pub(crate) samples: Vec<Sample>,
    /// Moments that the picture shows, in seconds.
    pub(crate) moments: Vec<(f64, &'static str)>,
}

impl Report {
    /// Adds a figure.
    pub(crate) fn figure(&mut self, name: &'static str, value: impl ToString) {
        self.figures.push((name, value.to_string()));
    }

    /// Adds a check.
    pub(crate) fn check(&mut self, what: impl Into<String>, holds: bool) {
        self.checks.push(Check::new(what, holds));
    }

    /// Adds the check that Envoy has never allocated more than `bytes_max` beyond `before`.
    pub(crate) fn check_allocated(&mut self, rig: &Rig, before: u64, bytes_max: u64) {
        let most = rig.peak(|sample| sample.allocated).saturating_sub(before);
        let more = mebibytes(most);
        let what = format!("Envoy allocates no more than is allowed ({more} more)");
        self.check(what, most <= bytes_max);
    }

    /// Adds what has to hold after every scenario, and the curves.
    pub(crate) async fn conclude(mut self, rig: &Rig, tally: &Tally) -> Result<Self> {
        let after = rig.settle(tally).await?;
        self.figure("answers", tally);
        self.checks.extend(always(tally, &after));
        self.figure("most that waited at a time", rig.peak(|s| s.waiting));
        self.figure(
            "Envoy's memory (RSS), most",
            mebibytes(rig.peak(|s| s.envoy_rss)),
        );
        self.figure("accept VM, most", mebibytes(rig.peak(|s| s.accept_vm)));
        self.figure("drain VM, most", mebibytes(rig.peak(|s| s.drain_vm)));
        self.samples = rig.samples();
        Ok(self)
    }
}

/// Returns a number of bytes as text, for people.
pub(crate) fn mebibytes(bytes: u64) -> String {
    let tenths = bytes * 10 / 1_048_576;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}
