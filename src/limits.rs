//! Every bound that is a constant rather than configuration, with the reason for its value.

/// Answers given in one callback of the host. Envoy performs them recursively when the callback
/// returns, and about 300 nested ones overflow the stack of its wasm engine.
pub const RESPONSES_PER_CALLBACK_MAX: usize = 64;

/// Outputs that one callback performs before it lets the event loop go on: enough for a full batch
/// to be gathered (two outputs a record) and answered.
pub const OUTPUTS_PER_CALLBACK_MAX: usize = 20_000;

/// Decoded bytes of keys and values in one PutMessages (OCI Streaming: 1 MB a request).
pub const PUT_BYTES_MAX: usize = 1_048_576;

/// Room that a call record leaves in a message, so that a dead letter, which holds the whole record
/// and tells why it died, is still one message.
pub const DEAD_LETTER_RESERVE_BYTES: usize = 32_768;

/// Bytes of one encoded call record.
pub const RECORD_BYTES_MAX: usize = PUT_BYTES_MAX - DEAD_LETTER_RESERVE_BYTES;

/// Bytes of a record in one part of a split dead letter: base64 makes it 699,052.
pub const DEAD_LETTER_PART_BYTES: usize = 524_288;

/// Header fields of a record; Envoy takes 1,024 pairs in a callout, and we add some.
pub const RECORD_FIELDS_MAX: usize = 1_000;

/// Bytes of a correlation id: generous for a UUID or a URN, harmless in a header.
pub const CORRELATION_ID_BYTES_MAX: usize = 256;

/// Bytes of an answer of the Stream that are kept for a log line.
pub const LOGGED_ANSWER_BYTES_MAX: usize = 300;

/// Attempts whose history a dead letter keeps: the latest ones.
pub const DEAD_LETTER_ATTEMPTS_MAX: usize = 20;

/// Bytes of an answer of the Stream that the filter reads. Envoy itself buffers up to 32 MiB.
pub const STREAM_ANSWER_BYTES_MAX: usize = 33_554_432;
