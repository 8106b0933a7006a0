//! The options of a call: their names, and what is accepted.

/// Something that a caller can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallOption {
    /// Where the call goes, instead of this gateway's own route.
    Target,
    /// Who gets the response.
    ReplyTo,
    /// Who is told that the call has failed for good.
    FailureTo,
    /// The caller's conversation id.
    CorrelationId,
    /// The call is not made before this time.
    DeliverAt,
    /// The call is not made before this long from now.
    Delay,
    /// When the call is given up.
    MaxAge,
    /// How often the call is tried again.
    Retries,
    /// How long an attempt may take.
    Timeout,
    /// Calls with the same order key are made one after the other.
    OrderKey,
    /// Requests with the same idempotency key count as the same.
    IdempotencyKey,
}

impl CallOption {
    /// All options, in the order of the reference.
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

    /// Returns the option's name in the configuration.
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

    /// Returns the option's header, unless the configuration gives it another one.
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

    /// Returns whether only the gateway needs the header. The target needs the idempotency key too.
    #[must_use]
    pub const fn is_removed(self) -> bool {
        !matches!(self, Self::IdempotencyKey)
    }
}
