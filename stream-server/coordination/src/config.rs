//! What a front has to know, and the times, with the relation that they must have.

use crate::limits::{FRONT_CHARS_MAX, SLOTS_MAX};
use crate::record::FrontId;

/// The configuration of one front's coordination. The defaults are for a cluster whose brokers take
/// up to six seconds to replace one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This process: never used by another one, nor by this front's next start.
    pub front: FrontId,
    /// Where other fronts reach this one's internal listener. It may be used again after a restart:
    /// a front that comes back gets the same slots again.
    pub url: String,
    /// The number of slots: partitions of the topic `slots`, 1..=256. It never changes.
    pub slots: u32,
    /// The times.
    pub times: Times,
    /// Records after which a slot's owner writes a snapshot, at least 1.
    pub snapshot_records: u64,
    /// Groups of one stream.
    pub groups_per_stream_max: usize,
    /// Streams, with those that are being created or deleted.
    pub streams_max: usize,
    /// Partitions of all streams together.
    pub partitions_max: u64,
}

/// Times in milliseconds of a steady clock that also counts while the machine is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The pause between two signs of life in `members`.
    pub alive_ms: u64,
    /// A front is dead when it was silent for so long, while this front's own records arrived.
    /// Longer than a client hangs on a stopped broker (its `socket.timeout.ms`).
    pub silence_ms: u64,
    /// The pause between two records of an owner in each of its slots.
    pub renew_ms: u64,
    /// How long an owner serves reads after it has sent the last record that it knows to be valid.
    pub lease_ms: u64,
    /// How long a new owner serves no reads after it has seen its predecessor's last valid record.
    /// Clocks of any two fronts may differ in rate by `wait_ms / lease_ms`.
    pub wait_ms: u64,
    /// An owner that lives but wrote nothing into its slot for so long is replaced.
    pub stuck_ms: u64,
    /// How long a front that has just started learns who else lives before it claims anything.
    pub gather_ms: u64,
    /// How much later the second, third, … candidate claims a slot that the first one leaves alone.
    pub step_ms: u64,
    /// For how long another front has to be a slot's first candidate before the owner gives the
    /// slot to it. Slots follow one another half a second apart.
    pub settle_ms: u64,
    /// The pause after a write that failed, before the next one.
    pub retry_ms: u64,
    /// How long a write may have no result before it counts as unknown.
    pub write_ms: u64,
    /// How long a request waits at most for its answer.
    pub answer_ms: u64,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            alive_ms: 1_000,
            silence_ms: 7_000,
            renew_ms: 1_000,
            lease_ms: 3_000,
            wait_ms: 5_000,
            stuck_ms: 20_000,
            gather_ms: 1_500,
            step_ms: 3_000,
            settle_ms: 30_000,
            retry_ms: 250,
            write_ms: 35_000,
            answer_ms: 20_000,
        }
    }
}

impl Config {
    /// Returns a configuration with defaults.
    #[must_use]
    pub fn new(front: FrontId, url: String, slots: u32) -> Self {
        Self {
            front,
            url,
            slots,
            times: Times::default(),
            snapshot_records: 10_000,
            groups_per_stream_max: 50,
            streams_max: 1_000,
            partitions_max: 5_000,
        }
    }

    /// Checks everything that could make two fronts serve one group, or none.
    ///
    /// # Errors
    /// What to change.
    pub fn check(&self) -> Result<(), String> {
        let times = &self.times;
        let is_good = |text: &str| (1..=FRONT_CHARS_MAX).contains(&text.chars().count());
        let rules = [
            (
                is_good(&self.front.0) && is_good(&self.url),
                "the front's id and URL must have 1 to 512 characters",
            ),
            (
                (1..=SLOTS_MAX).contains(&self.slots),
                "there must be 1 to 256 slots",
            ),
            (
                self.snapshot_records > 0,
                "snapshot_records must be at least 1",
            ),
            (
                times.alive_ms > 0 && times.renew_ms > 0,
                "alive_ms and renew_ms must be at least 1",
            ),
            (
                times.alive_ms.saturating_mul(2) <= times.silence_ms,
                "silence_ms must be at least twice alive_ms",
            ),
            (
                times.renew_ms < times.lease_ms,
                "lease_ms must be longer than renew_ms",
            ),
            (
                times.lease_ms < times.wait_ms,
                "wait_ms must be longer than lease_ms",
            ),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, broken)) => Err(broken.to_owned()),
            None => Ok(()),
        }
    }
}
