//! Bounds of a copy, with their reasons.

use std::time::Duration;

use jiff::SignedDuration;

/// Partitions at a time, unless told.
pub(super) const PARALLEL_DEFAULT: u16 = 4;
/// Partitions at a time at the most: each takes a thread and some megabytes.
pub(super) const PARALLEL_MAX: u16 = 256;
/// How long a request may be under way at the destination after its connection has broken. A server
/// on Kafka tries for 30 seconds to publish a message.
pub(super) const SETTLE_DEFAULT: Duration = Duration::from_secs(35);
/// Messages of one request. More would make no difference: a second of an ordinary disk is enough
/// for hundreds of requests.
pub(super) const BATCH_COUNT_MAX: usize = 1_000;
/// Requests in a row by which nothing is stored, before the copy gives up.
pub(super) const TRIES_MAX: u32 = 8;
/// Messages that tell where a copy ends, if the beginning of either stream is gone.
pub(super) const WINDOW_COUNT: usize = 32;
/// How far the clocks of both ends may be apart. A message whose copy is older by more is another
/// one.
pub(super) const CLOCKS_APART_MAX: SignedDuration = SignedDuration::from_mins(1);
/// Runs of offsets without gaps in one partition, 24 bytes each. Clients of Kafka that use
/// transactions leave a gap behind each.
pub(super) const RUNS_MAX: usize = 1_000_000;
/// How long another server of the destination may take to show what was stored.
pub(super) const VISIBLE_WITHIN: Duration = Duration::from_secs(10);
/// Time between two looks at what is new.
pub(super) const FOLLOW_PAUSE: Duration = Duration::from_millis(500);
