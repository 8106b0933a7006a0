//! What the drain has to know of a call while its record waits: everything that decides when, where
//! and how often the call is made, and little enough to be kept in memory.

use std::rc::Rc;
use std::time::Duration;

use crate::caller::CallerKey;
use crate::drain::retry::{Asked, CallLimits, RetryPolicy};
use crate::http::{first, is_idempotent};
use crate::idempotency::KeyHash;
use crate::record::Call;
use crate::time::Wall;
use crate::time_text::parse_rfc_3339;

/// A call's plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The call id.
    pub id: Rc<str>,
    /// When it was accepted, RFC 3339; if the record doesn't say, when the Stream stored it.
    pub accepted_at: Rc<str>,
    /// The target in whose queue it waits: the origin of its explicit target, or the cluster that
    /// the accepting gateway's route led to, or the authority.
    pub target: Rc<str>,
    /// Its caller. Callers take turns. All calls whose records don't name a caller count as one
    /// caller's.
    pub caller: CallerKey,
    /// Calls with the same key are made one at a time, in their order.
    pub order_key: Option<Rc<str>>,
    /// Its idempotency key, which is free again if the call becomes a dead letter.
    pub idempotency: Option<KeyHash>,
    /// The call is not made before this time.
    pub not_before: Wall,
    /// When it could have been made first. Its lateness counts from then.
    pub due: Wall,
    /// How often, how long and until when it is attempted.
    pub limits: CallLimits,
    /// Whether making it twice does no more than making it once, because of its method, or because
    /// its caller has given it a key by which its target can tell.
    pub is_repeatable: bool,
    /// Whether somebody wants a reply about its end.
    pub wants_reply: bool,
}

impl Plan {
    /// Returns the plan of a call, by the operator's policy. `stored_at` is when the Stream stored
    /// its record. It counts as the time of acceptance if the record has none.
    #[must_use]
    pub fn new(call: &Call, id: &str, stored_at: Wall, policy: &RetryPolicy) -> Self {
        let head = &call.head;
        let accepted = head.accepted_at.as_deref().and_then(parse_rfc_3339);
        let accepted_at = match &head.accepted_at {
            Some(text) => Rc::from(text.as_str()),
            None => Rc::from(stored_at.to_string()),
        };
        let progress = &head.progress;
        let earliest = head.deliver_at.or(accepted).unwrap_or(stored_at);
        let asked = Asked {
            retries: head.retries,
            max_age: head.max_age_ms.map(Duration::from_millis),
            timeout: head.timeout_ms.map(Duration::from_millis),
            since: earliest.max(progress.since.unwrap_or_default()),
        };
        Self {
            due: asked.since,
            id: Rc::from(id),
            accepted_at,
            target: Rc::from(target(call)),
            caller: head.caller.unwrap_or(CallerKey::UNKNOWN),
            idempotency: head.idempotency.clone(),
            order_key: head.order_key.as_deref().map(Rc::from),
            not_before: head.deliver_at.max(progress.not_before).unwrap_or_default(),
            limits: policy.limits_of(&asked),
            is_repeatable: is_idempotent(&head.method)
                || first(&head.headers, "idempotency-key").is_some(),
            wants_reply: head.reply_to.is_some() || head.failure_to.is_some(),
        }
    }
}

/// Returns the target in whose queue a call waits.
fn target(call: &Call) -> &str {
    let head = &call.head;
    let origin = head.target.as_deref().map(origin_of);
    origin
        .or(head.cluster.as_deref())
        .or(head.authority.as_deref())
        .unwrap_or_default()
}

/// Returns scheme and authority of a URL. The URL is checked before it is called, not here.
fn origin_of(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at.saturating_add(3));
    let rest = url.get(after_scheme..).unwrap_or_default();
    let length = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    url.get(..after_scheme.saturating_add(length))
        .unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_stands_before_the_path() {
        for (url, origin) in [
            ("https://a.example:8443/x?y", "https://a.example:8443"),
            ("http://a.example?x", "http://a.example"),
            ("https://[::1]/", "https://[::1]"),
            ("nonsense", "nonsense"),
            ("/", ""),
        ] {
            assert_eq!(origin_of(url), origin, "{url}");
        }
    }
}
