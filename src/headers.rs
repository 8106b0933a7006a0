//! The header fields of the gateway: those that it adds to calls and replies, and that nobody else
//! may set (G8).

use std::borrow::Cow;

use crate::call_option::CallOption;

/// Fields that the gateway adds to a dispatched call. Nobody else may set them (G8).
pub const CALL_HEADERS: [&str; 3] = ["async-call-id", "async-attempt", "async-accepted-at"];

/// Fields that the gateway also adds to a dispatched reply. Nobody else may set them either.
pub const REPLY_HEADERS: [&str; 6] = [
    "async-outcome",
    "async-status",
    "async-attempts",
    "async-body-cut",
    "async-head-cut",
    "async-signature",
];

/// The prefix of the response's own fields in a dispatched reply. Nobody else may set such fields
/// either.
pub const RESPONSE_PREFIX: &str = "async-response-";

/// Returns a name with hyphens for underscores. Servers that pass fields on as variables (RFC 3875
/// §4.1.18) can't tell the two apart.
#[must_use]
pub fn dashed(name: &str) -> Cow<'_, str> {
    if name.contains('_') {
        Cow::Owned(name.replace('_', "-"))
    } else {
        Cow::Borrowed(name)
    }
}

/// Returns whether a field with this name in lower case is an option or a header that the gateway
/// adds, so that it never belongs to a request. Underscores count as hyphens. Options count under
/// their default names even if they have others.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    let name = &*dashed(name);
    let is_option = |option: CallOption| {
        option.is_removed() && option.default_header().eq_ignore_ascii_case(name)
    };
    CALL_HEADERS.contains(&name)
        || REPLY_HEADERS.contains(&name)
        || name.starts_with(RESPONSE_PREFIX)
        || CallOption::ALL.into_iter().any(is_option)
}

/// Returns whether Envoy itself would act on this field of a callout. Only the client's address,
/// which the gateway has found out, belongs to the request.
#[must_use]
pub fn is_envoy_control(name: &str) -> bool {
    name.starts_with("x-envoy-") && name != "x-envoy-external-address"
}

/// The field that says that the gateway has cut an answer. Targets can't set it: the route removes
/// it from their answers.
pub const ANSWER_CUT: &str = "async-answer-cut";
