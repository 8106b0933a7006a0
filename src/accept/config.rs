//! The configuration of the accept role.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::accept::triggers::AsyncTriggers;
use crate::call_option::CallOption;
use crate::caller::CallersConfig;
use crate::egress::TargetsConfig;
use crate::http::{Fields, all};
use crate::lanes::Lanes;
use crate::metric::Labels;
use crate::record::names::NameList;
use crate::stream::StreamConfig;

/// The configuration of the accept filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptConfig {
    /// Where calls are stored.
    pub stream: StreamConfig,
    /// Which requests are calls.
    pub triggers: AsyncTriggers,
    /// Whether a request is refused if normalization would change its path.
    pub normal_paths: bool,
    /// What their callers may ask for.
    pub options: OptionsConfig,
    /// How they are published.
    pub publish: PublishConfig,
    /// The limits of what waits.
    pub limits: AcceptLimits,
    /// What tells callers apart, and what each may have outstanding.
    pub callers: CallersConfig,
    /// How long and how many idempotency keys are known.
    pub idempotency: IdempotencyConfig,
    /// The lanes for calls that are to be made later.
    pub lanes: Lanes,
    /// Where calls and replies may go besides the gateway's own routes.
    pub targets: TargetsConfig,
    /// Headers whose values are sealed where calls are stored.
    pub sealed_headers: NameList,
    /// The `vm_id` of the drain that is woken after a publish.
    pub drain_vm_id: String,
    /// How labels stand in the names of metrics.
    pub metric_labels: Labels,
}

/// How calls are published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishConfig {
    /// How long a client waits at most, from the end of its request, for the Stream's answer.
    pub timeout: Duration,
    /// Records in one PutMessages.
    pub batch_records_max: usize,
    /// Bytes of records in one PutMessages.
    pub batch_bytes_max: usize,
    /// Open PutMessages of one worker.
    pub in_flight_max: usize,
    /// Where clients get their answer before their call is stored: how much is kept until then.
    pub buffer: Option<BufferLimits>,
}

/// How much one worker keeps of calls that are answered but not stored (`ack: immediate`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferLimits {
    /// Calls.
    pub calls_max: usize,
    /// Bytes of their records.
    pub bytes_max: usize,
    /// How long the gateway tries to store a call; after that the call is lost.
    pub age_max: Duration,
}

/// How long and how many idempotency keys are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyConfig {
    /// How long a key is known.
    pub window: Duration,
    /// Slots of the table, each with room for [`crate::idempotency::KEYS_PER_SLOT`] keys.
    pub slots: u32,
}

/// The limits of the accept filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptLimits {
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// Marked requests that wait in one worker.
    pub waiting_requests_max: usize,
    /// Bytes of their heads and bodies.
    pub waiting_bytes_max: usize,
    /// What a refused client is told to wait.
    pub retry_after: Duration,
}

/// The name of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderName {
    pub(crate) shown: String,
    pub(crate) lower_case: String,
}

impl HeaderName {
    pub(crate) fn new(shown: String) -> Self {
        let lower_case = shown.to_ascii_lowercase();
        Self { shown, lower_case }
    }

    /// Returns the name as the configuration writes it, for messages.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Returns the name in lower case, as it is in a request's fields.
    #[must_use]
    pub fn lower_case(&self) -> &str {
        &self.lower_case
    }
}

/// The header of every option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionHeaders(pub(crate) [HeaderName; CallOption::ALL.len()]);

impl Default for OptionHeaders {
    /// Returns the default names, which the reference lists.
    fn default() -> Self {
        Self(CallOption::ALL.map(|option| HeaderName::new(option.default_header().to_owned())))
    }
}

impl OptionHeaders {
    /// Returns every option with its header.
    pub fn iter(&self) -> impl Iterator<Item = (CallOption, &HeaderName)> {
        CallOption::ALL.into_iter().zip(&self.0)
    }

    /// Returns the header of one option.
    #[must_use]
    pub fn of(&self, option: CallOption) -> &HeaderName {
        let [first, ..] = &self.0;
        let found = self.iter().find(|(candidate, _)| *candidate == option);
        found.map_or(first, |(_, header)| header)
    }

    /// Returns the options that a request has, each with its name in the configuration and its
    /// value. The idempotency key is left out, because it says nothing about the request.
    pub fn asked<'a>(
        &'a self,
        fields: &'a Fields,
    ) -> impl Iterator<Item = (&'static str, &'a [u8])> {
        self.iter()
            .filter(|(option, _)| *option != CallOption::IdempotencyKey)
            .flat_map(move |(option, header)| {
                let values = all(fields, header.lower_case());
                values.map(move |value| (option.key(), value))
            })
    }

    /// Returns whether a field, named in lower case, is an option that the target does not see.
    #[must_use]
    pub fn removes(&self, name: &str) -> bool {
        self.iter()
            .any(|(option, header)| header.lower_case == name && option.is_removed())
    }
}

/// What callers may ask for, and the defaults for those that don't ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionsConfig {
    /// How the options' headers are named.
    pub headers: OptionHeaders,
    /// Headers, named in lower case, that look like options and are the target's.
    pub other_headers: Vec<String>,
    /// Options that are refused.
    pub disabled: BTreeSet<CallOption>,
    /// Retries of a call whose caller doesn't ask for a number; absent: the drain decides.
    pub retries_default: Option<u32>,
    /// The most that a caller may ask for.
    pub retries_max: u32,
    /// The time limit of an attempt if the caller doesn't ask for one; absent: the drain decides.
    pub timeout_default: Option<Duration>,
    /// The longest that a caller may ask for.
    pub timeout_max: Duration,
    /// How long a call is tried if its caller doesn't ask for a time.
    pub max_age_default: Duration,
    /// The longest that a caller may ask for.
    pub max_age_max: Duration,
    /// How far ahead the earliest time may be.
    pub delay_max: Duration,
}
