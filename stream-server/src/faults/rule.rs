//! A fault: which requests it applies to, and what it does to them.

use serde::{Deserialize, Serialize};

use crate::api_error::ApiError;
use crate::http::OPERATIONS;

/// Longest delay.
const DELAY_MS_MAX: u64 = 120_000;

/// Which requests a fault applies to, and what it does.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Rule {
    /// OCI's name of the operation; any operation if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    /// The stream's id, or the end of it after a dot; any stream if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
    /// So many matching requests are left alone first.
    #[serde(default)]
    pub(super) skip: u64,
    /// How often the rule applies; without end if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) count: Option<u64>,
    /// The probability with which it applies, 0..=1; always if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) probability: Option<f64>,
    /// The seed of its randomness.
    #[serde(default)]
    pub(super) seed: u64,
    /// Milliseconds to wait before anything else.
    #[serde(default)]
    pub(crate) delay_ms: u64,
    /// What happens to the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) effect: Option<Effect>,
}

/// When the fault happens: before or after the operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Moment {
    /// The operation isn't done.
    #[default]
    Before,
    /// The operation is done, but the client doesn't learn of it.
    After,
}

/// What happens to a request.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub(crate) enum Effect {
    /// An error answer of OCI's shape.
    Answer {
        status: u16,
        #[serde(default = "error_code")]
        code: String,
        #[serde(default = "error_message")]
        message: String,
        #[serde(default)]
        when: Moment,
    },
    /// 429, with the time to wait in OCI's words.
    Throttle { next_in_ms: u64 },
    /// PutMessages stores all but every so many-th message (1: none), and says so.
    FailEntries {
        every: usize,
        #[serde(default = "error_code")]
        error: String,
        #[serde(default = "error_message")]
        error_message: String,
    },
    /// The connection is closed instead of an answer.
    Drop {
        #[serde(default)]
        when: Moment,
    },
    /// The operation is done. The answer announces its length, and ends after so many bytes of its
    /// body.
    Truncate { bytes: usize },
    /// The operation is done. The answer is this text, without the operation's headers.
    Garbage {
        #[serde(default = "ok_status")]
        status: u16,
        #[serde(default = "garbage")]
        body: String,
    },
    /// All cursors of the stream that were issued until now have expired.
    ExpireCursors,
    /// 400: the cursor is outside the retention period.
    OutsideRetention,
    /// All instances of all groups of the stream have timed out.
    ForgetMembers,
}

impl Effect {
    /// Returns the error that a client gets instead of an answer.
    pub(crate) fn error(&self) -> ApiError {
        match self {
            Self::Answer {
                status,
                code,
                message,
                ..
            } => ApiError::new(*status, code.clone(), message),
            Self::Throttle { next_in_ms } => ApiError::throttled(*next_in_ms),
            Self::OutsideRetention => ApiError::cursor_outside_retention(),
            Self::FailEntries { .. }
            | Self::Drop { .. }
            | Self::Truncate { .. }
            | Self::Garbage { .. }
            | Self::ExpireCursors
            | Self::ForgetMembers => ApiError::internal("Told so by /faults"),
        }
    }
}

fn error_code() -> String {
    "InternalServerError".to_owned()
}

fn error_message() -> String {
    "Told so by /faults".to_owned()
}

fn ok_status() -> u16 {
    200
}

fn garbage() -> String {
    "<html>not what you expect</html>".to_owned()
}

impl Rule {
    pub(super) fn matches(&self, operation: &str, stream: Option<&str>) -> bool {
        let named = |asked: &str| {
            let id = stream.unwrap_or_default();
            let before = id.strip_suffix(asked);
            before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        self.operation.as_deref().is_none_or(|own| own == operation)
            && self.stream.as_deref().is_none_or(named)
    }

    /// Reports what is wrong with the rule.
    pub(super) fn check(&self, place: usize, problems: &mut Vec<String>) {
        let mut tell = |what: &str| problems.push(format!("[{place}]{what}"));
        if let Some(operation) = &self.operation
            && !OPERATIONS.contains(&operation.as_str())
        {
            let all = OPERATIONS.join(", ");
            tell(&format!(".operation: there is no {operation}, only {all}"));
        }
        if self.stream.as_deref() == Some("") {
            tell(".stream: it is empty. Leave it out to mean all streams");
        }
        if self.count == Some(0) {
            tell(".count: it must be 1 at least. Leave it out to strike for ever");
        }
        if self.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            tell(".probability: it must be between 0 and 1");
        }
        if self.delay_ms > DELAY_MS_MAX {
            tell(&format!(".delayMs: it must be at most {DELAY_MS_MAX}"));
        }
        match &self.effect {
            None if self.delay_ms == 0 => tell(": it does nothing. Give it an effect or delayMs"),
            Some(Effect::Answer { status, .. } | Effect::Garbage { status, .. })
                if !(200..=599).contains(status) =>
            {
                tell(".effect.status: it must be between 200 and 599");
            }
            Some(Effect::FailEntries { every, .. }) => {
                if *every == 0 {
                    tell(".effect.every: it must be 1 at least");
                }
                if self
                    .operation
                    .as_deref()
                    .is_some_and(|own| own != "PutMessages")
                {
                    tell(".operation: failEntries strikes PutMessages alone");
                }
            }
            Some(_) | None => {}
        }
    }
}
