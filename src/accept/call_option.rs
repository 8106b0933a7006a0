//! The options that there are: how they are named, and what is accepted.

use crate::config::OptionsConfig;
use crate::limits::{
    ADDRESS_BYTES_MAX, CORRELATION_ID_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX, ORDER_KEY_BYTES_MAX,
};

/// Something that a caller can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallOption {
    /// Where the call goes instead of this gateway's own route.
    Target,
    /// Who gets the response.
    ReplyTo,
    /// Who is told that the call has failed for good.
    FailureTo,
    /// The caller's conversation id.
    CorrelationId,
    /// Not before this time.
    DeliverAt,
    /// Not before this long from now.
    Delay,
    /// When to give up.
    MaxAge,
    /// How often to try again.
    Retries,
    /// How long an attempt may take.
    Timeout,
    /// Which calls are made one after the other.
    OrderKey,
    /// Which requests are the same.
    IdempotencyKey,
}

impl CallOption {
    /// All of them, in the order of the reference.
    pub const ALL: [Self; 11] = [
        Self::Target,
        Self::ReplyTo,
        Self::FailureTo,
        Self::CorrelationId,
        Self::DeliverAt,
        Self::Delay,
        Self::MaxAge,
        Self::Retries,
        Self::Timeout,
        Self::OrderKey,
        Self::IdempotencyKey,
    ];

    /// Its name in the configuration.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::ReplyTo => "replyTo",
            Self::FailureTo => "failureTo",
            Self::CorrelationId => "correlationId",
            Self::DeliverAt => "deliverAt",
            Self::Delay => "delay",
            Self::MaxAge => "maxAge",
            Self::Retries => "retries",
            Self::Timeout => "timeout",
            Self::OrderKey => "orderKey",
            Self::IdempotencyKey => "idempotencyKey",
        }
    }

    /// Its header, unless the configuration gives it another one.
    #[must_use]
    pub const fn default_header(self) -> &'static str {
        match self {
            Self::Target => "Async-Target",
            Self::ReplyTo => "Async-Reply-To",
            Self::FailureTo => "Async-Failure-To",
            Self::CorrelationId => "Async-Correlation-Id",
            Self::DeliverAt => "Async-Deliver-At",
            Self::Delay => "Async-Delay",
            Self::MaxAge => "Async-Max-Age",
            Self::Retries => "Async-Retries",
            Self::Timeout => "Async-Timeout",
            Self::OrderKey => "Async-Order-Key",
            Self::IdempotencyKey => "Idempotency-Key",
        }
    }

    /// Whether its header is for the gateway alone. The idempotency key is for the target too.
    #[must_use]
    pub const fn is_removed(self) -> bool {
        !matches!(self, Self::IdempotencyKey)
    }

    /// What is accepted, to be said after "Give".
    pub(super) fn forms(self, config: &OptionsConfig) -> String {
        let durations = "such as 250ms, 90s, 5m, 2h, 7d, 1h30m, PT90S or P1DT12H";
        match self {
            Self::Target => {
                format!("an absolute http or https URL of up to {ADDRESS_BYTES_MAX} characters")
            }
            Self::ReplyTo | Self::FailureTo => format!(
                "an absolute http or https URL, or a path on this gateway that starts with one \
                 slash, of up to {ADDRESS_BYTES_MAX} characters"
            ),
            Self::CorrelationId => {
                format!("one value of 1 to {CORRELATION_ID_BYTES_MAX} visible ASCII characters")
            }
            Self::DeliverAt => format!(
                "a time as RFC 3339 (2026-11-23T04:36:00Z), HTTP-date (Mon, 23 Nov 2026 04:36:00 \
                 GMT) or Unix seconds (1795408560), at most {:?} ahead",
                config.delay_max
            ),
            Self::Delay => format!("a duration {durations}, up to {:?}", config.delay_max),
            Self::MaxAge => {
                format!(
                    "a duration {durations}, from 1s to {:?}",
                    config.max_age_max
                )
            }
            Self::Timeout => {
                format!(
                    "a duration {durations}, from 1ms to {:?}",
                    config.timeout_max
                )
            }
            Self::Retries => format!("a whole number from 0 to {}", config.retries_max),
            Self::OrderKey => {
                format!("one value of 1 to {ORDER_KEY_BYTES_MAX} visible ASCII characters")
            }
            Self::IdempotencyKey => format!(
                "one key of 1 to {IDEMPOTENCY_KEY_BYTES_MAX} characters, as visible ASCII or as a \
                 quoted string (RFC 8941)"
            ),
        }
    }
}
