//! The configuration of attempts: how often, how long, and what their results mean.

use std::time::Duration;

use super::key::TextForm;
use super::reader::Section;
use crate::backoff::Backoff;
use crate::drain::outcome::{OutcomeTable, StatusSet};
use crate::drain::retry::RetryPolicy;
use crate::drain::target_queue::{TargetLimit, TargetLimits};

/// The most rules of one kind in one document.
const RULES_MAX: usize = 256;

/// Reads the section `attempt`.
pub(super) fn read_retry_policy(attempt: &mut Section<'_>) -> RetryPolicy {
    let (timeout_default, timeout_max) = read_timeouts(attempt);
    let (retries_default, retries_max) = read_retries(attempt);
    let (max_age_default, max_age_max) = read_ages(attempt);
    let base = attempt.duration_ms(
        "backoffBaseMs",
        1..=60_000,
        1_000,
        "Upper bound of the first back-off; it doubles with each attempt, and the wait is random \
         below it (full jitter).",
    );
    let backoff_max = attempt.duration_ms(
        "backoffMaxMs",
        1..=86_400_000,
        3_600_000,
        "Upper bound of every back-off. Back-offs as long as the shortest lane or longer are spent \
         on lanes, and survive restarts.",
    );
    let retry_after_max = attempt.duration_ms(
        "retryAfterMaxMs",
        0..=604_800_000,
        86_400_000,
        "Longest Retry-After that is obeyed; a longer one is cut to this.",
    );
    RetryPolicy {
        retries_default,
        retries_max,
        max_age_default,
        max_age_max,
        timeout_default,
        timeout_max,
        backoff: Backoff {
            first: base,
            last: backoff_max,
        },
        retry_after_max,
    }
}

fn read_timeouts(attempt: &mut Section<'_>) -> (Duration, Duration) {
    let default = attempt.duration_ms(
        "timeoutMs",
        100..=3_600_000,
        30_000,
        "Time limit of one attempt, where the call doesn't say.",
    );
    let ceiling = attempt.duration_ms(
        "timeoutMaxMs",
        100..=3_600_000,
        300_000,
        "Longest time limit that a call may ask for; a longer one is cut to this.",
    );
    (default, ceiling)
}

fn read_retries(attempt: &mut Section<'_>) -> (u32, u32) {
    let mut number = |key, default, meaning| {
        let retries = attempt.integer(key, 0..=100_000, default, "retries", meaning);
        u32::try_from(retries).unwrap_or(u32::MAX)
    };
    let default = number(
        "retries",
        10_000,
        "Retries after the first attempt, where the call doesn't say. As it stands the age of a \
         call is what ends it.",
    );
    let ceiling = number(
        "retriesMax",
        10_000,
        "The most retries that a call may ask for; more are cut to this.",
    );
    (default, ceiling)
}

fn read_ages(attempt: &mut Section<'_>) -> (Duration, Duration) {
    let mut seconds = |key, default, meaning| {
        let range = 1..=31_622_400;
        Duration::from_secs(attempt.integer(key, range, default, "seconds", meaning))
    };
    let default = seconds(
        "maxAgeSeconds",
        86_400,
        "A call is given up if no attempt has succeeded this long after its earliest time, where \
         it doesn't say.",
    );
    let ceiling = seconds(
        "maxAgeMaxSeconds",
        604_800,
        "The highest age that a call may ask for; a higher one is cut to this.",
    );
    (default, ceiling)
}

/// Reads the section `outcomes`.
pub(super) fn read_outcomes(outcomes: &mut Section<'_>) -> OutcomeTable {
    let delivered = read_statuses(
        outcomes,
        "delivered",
        &["2xx", "3xx"],
        "Statuses (`503`) and classes (`5xx`) with which a target has taken a call.",
    );
    let retried = read_statuses(
        outcomes,
        "retried",
        &["408", "425", "429", "500", "502", "503", "504"],
        "Statuses and classes after which a call is attempted again; all others are final.",
    );
    OutcomeTable { delivered, retried }
}

fn read_statuses(
    section: &mut Section<'_>,
    key: &'static str,
    default: &[&str],
    meaning: &'static str,
) -> StatusSet {
    let texts = section.texts(key, RULES_MAX, default, meaning);
    section.declare_form(TextForm::Pattern("^[1-5]([0-9]{2}|xx)$"));
    StatusSet::parse(&texts).unwrap_or_else(|message| {
        section.refuse(key, message);
        StatusSet::default()
    })
}

/// Reads the section `limits`: the limits of one target.
pub(super) fn read_target_limits(limits: &mut Section<'_>) -> TargetLimits {
    let default = read_limit(limits);
    let meaning = "Targets with limits of their own.";
    let own = limits.list("targets", RULES_MAX, meaning, |one| {
        let target = one.required_text(
            "target",
            "An origin such as `https://api.example.com`, or the name of the cluster that the \
             gateway's route leads to.",
        );
        (target, read_limit(one))
    });
    TargetLimits {
        default,
        own: own.into_iter().collect(),
    }
}

fn read_limit(section: &mut Section<'_>) -> TargetLimit {
    let in_flight_max = section.count(
        "inFlight",
        1..=10_000,
        64,
        "calls",
        "Calls in flight to one target, per drain; also no more than two for each slot of \
         window.inFlight that is free. One caller has no more than two of them for each that \
         is free: 43 of 64.",
    );
    let per_second = section.integer(
        "perSecond",
        0..=1_000_000,
        0,
        "attempts",
        "Attempts started in a second to one target, per drain, evenly spread; 0: any number.",
    );
    TargetLimit {
        in_flight_max,
        per_second_max: u32::try_from(per_second).ok().filter(|rate| *rate > 0),
    }
}
