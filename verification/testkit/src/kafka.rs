//! Brokers of Kafka that somebody has started for tests, as `cargo xtask test --only kafka` names
//! them.

use std::env;

/// Names the brokers, `HOST:PORT,…`: they keep the streams of all servers that tests start.
pub const BROKERS: &str = "SLUICE_KAFKA_BROKERS";
/// How many servers stand in front of them; 1 if it isn't set.
pub const FRONTS: &str = "SLUICE_KAFKA_FRONTS";
/// Has these servers killed, ended and started again while Oracle's clients use them.
pub const COME_AND_GO: &str = "SLUICE_KAFKA_COME_AND_GO";
/// Names the stream server to test, as a program that has the engine.
pub const SERVER: &str = "SLUICE_STREAM_SERVER";

/// Returns the brokers, if there are any.
#[must_use]
pub fn brokers() -> Option<String> {
    env::var(BROKERS).ok()
}

/// Returns the brokers for a test that makes no sense without. If there are none, it says so.
#[must_use]
pub fn brokers_or_skip() -> Option<String> {
    let brokers = brokers();
    if brokers.is_none() {
        eprintln!("SKIPPED: {BROKERS} names no brokers");
    }
    brokers
}

/// Returns how many servers stand in front of the brokers.
///
/// # Panics
/// When the variable is no number.
#[must_use]
pub fn fronts() -> usize {
    env::var(FRONTS).map_or(1, |fronts| fronts.parse().unwrap())
}

/// Returns a server's arguments that choose the engine, with topics that begin with this prefix.
/// Brokers remember the topics of earlier runs.
#[must_use]
pub fn engine<'a>(brokers: &'a str, prefix: &'a str) -> [&'a str; 6] {
    [
        "--engine",
        "kafka",
        "--brokers",
        brokers,
        "--topic-prefix",
        prefix,
    ]
}
