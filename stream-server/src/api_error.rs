//! The answer to a refused request: OCI's `{code, message}` with a status.

use std::borrow::Cow;

use crate::auth::{Right, Unauthenticated};
use crate::cursor::CursorError;
use crate::group::GroupError;
use crate::limits::INSTANCES_PER_GROUP_MAX;
use crate::storage::StorageError;
use crate::throttle::Throttled;

/// An error answer. Clients match codes and the messages about cursors, so these don't change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// OCI's error code.
    pub code: Cow<'static, str>,
    /// What is wrong and what to change.
    pub message: String,
}

impl ApiError {
    pub(crate) fn new(
        status: u16,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
        }
    }

    /// 400: an invalid value.
    pub fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidParameter", message)
    }

    /// 400: a missing value.
    pub fn missing_parameter(message: impl Into<String>) -> Self {
        Self::new(400, "MissingParameter", message)
    }

    /// 400: a body that the operation doesn't take.
    #[must_use]
    pub fn unparsable(reason: impl std::fmt::Display) -> Self {
        Self::new(
            400,
            "CannotParseRequest",
            format!("Unable to parse JSON body: {reason}"),
        )
    }

    /// 400: too much in one PutMessages.
    #[must_use]
    pub fn request_too_large(reason: impl std::fmt::Display) -> Self {
        let message = format!("Request size is limited to 1 MiB: {reason}");
        Self::new(400, "InvalidParameter", message)
    }

    /// 400: a limit of this server.
    pub fn limit_exceeded(message: impl Into<String>) -> Self {
        Self::new(400, "LimitExceeded", message)
    }

    /// 404: the key lacks a right. This is checked before anything is looked up, so that the answer
    /// doesn't reveal what exists.
    #[must_use]
    pub fn not_authorized(right: Right) -> Self {
        let message = format!(
            "Authorization failed or requested resource not found: the key that has signed this \
             lacks the right to {right}. Its file NAME.rights in the server's key folder gives it"
        );
        Self::new(404, "NotAuthorizedOrNotFound", message)
    }

    /// 404: no stream of this id.
    #[must_use]
    pub fn unknown_stream(id: &str) -> Self {
        Self::new(
            404,
            "NotAuthorizedOrNotFound",
            format!("Unknown stream {id}"),
        )
    }

    /// 400: the stream has fewer partitions.
    #[must_use]
    pub(crate) fn unknown_partition(partition: u32, partitions: u32) -> Self {
        let last = partitions.saturating_sub(1);
        Self::invalid_parameter(format!(
            "There is no partition {partition}, the stream has partitions 0 to {last}"
        ))
    }

    /// 404: no group of this name.
    #[must_use]
    pub fn unknown_group(name: &str) -> Self {
        Self::new(
            404,
            "NotAuthorizedOrNotFound",
            format!("Unknown group {name}"),
        )
    }

    /// 404: no such path.
    #[must_use]
    pub fn unknown_path(method: &str, path: &str) -> Self {
        let message = format!("Not Found: there is no operation {method} {path}");
        Self::new(404, "NotFound", message)
    }

    /// 404: this server has no Kafka Connect to configure.
    #[must_use]
    pub fn no_connect_harnesses() -> Self {
        let message = "Not Found: connect harnesses configure Kafka Connect, and this server has \
            none. Publish and read by the stream's own operations";
        Self::new(404, "NotFound", message)
    }

    /// 404: no pool or work request of this id.
    #[must_use]
    pub fn unknown_resource(what: &str, id: &str) -> Self {
        Self::new(
            404,
            "NotAuthorizedOrNotFound",
            format!("Unknown {what} {id}"),
        )
    }

    /// 412: the resource is not in the state that `if-match` demands (RFC 9110 §13.1.1).
    #[must_use]
    pub fn etag_differs(current: &str) -> Self {
        let message = format!(
            "The etag of if-match is not the current one, {current}. Get it anew and retry"
        );
        Self::new(412, "NoEtagMatch", message)
    }

    /// 409: the present state doesn't allow it.
    pub fn incorrect_state(message: impl Into<String>) -> Self {
        Self::new(409, "IncorrectState", message)
    }

    /// 409: a retry token that belongs to a request with other details.
    #[must_use]
    pub fn retry_token_used() -> Self {
        let message =
            "This opc-retry-token was used for a request with another name. Make a new one";
        Self::new(409, "InvalidatedRetryToken", message)
    }

    /// 429 with the words that clients take the time to wait from.
    #[must_use]
    pub fn throttled(next_in_ms: u64) -> Self {
        let message = format!("Too many requests: the next request can be made in {next_in_ms} ms");
        Self::new(429, "TooManyRequests", message)
    }

    /// 400: the request doesn't name a host (RFC 9112 §3.2).
    #[must_use]
    pub fn no_host() -> Self {
        Self::invalid_parameter("The request needs one field Host, with a name or an address")
    }

    /// 403: a web page has sent the request.
    #[must_use]
    pub fn of_a_page() -> Self {
        let message = "Requests of web pages are not served, and this one has the field Origin, \
            as theirs have. Use a program that doesn't send it";
        Self::new(403, "NotAllowed", message)
    }

    /// 415: content of another type (RFC 9110 §15.5.16).
    #[must_use]
    pub fn not_json() -> Self {
        let message = "The content must be JSON, with the field Content-Type: application/json";
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 421: the request is for another host (RFC 9110 §15.5.20).
    #[must_use]
    pub fn foreign_host(host: &str) -> Self {
        let message = format!(
            "This server is not called {host}. If it should be, start it with --host {host}"
        );
        Self::new(421, "MisdirectedRequest", message)
    }

    /// 405: the path exists, with other methods.
    #[must_use]
    pub fn method_not_allowed(method: &str, allowed: &str) -> Self {
        let message = format!("Method {method} is not allowed here, use {allowed}");
        Self::new(405, "MethodNotAllowed", message)
    }

    /// 408: the body did not come in time.
    #[must_use]
    pub fn body_too_slow() -> Self {
        Self::new(
            408,
            "RequestTimeout",
            "The body of the request did not arrive in time",
        )
    }

    /// 409: the name is taken.
    #[must_use]
    pub fn stream_exists(name: &str) -> Self {
        let message = format!("A stream named {name} exists already");
        Self::new(409, "NotAuthorizedOrResourceAlreadyExists", message)
    }

    /// 413: the body is longer than any valid one.
    #[must_use]
    pub fn body_too_large(bytes_max: usize) -> Self {
        let message = format!("The body of the request is limited to {bytes_max} bytes");
        Self::new(413, "PayloadTooLarge", message)
    }

    /// 500: the store failed.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalServerError", message)
    }

    /// 503: too much at the same time.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }

    /// 400: the message that the cursor reads next is no longer kept. A group goes on after
    /// UpdateGroup.
    #[must_use]
    pub fn cursor_outside_retention() -> Self {
        Self::invalid_parameter("The cursor is outside the retention period and is now invalid.")
    }

    /// 400: the partition has fewer messages than the cursor has read. A group goes on after
    /// UpdateGroup.
    #[must_use]
    pub fn cursor_behind_the_end(partition: u32) -> Self {
        Self::invalid_parameter(format!(
            "The cursor is outside the retention period and is now invalid: it is behind the end \
             of partition {partition}, because messages were removed from the stream. Create a \
             new cursor, and move a group with UpdateGroup."
        ))
    }

    /// 400: the text that clients match; it makes them create a new cursor.
    #[must_use]
    pub fn cursor_invalid() -> Self {
        Self::invalid_parameter("The cursor is invalid. Create a new one.")
    }
}

impl From<Unauthenticated> for ApiError {
    fn from(error: Unauthenticated) -> Self {
        Self::new(401, "NotAuthenticated", error.to_string())
    }
}

impl From<Throttled> for ApiError {
    fn from(throttled: Throttled) -> Self {
        Self::throttled(throttled.next_in_ms)
    }
}

impl From<CursorError> for ApiError {
    fn from(error: CursorError) -> Self {
        match error {
            CursorError::Invalid => Self::cursor_invalid(),
            CursorError::Expired => {
                Self::invalid_parameter("The cursor is expired. Create a new one.")
            }
        }
    }
}

impl From<GroupError> for ApiError {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::CursorInvalid => Self::cursor_invalid(),
            GroupError::UnreservedPartition(partition) => {
                let message = format!("Trying to commit unreserved partition {partition}");
                Self::invalid_parameter(message)
            }
            GroupError::TooManyInstances => Self::limit_exceeded(format!(
                "A group has at most {INSTANCES_PER_GROUP_MAX} instances"
            )),
        }
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::StreamExists => Self::new(
                409,
                "NotAuthorizedOrResourceAlreadyExists",
                error.to_string(),
            ),
            StorageError::GroupMoved => Self::cursor_invalid(),
            StorageError::TooMany(message) => Self::limit_exceeded(message),
            StorageError::Unavailable(message) => Self::unavailable(message),
            StorageError::Failed(_) => Self::internal(error.to_string()),
        }
    }
}
