//! What an option accepts, in words.

use crate::accept::config::OptionsConfig;
use crate::call_option::CallOption;
use crate::limits::{
    ADDRESS_BYTES_MAX, CORRELATION_ID_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX, ORDER_KEY_BYTES_MAX,
};

impl CallOption {
    /// Returns the accepted forms, to be written after the word "Give".
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
