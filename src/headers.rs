//! The header fields that are ours: what the gateway adds to calls and replies, and what nobody
//! else may set (G8).

use std::borrow::Cow;

use crate::call_option::CallOption;

/// What the gateway adds to a dispatched call. Nobody else may set it (G8).
pub const CALL_HEADERS: [&str; 3] = ["async-call-id", "async-attempt", "async-accepted-at"];

/// What the gateway adds to a dispatched reply besides. Nobody else may set it either.
pub const REPLY_HEADERS: [&str; 6] = [
    "async-outcome",
    "async-status",
    "async-attempts",
    "async-body-cut",
    "async-head-cut",
    "async-signature",
];

/// What stands before the names of the response's own fields in a dispatched reply. Nobody else
/// may set those either.
pub const RESPONSE_PREFIX: &str = "async-response-";

/// Returns a name as servers read it that hand it on as a variable (RFC 3875 §4.1.18): they can't
/// tell an underscore from a hyphen.
#[must_use]
pub fn dashed(name: &str) -> Cow<'_, str> {
    if name.contains('_') {
        Cow::Owned(name.replace('_', "-"))
    } else {
        Cow::Borrowed(name)
    }
}

/// Returns whether a field with this name in lower case is an option or a header that the gateway
/// adds, and so never part of a request, with underscores too. Options count under their default
/// names, also where they have others.
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

/// The field that says that an answer was cut here. Targets can't set it: the route takes it out
/// of what they say.
pub const ANSWER_CUT: &str = "async-answer-cut";
