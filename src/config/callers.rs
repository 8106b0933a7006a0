//! The configuration of what tells callers apart, and of what each caller may have outstanding.

use super::key::TextForm;
use super::options::HEADER_NAME;
use super::reader::Section;
use crate::caller::order_key::OrderKeyScope;
use crate::caller::{CallerRules, CallersConfig};
use crate::http::is_token;

/// The most keys of a path into dynamic metadata.
const PATH_KEYS_MAX: usize = 8;

impl CallersConfig {
    pub(super) fn read(callers: &mut Section<'_>) -> Self {
        let mut headers = callers.texts(
            "headers",
            16,
            &["authorization"],
            "Request headers whose values tell callers apart. They count where there is no \
             metadata of `callers.metadata`; where none of them is there either, the peer's \
             certificate does, else its address. Name only headers that are checked before the \
             accept filter: who may choose their values is as many callers as he likes.",
        );
        callers.declare_form(HEADER_NAME);
        for name in &mut headers {
            name.make_ascii_lowercase();
            if !is_token(name.as_bytes()) {
                let message =
                    format!("{name:?} is not a header's name: a token of RFC 9110 §5.6.2");
                callers.refuse("headers", message);
            }
        }
        Self {
            rules: CallerRules {
                metadata: callers.section("metadata", read_metadata),
                headers,
            },
            deferred_max: callers.count(
                "deferredMax",
                1..=10_000_000,
                10_000,
                "calls",
                "Calls of one caller that aren't due yet; further deferred ones get 429. Each \
                 worker counts those that it has accepted since its start.",
            ),
            order_keys: match callers.optional_flag(
                "ownOrderKeys",
                "Whether the same order key of two callers is two keys, so that nobody can hold up \
                 another's calls. Unless it is set, that is so for callers whom metadata, headers \
                 or a certificate tell apart, and those of whom only an address is known share \
                 their keys; true: for addresses too; false: all callers share their keys.",
            ) {
                None => OrderKeyScope::Marked,
                Some(true) => OrderKeyScope::Everybody,
                Some(false) => OrderKeyScope::Shared,
            },
        }
    }
}

fn read_metadata(metadata: &mut Section<'_>) -> Option<Vec<String>> {
    let filter = metadata.optional_text(
        "filter",
        "The namespace of Envoy's dynamic metadata in which an authentication filter before this \
         one says who calls, such as envoy.filters.http.jwt_authn. It goes before headers.",
    );
    let path = metadata.texts(
        "path",
        PATH_KEYS_MAX,
        &["jwt_payload", "sub"],
        "The keys that lead to the value there: of a provider of jwt_authn, what its \
         payload_in_metadata says, and then the claim.",
    );
    metadata.declare_form(TextForm::Any);
    if path.is_empty() {
        metadata.refuse("path", "must have at least one key".to_owned());
    }
    Some(std::iter::once(filter?).chain(path).collect())
}
