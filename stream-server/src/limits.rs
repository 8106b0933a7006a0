//! Every bound of the server in one place, with its unit in its name and the reason for its value.

use std::time::Duration;

/// Decoded bytes of one message's value (OCI contract: 1..1048576).
pub const VALUE_BYTES_MAX: usize = 1_048_576;
/// Decoded bytes of one message's key (OCI contract).
pub const KEY_BYTES_MAX: usize = 256;
/// Decoded bytes of all keys and values of one PutMessages (OCI limit of 1 MiB).
pub const REQUEST_BYTES_MAX: usize = 1_048_576;
/// Bytes of a request's body on the wire: 1 MiB is 1.4 million characters of base64, plus JSON.
pub const BODY_BYTES_MAX: usize = 1_572_864;
/// Messages of one GetMessages (OCI contract: 1..10000).
pub const GET_COUNT_MAX: u32 = 10_000;
/// Decoded bytes of one GetMessages' answer. Clients keep whole answers in memory, and so does the
/// server.
pub const GET_BYTES_MAX: usize = 1_048_576;
/// Characters of a stream's id in a path (OCI contract).
pub const STREAM_ID_CHARS_MAX: usize = 256;
/// Characters of a stream's name, so that its id stays within [`STREAM_ID_CHARS_MAX`].
pub const STREAM_NAME_CHARS_MAX: usize = 200;
/// Characters of a group's name (OCI contract: 1..255); instances obey the same rule.
pub const GROUP_NAME_CHARS_MAX: usize = 255;
/// Characters of a cursor (OCI contract: 1..1024).
pub const CURSOR_CHARS_MAX: usize = 1024;
/// Streams of one server: each costs a few rows, and memory for each partition.
pub const STREAMS_MAX: usize = 1_000;
/// Partitions of one stream. Oracle's largest tenancy has 200.
pub const STREAM_PARTITIONS_MAX: u32 = 1_000;
/// Partitions of all streams together: each takes memory.
pub const PARTITIONS_MAX: usize = 5_000;
/// Stream pools of one server (with the default pool, one more).
pub const STREAM_POOLS_MAX: usize = 1_000;
/// Characters of compartments, names of pools, and whatever else only the control plane keeps.
pub const LABEL_CHARS_MAX: usize = 255;
/// Bytes of one resource's tags as JSON (OCI allows 5 KB of defined tags).
pub const TAGS_BYTES_MAX: usize = 16_384;
/// Work requests that are kept; the oldest make room.
pub const WORK_REQUESTS_MAX: usize = 1_000;
/// How long an `opc-retry-token` returns what it has created (OCI: 24 hours).
pub const RETRY_TOKEN_LIFE_MS: u64 = 86_400_000;
/// Groups of one stream (OCI limit).
pub const GROUPS_PER_STREAM_MAX: usize = 50;
/// Live instances of one group; those beyond the number of partitions only stand by.
pub const INSTANCES_PER_GROUP_MAX: usize = 256;
/// Partitions that one group cursor can hold uncommitted positions of. 64 entries fit into
/// [`CURSOR_CHARS_MAX`] in the worst case (see `cursor`); a group cursor at this bound gets new
/// messages from these partitions only, until it commits.
pub const CURSOR_POSITIONS_MAX: usize = 64;
/// How long a cursor may be used after it was issued (OCI: five minutes).
pub const CURSOR_LIFE_MS: u64 = 300_000;
/// Smallest `timeoutInMs` of a group's instance. The contract says 5000, Oracle accepted 1000.
pub const INSTANCE_TIMEOUT_MS_MIN: u32 = 1_000;
/// `timeoutInMs` if the client doesn't say (OCI contract).
pub const INSTANCE_TIMEOUT_MS_DEFAULT: u32 = 30_000;

/// Open connections by default. If there is one more, a connection that only waits makes room; if
/// all are busy, the new one waits in the listener's backlog.
pub const CONNECTIONS_MAX: usize = 1_024;
/// Bounds of that number. The server has some dozens of other files open, and a file descriptor
/// for each connection.
pub const CONNECTIONS_MAX_BOUNDS: std::ops::RangeInclusive<u64> = 4..=16_384;
/// File descriptors for everything except connections: the log, the database and its readers.
pub const OTHER_FILES_MAX: u64 = 256;
/// Bytes of one request's line and headers. Cursors take up to 1 KB of it, signatures 2 KB.
pub const HEAD_BYTES_MAX: usize = 32_768;
/// Time from the first byte of a request to the end of its headers.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Time from the end of the headers to the end of the body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(20);
/// Time a client may take to read an answer, from the moment that it stops reading.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time between two requests of one connection by default. It isn't shorter because proxies keep
/// connections ready, and take a connection that is closed under them for a failure.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// Bounds of that time in seconds.
pub const IDLE_TIMEOUT_SECONDS_BOUNDS: std::ops::RangeInclusive<u64> = 1..=3_600;
/// How long an answer of `/ready` is valid. Each new one costs a write to the disk.
pub const READY_LIFE: Duration = Duration::from_secs(1);
/// Time that requests in flight have to end at shutdown.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of all bodies that are being read or worked on.
pub const BODIES_BYTES_MAX: usize = 67_108_864;
/// If there is no room left, a body that has been coming for so long makes room for another one.
pub const SLOW_BODY_AFTER: Duration = Duration::from_secs(1);
/// How long the other body waits for that, before the next slow one has to leave too.
pub const BODY_ROOM_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of all GetMessages answers that are being built or written.
pub const ANSWERS_BYTES_MAX: usize = 67_108_864;
/// Bytes of a GetMessages' answer after which the next message begins another piece: small enough
/// to stay in the processor's cache until it is sent. A few pieces make one system call.
pub const ANSWER_PIECE_BYTES: usize = 16_384;
/// How long a GetMessages waits for room in [`ANSWERS_BYTES_MAX`] before it gets 503.
pub const ANSWER_ROOM_TIMEOUT: Duration = Duration::from_secs(10);

/// Writes that wait for the writer: every connection has at most one.
pub const WRITE_QUEUE_COUNT_MAX: usize = 16_384;
/// Bytes of one commit of messages: bounds the time until its first request is answered.
pub const TRANSACTION_BYTES_MAX: usize = 16_777_216;
/// Longest time that a transaction waits for writes of clients that were just answered.
pub const GATHERING_TIMEOUT: Duration = Duration::from_millis(5);
/// The commit of a client that writes alone is made by the thread that serves it, if the last
/// commit was not longer than this. Other clients of that thread wait meanwhile.
pub const ALONE_COMMIT_MAX: Duration = Duration::from_millis(2);
/// Longest time between two rounds of retention.
pub const RETENTION_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Partitions of groups whose lag is among the metrics. More would be slow to collect.
pub const LAG_SERIES_MAX: usize = 1_000;
/// Rates that are watched at a time with `--throttle oci`. Requests beyond them are refused.
pub const THROTTLE_BUCKETS_MAX: usize = 65_536;
/// Connections that read the database, and as many threads that read from the log what is not in
/// memory. Two cores gain nothing from more.
pub const READERS_COUNT: usize = 4;
/// Bytes after which a GetMessages reads another piece: small enough to stay in the processor's
/// cache until its checksum is computed. One frame is read whole.
pub const READ_BYTES_GOAL: usize = 131_072;
/// Buffers that are kept while nobody reads: a few times what one GetMessages takes.
pub const READ_BUFFERS_MAX: usize = 32;
/// Larger buffers than this are not kept.
pub const READ_BUFFER_BYTES_MAX: usize = 262_144;
/// Bytes of one file of the log by default. At most as much is kept beyond retention, and read at
/// the start.
pub const SEGMENT_BYTES: u64 = 67_108_864;
/// Bounds of that number. A smaller file is not worth its index, of a larger one the index would
/// take too much memory.
pub const SEGMENT_BYTES_BOUNDS: std::ops::RangeInclusive<u64> = 65_536..=268_435_456;
/// Sealed files of the log that are open at a time, each with its index in memory: one of 64 MiB
/// with messages of 1 KB has 2 MB of it at most.
pub const OPEN_SEGMENTS_MAX: usize = 16;
/// Bytes that the buffer of commits keeps between them.
pub const COMMIT_BUFFER_BYTES: usize = 1_048_576;
/// Pages of the write-ahead log after which the writer copies it into the database: 16 MiB, so that
/// a page that changes often is copied once.
pub const WAL_PAGES_MAX: u32 = 4_096;
