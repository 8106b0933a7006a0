//! Every bound of the tool in one place, with its unit in its name and the reason for its value.

use std::time::Duration;

use sluice::backoff::Backoff;

/// Decoded bytes of one message's value (OCI Streaming: 1..1048576).
pub const VALUE_BYTES_MAX: usize = 1_048_576;
/// Decoded bytes of one message's key (OCI Streaming).
pub const KEY_BYTES_MAX: usize = 256;
/// Decoded bytes of all keys and values of one PutMessages (OCI Streaming: 1 MB).
pub const PUT_BYTES_MAX: usize = 1_048_576;
/// Messages of one PutMessages: what a crash may repeat.
pub const PUT_MESSAGES_MAX: usize = 100;
/// PutMessages that a paced redrive makes in a second, so that a rate of 50 is ten calls every
/// 200 ms instead of a burst every two seconds.
pub const PUTS_PER_SECOND: u32 = 5;
/// Messages asked for in one GetMessages (OCI Streaming: 1..10000).
pub const GET_MESSAGES_MAX: usize = 1_000;
/// Bytes of one answer. OCI doesn't publish the limit of GetMessages; clients saw megabytes.
pub const ANSWER_BYTES_MAX: u64 = 67_108_864;
/// Characters of an endpoint's error that are shown.
pub const ERROR_CHARS_MAX: usize = 300;
/// Partitions of a stream. Oracle's largest tenancy has 200, the local server allows 1,000.
pub const PARTITIONS_MAX: u32 = 10_000;
/// Characters of a stream's id (OCI Streaming: 1..256).
pub const STREAM_ID_CHARS_MAX: usize = 256;

/// Characters of a call id, as the gateway bounds it.
pub const ID_CHARS_MAX: usize = 256;
/// Messages of one letter. A record of 1 MiB takes two.
pub const PARTS_MAX: u32 = 16;
/// Letters in several messages that are put together: an index of their places stays in memory.
pub const PART_SETS_MAX: usize = 10_000;
/// Rows that `list` holds to sort them; about 300 bytes each.
pub const LIST_ROWS_MAX: usize = 100_000;
/// Characters of a detail, target or route in a row, so that hostile letters can't make rows large.
pub const ROW_TEXT_CHARS_MAX: usize = 500;
/// Unreadable messages and incomplete letters that are named. The others are only counted.
pub const NAMED_MAX: usize = 1_000;

/// Streams of letters that a person is asked about; calls for others stay dead.
pub const QUESTIONS_MAX: usize = 16;

/// Characters of one cell of a table.
pub const CELL_CHARS_MAX: usize = 160;
/// Characters of one line of `show`, such as a header.
pub const LINE_CHARS_MAX: usize = 2_000;
/// Characters of a body or an excerpt that `show` prints for people.
pub const SHOWN_TEXT_CHARS_MAX: usize = 4_000;
/// Headers and attempts that `show` prints for people.
pub const SHOWN_LINES_MAX: usize = 200;

/// Time to connect, and time for one whole answer: what Oracle's own clients allow.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// See [`CONNECT_TIMEOUT`].
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Tries of a request that the endpoint answers with 5xx, or not at all.
pub const TRIES_MAX: u32 = 4;
/// Tries of a request that the endpoint answers with 429, which asks to wait and not to stop.
pub const THROTTLED_TRIES_MAX: u32 = 60;
/// Tries of the entries of a PutMessages that failed while others succeeded.
pub const ENTRY_TRIES_MAX: u32 = 5;
/// Time between two signed requests that share a limit of OCI's, which is 5 in a second: for
/// GetMessages of each partition, for CreateCursor and GetStream altogether.
pub const REQUEST_INTERVAL: Duration = Duration::from_millis(210);
/// Kinds of requests whose turns are remembered: all partitions of a stream, and some more.
pub const PACED_MAX: usize = 10_100;
/// Longest pause, whatever the endpoint asks for.
pub const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Pauses before another try.
pub const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(250),
    last: PAUSE_MAX,
};

/// Bytes of Oracle's configuration file.
pub const CONFIG_FILE_BYTES_MAX: u64 = 1_048_576;
/// Bytes of a private key's or a security token's file; a key of 4096 bits has 3,300.
pub const KEY_FILE_BYTES_MAX: u64 = 65_536;
/// Bytes of a file of authorities; all public ones together have 250,000.
pub const CA_FILE_BYTES_MAX: u64 = 4_194_304;

/// Probes of one `check`: more than a load balancer has gateways behind it.
pub const PROBES_MAX: u32 = 1_000;
/// Headers that are given to a probe.
pub const CHECK_HEADERS_MAX: usize = 32;
/// Bytes of an answer to a probe. The filter's has less than a thousand.
pub const CHECK_ANSWER_BYTES_MAX: u64 = 65_536;

/// Time between two looks at what a gateway still has to do.
pub const LEAVE_PAUSE: Duration = Duration::from_millis(200);
/// Bytes of Envoy's stats.
pub const STATS_BYTES_MAX: u64 = 67_108_864;
