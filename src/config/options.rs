//! The configuration of triggers and options.

use std::collections::BTreeSet;
use std::time::Duration;

use super::key::TextForm;
use super::reader::Section;
use crate::accept::config::{HeaderName, OptionHeaders, OptionsConfig};
use crate::accept::lookalike::cannot_be_other;
use crate::accept::triggers::AsyncTriggers;
use crate::call_option::CallOption;
use crate::headers::{CALL_HEADERS, is_envoy_control};
use crate::http::{is_hop_by_hop, is_token};
use crate::limits::{DELAY_SECONDS_MAX, OTHER_HEADERS_MAX, RETRIES_MAX, TIMEOUT_MS_MAX};

/// Fields that a request needs, so that they can't be options.
const TAKEN: [&str; 4] = ["content-length", "content-type", "host", "prefer"];

/// A header's name: a token of RFC 9110 §5.6.2.
pub(super) const HEADER_NAME: TextForm = TextForm::Pattern("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$");

/// Reads the sections `marks` and `options`, which share the names of headers.
pub(super) fn read(root: &mut Section<'_>) -> (AsyncTriggers, OptionsConfig) {
    let triggers = root.section("marks", read_triggers);
    let prefer_header = triggers.prefer_header.clone();
    let options = root.section("options", |options| read_options(options, prefer_header));
    (triggers, options)
}

fn read_triggers(triggers: &mut Section<'_>) -> AsyncTriggers {
    let prefer = triggers.flag(
        "prefer",
        true,
        "Whether the preference respond-async (RFC 7240) makes a request a call.",
    );
    let prefer_header = triggers.text(
        "preferHeader",
        "Prefer",
        "The header that holds preferences.",
    );
    triggers.declare_form(HEADER_NAME);
    let prefer_header = prefer_header.to_ascii_lowercase();
    if let Some(problem) = cannot_be_ours(&prefer_header)
        && prefer_header != "prefer"
    {
        triggers.refuse("preferHeader", problem);
    }
    let path_prefix = triggers.optional_text(
        "pathPrefix",
        "A path prefix, such as /async/, that makes a request a call. The call has it too, \
         as your filters have judged it; the route takes it away, by its prefix_rewrite.",
    );
    triggers.declare_form(TextForm::Pattern("^/[!\"$->@-~]*/$"));
    if let Some(prefix) = &path_prefix {
        let fits = prefix.len() > 1 && prefix.starts_with('/') && prefix.ends_with('/');
        let in_path = |byte: u8| byte.is_ascii_graphic() && !b"?#".contains(&byte);
        if !fits || !prefix.bytes().all(in_path) {
            let message = "must start and end with a slash, such as /async/, and be visible ASCII";
            triggers.refuse("pathPrefix", message.to_owned());
        }
    }
    let route_metadata = triggers.flag(
        "routeMetadata",
        false,
        "Whether the route of every request is asked for its metadata sluice: { mode }, so that \
         always is found. Costs every request 2 to 3 microseconds; the route of a marked request \
         is asked in any case, so that never needs no setting.",
    );
    if !prefer && path_prefix.is_none() && !route_metadata {
        let message = "must not be false where there is neither pathPrefix nor routeMetadata: \
                       nothing could ever be marked";
        triggers.refuse("prefer", message.to_owned());
    }
    AsyncTriggers {
        prefer,
        prefer_header,
        path_prefix,
        route_metadata,
    }
}

fn read_options(options: &mut Section<'_>, prefer_header: String) -> OptionsConfig {
    let headers = options.section("headers", |headers| read_headers(headers, prefer_header));
    let names = options.texts(
        "disabled",
        CallOption::ALL.len(),
        &[],
        "Options, named as under options.headers, that are refused with 501.",
    );
    options.declare_form(TextForm::OneOf(
        CallOption::ALL.map(CallOption::key).to_vec(),
    ));
    let mut disabled = BTreeSet::new();
    for name in names {
        match CallOption::ALL.iter().find(|option| option.key() == name) {
            Some(option) => {
                disabled.insert(*option);
            }
            None => {
                let known = CallOption::ALL.map(CallOption::key).join(", ");
                options.refuse("disabled", format!("{name:?} is none of {known}"));
            }
        }
    }
    let other_headers = read_other_headers(options);
    let (retries_default, retries_max) = read_retries(options);
    let (timeout_default, timeout_max) = read_timeout(options);
    let (max_age_default, max_age_max) = read_max_age(options);
    let delay_max = Duration::from_secs(options.integer(
        "delayMaxSeconds",
        0..=DELAY_SECONDS_MAX,
        DELAY_SECONDS_MAX,
        "seconds",
        "How far ahead the earliest time of a call may be.",
    ));
    OptionsConfig {
        headers,
        other_headers,
        disabled,
        retries_default,
        retries_max,
        timeout_default,
        timeout_max,
        max_age_default,
        max_age_max,
        delay_max,
    }
}

fn read_headers(headers: &mut Section<'_>, prefer_header: String) -> OptionHeaders {
    let mut taken = vec![prefer_header];
    let names = CallOption::ALL.map(|option| {
        let key = option.key();
        let name = headers.text(key, option.default_header(), "The header of this option.");
        headers.declare_form(HEADER_NAME);
        let name = HeaderName::new(name);
        if let Some(problem) = cannot_be_ours(&name.lower_case) {
            headers.refuse(key, problem);
        } else if taken.contains(&name.lower_case) {
            let problem = format!("{} is the header of something else already", name.shown);
            headers.refuse(key, problem);
        }
        taken.push(name.lower_case.clone());
        name
    });
    OptionHeaders(names)
}

fn read_other_headers(options: &mut Section<'_>) -> Vec<String> {
    let names = options.texts(
        "otherHeaders",
        OTHER_HEADERS_MAX,
        &[],
        "Headers of your own that start with `Async-`: marked requests may have them, and they are \
         kept for the target. Any other one that is not an option gets 400.",
    );
    options.declare_form(HEADER_NAME);
    let names = names.into_iter().map(|name| name.to_ascii_lowercase());
    let names: Vec<String> = names.collect();
    for name in &names {
        let problem = if is_token(name.as_bytes()) {
            cannot_be_other(name)
        } else {
            Some("must be a header's name: a token of RFC 9110 §5.6.2")
        };
        if let Some(problem) = problem {
            options.refuse("otherHeaders", format!("{name:?} {problem}"));
        }
    }
    names
}

/// Returns why a header, named in lower case, can't be taken out of requests.
fn cannot_be_ours(name: &str) -> Option<String> {
    // The name could not be read, which is already reported.
    if name.is_empty() {
        return None;
    }
    if !is_token(name.as_bytes()) {
        return Some("must be a header's name: a token of RFC 9110 §5.6.2".to_owned());
    }
    let has_a_meaning = is_hop_by_hop(name, &[])
        || is_envoy_control(name)
        || TAKEN.contains(&name)
        || CALL_HEADERS.contains(&name);
    has_a_meaning.then(|| format!("{name} has a meaning of its own; choose another name"))
}

fn read_retries(options: &mut Section<'_>) -> (Option<u32>, u32) {
    let most = options.integer(
        "retriesMax",
        0..=u64::from(RETRIES_MAX),
        100,
        "retries",
        "The most retries that a caller may ask for.",
    );
    let default = options.optional_integer(
        "retriesDefault",
        0..=u64::from(RETRIES_MAX),
        most,
        "retries, up to retriesMax",
        "Retries of a call whose caller doesn't say; none: the drain's attempt.retries decides.",
    );
    let small = |number: u64| u32::try_from(number).unwrap_or(RETRIES_MAX);
    (default.map(small), small(most))
}

fn read_timeout(options: &mut Section<'_>) -> (Option<Duration>, Duration) {
    let most = options.integer(
        "timeoutMaxMs",
        1..=TIMEOUT_MS_MAX,
        300_000,
        "milliseconds",
        "The longest time limit of an attempt that a caller may ask for.",
    );
    let default = options.optional_integer(
        "timeoutDefaultMs",
        1..=TIMEOUT_MS_MAX,
        most,
        "milliseconds, up to timeoutMaxMs",
        "Time limit of an attempt whose caller doesn't say; none: the drain's attempt.timeoutMs \
         decides.",
    );
    (
        default.map(Duration::from_millis),
        Duration::from_millis(most),
    )
}

fn read_max_age(options: &mut Section<'_>) -> (Duration, Duration) {
    let default = options.integer(
        "maxAgeDefaultSeconds",
        1..=DELAY_SECONDS_MAX,
        86_400,
        "seconds",
        "How long after its earliest time a call is given up whose caller doesn't say.",
    );
    let most = options.integer(
        "maxAgeMaxSeconds",
        1..=DELAY_SECONDS_MAX,
        604_800,
        "seconds",
        "The longest that a caller may ask for.",
    );
    if default > most {
        let message = "must not be more than maxAgeMaxSeconds".to_owned();
        options.refuse("maxAgeDefaultSeconds", message);
    }
    (Duration::from_secs(default), Duration::from_secs(most))
}
