//! What happens to the accept role.

use crate::accept::admission::RequestHead;
use crate::http::{CalloutResult, Fields};
use crate::id::{RequestId, Ticket};
use crate::idempotency::KeyHolder;

/// What happens to the accept role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The head of a marked request.
    RequestHead {
        /// The exchange.
        request: RequestId,
        /// All that is known of it.
        head: RequestHead,
        /// Whether it has neither body nor trailers.
        end_of_stream: bool,
    },
    /// More of the body is buffered.
    RequestBody {
        /// The exchange.
        request: RequestId,
        /// Bytes buffered so far.
        buffered_bytes: usize,
        /// Whether the body is complete.
        end_of_stream: bool,
    },
    /// The trailers, which end the request.
    RequestTrailers {
        /// The exchange.
        request: RequestId,
        /// The trailer fields.
        trailers: Fields,
    },
    /// The exchange is over, answered or not.
    RequestGone(RequestId),
    /// The answer to [`crate::engine::Output::ReadBody`]; `None` if there is no body any more.
    Body(RequestId, Option<Vec<u8>>),
    /// The answer to [`crate::engine::Output::Callout`].
    CalloutDone(Ticket, CalloutResult),
    /// The answer to [`crate::engine::Output::ReadSlot`]: the slot, if it exists, and its
    /// version.
    SlotRead(Option<Vec<u8>>, u32),
    /// The answer to [`crate::engine::Output::WriteSlot`]: false if another worker has written the
    /// slot meanwhile.
    SlotWritten(bool),
    /// A call has ended as a dead letter; its idempotency key may be used again.
    KeyReleased(KeyHolder),
    /// The answer to [`crate::engine::Output::Wake`].
    Wake,
    /// Time has passed.
    Tick,
}
