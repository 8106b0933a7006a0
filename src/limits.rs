//! Every bound that is a constant rather than configuration, with the reason for its value.

use std::time::Duration;

/// Answers given in one callback of the host. Envoy performs them recursively when the callback
/// returns, and about 300 nested ones overflow the stack of its wasm engine.
pub const RESPONSES_PER_CALLBACK_MAX: usize = 64;

/// Outputs that one callback performs before it lets the event loop go on: enough for a full batch
/// to be gathered (two outputs a record) and answered.
pub const OUTPUTS_PER_CALLBACK_MAX: usize = 20_000;

/// Decoded bytes of keys and values in one PutMessages (OCI Streaming: 1 MB a request).
pub const PUT_BYTES_MAX: usize = 1_048_576;

/// Bytes of a record on its way to another stream. The rest is for its key.
pub const HOP_BYTES_MAX: usize = PUT_BYTES_MAX - 512;

/// Messages in one PutMessages of the drain.
pub const PUT_MESSAGES_MAX: usize = 100;

/// Moments at which deferred calls are due, of all callers of one worker: some 50 bytes each.
pub const DEFERRED_MOMENTS_MAX: usize = 32_768;

/// How often a call is put on its stream again because its message key is not its order key. Once
/// is enough if the Stream keeps keys; a mirror of a stream may lose them again.
pub const REKEYED_MAX: u32 = 3;

/// Calls that came from another stream and are remembered, so that a repeated hop is recognised.
pub const HOPS_REMEMBERED_MAX: usize = 8_192;

/// The least number of settled records of lost sessions that are remembered, whatever the window's
/// bounds. Each takes some hundred bytes, and the call of one that is forgotten early is made
/// again.
pub const ORPHANED_SETTLED_MIN: usize = 1_024;

/// Room that a call record leaves in a message, so that its dead letter, which has the whole record
/// and the reason, is still one message.
pub const DEAD_LETTER_RESERVE_BYTES: usize = 32_768;

/// Bytes of one encoded call record.
pub const RECORD_BYTES_MAX: usize = PUT_BYTES_MAX - DEAD_LETTER_RESERVE_BYTES;

/// Bytes of a record in one part of a split dead letter: base64 makes it 699,052.
pub const DEAD_LETTER_PART_BYTES: usize = 524_288;

/// Bytes of a call's head, with its request line and 4 bytes more for each field. The listeners
/// that make calls take 96 KiB (`max_request_headers_kb`); the difference is room for added
/// headers, signatures and what Envoy adds.
pub const HEAD_BYTES_MAX: usize = 88 << 10;

/// Header fields of a call. The listeners that make calls take 200 (`max_headers_count`); the
/// difference is room for added fields.
pub const HEAD_FIELDS_MAX: usize = 160;

/// Bytes of a correlation id: generous for a UUID or a URN, harmless in a header.
pub const CORRELATION_ID_BYTES_MAX: usize = 256;

/// Bytes of a target's URL or of an address for replies: common servers limit a request line like
/// this.
pub const ADDRESS_BYTES_MAX: usize = 8_192;

/// Bytes of an order key, like those of a correlation id.
pub const ORDER_KEY_BYTES_MAX: usize = 256;

/// Bytes of an idempotency key without its quotes, like those of a correlation id.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;

/// Characters of a refused option's value that its refusal shows: enough to recognise it.
pub const REFUSED_VALUE_CHARACTERS_MAX: usize = 64;

/// How far ahead a call's earliest time may be: a year, and a leap year too.
pub const DELAY_SECONDS_MAX: u64 = 366 * 86_400;

/// Retries that a configuration may allow: with the longest pauses they last for weeks.
pub const RETRIES_MAX: u32 = 10_000;

/// A call's last attempt is made in the last part of its time, which is one of so many: late enough
/// for a target that comes back, early enough to get there.
pub const LAST_ATTEMPT_DIVISOR: u32 = 10;

/// The longest that this last part may be. Until its end the call keeps its target's answer in
/// memory.
pub const LAST_ATTEMPT_MAX: Duration = Duration::from_secs(5);

/// Milliseconds of one attempt: an hour. The host counts them in 32 bits.
pub const TIMEOUT_MS_MAX: u64 = 3_600_000;

/// Bytes of a target's answer that a record keeps of an attempt. A record has room for 20 of them.
pub const EXCERPT_BYTES_MAX: usize = 2_048;

/// Bytes of the text about a record's mistake. What is wrong may itself be as long as the record,
/// and a dead letter has to contain both.
pub const RECORD_ERROR_BYTES_MAX: usize = 1_000;

/// Bytes of a route's or cluster's name in a record.
pub const ROUTE_BYTES_MAX: usize = 256;

/// Bytes of an answer of the Stream that are kept for a log line.
pub const LOGGED_ANSWER_BYTES_MAX: usize = 300;

/// The longest pause that a throttled answer of the Stream can ask for. After that the filter tries
/// again, whatever the answer says.
pub const ASKED_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Attempts whose history a dead letter keeps: the latest ones.
pub const DEAD_LETTER_ATTEMPTS_MAX: usize = 20;

/// Bytes of an answer of the Stream that the filter reads. Envoy itself buffers up to 32 MiB.
pub const STREAM_ANSWER_BYTES_MAX: usize = 33_554_432;

/// Secrets that replies are signed with: the current one, and some that receivers still know.
pub const SIGNING_SECRETS_MAX: usize = 4;

/// Keys that credentials at rest are sealed by: the current one, and some that stored calls need.
pub const SEAL_KEYS_MAX: usize = 4;

/// Bytes of a key's id, which is stored with every value that the key has sealed.
pub const SEAL_KEY_ID_BYTES_MAX: usize = 32;

/// Names in a list of headers of a configuration.
pub const HEADER_NAMES_MAX: usize = 64;

/// Fields of a response that a reply carries.
pub const REPLY_ANSWER_FIELDS_MAX: usize = 64;

/// Bytes of these fields, counted as HTTP/2 does. With the rest of its head a reply stays below
/// what dispatch and usual receivers take.
pub const REPLY_ANSWER_BYTES_MAX: usize = 8_192;

/// Bytes of a response that a reply forwards: base64 makes it 873,816, which leaves a record room
/// for its other members.
pub const REPLY_BODY_BYTES_MAX: usize = 655_360;

/// Bytes of one field, with its repetitions, that a reply takes over from a call or a response.
pub const REPLY_FIELD_BYTES_MAX: usize = 8_192;

/// Bytes of an explicit target or a reply address. RFC 9110 §4.1 asks for at least 8,000.
pub const DESTINATION_BYTES_MAX: usize = 8_192;

/// Rules of one allow-list. Each call is checked against all of them.
pub const ALLOW_RULES_MAX: usize = 256;

/// Path prefixes in `replies.paths`. Each reply address is checked against all of them.
pub const REPLY_PATHS_MAX: usize = 64;

/// Names in `options.otherHeaders`. Headers that look like options are checked against all of them.
pub const OTHER_HEADERS_MAX: usize = 64;

/// After this time a call that waits in memory for a time of day looks at the clock again. So a
/// clock that was wrong and is set right delays nothing for longer.
pub const CLOCK_TRUSTED_MAX: Duration = Duration::from_secs(30);

/// Bytes of the records whose decoded form the drain keeps too, so that a call that is made soon is
/// decoded only once.
pub const UNDERSTOOD_BYTES_MAX: usize = 4 << 20;
