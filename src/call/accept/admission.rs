//! Step 1b: a marked request's head becomes a call's head, or is refused at once.

use super::mark::without_applied;
use super::refusal::Refusal;
use crate::call::record::CallHead;
use crate::http::{Fields, all, first, is_hop_by_hop, named_by_connection};
use crate::limits::CORRELATION_ID_BYTES_MAX;

/// A request's head as Envoy shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// All fields, the pseudo header fields among them.
    pub fields: Fields,
    /// Whether one of the gateway's routes matched.
    pub has_route: bool,
}

/// The caller's conversation id.
const CORRELATION_ID: &str = "async-correlation-id";

/// Options that a call can't have yet: taking them silently would break a promise.
const UNSUPPORTED_OPTIONS: [&str; 9] = [
    "async-target",
    "async-reply-to",
    "async-failure-to",
    "async-deliver-at",
    "async-delay",
    "async-max-age",
    "async-retries",
    "async-timeout",
    "async-order-key",
];

/// What the gateway adds to a dispatched call. Nobody else may set it (G8).
pub const CALL_MARKS: [&str; 3] = ["async-call-id", "async-attempt", "async-accepted-at"];

/// Whether a field with this name is an option or a mark of ours, and so never part of a request.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    name == CORRELATION_ID || UNSUPPORTED_OPTIONS.contains(&name) || CALL_MARKS.contains(&name)
}

/// Whether Envoy itself would act on this field of a callout. Only the client's address, which the
/// gateway has found out, belongs to the request.
#[must_use]
pub fn is_envoy_control(name: &str) -> bool {
    name.starts_with("x-envoy-") && name != "x-envoy-external-address"
}

/// Checks a marked request's head, and takes out what the call's target shall see.
///
/// # Errors
/// The first reason to refuse it.
pub fn admit(head: RequestHead, body_bytes_max: usize) -> Result<CallHead, Refusal> {
    can_be_asynchronous(&head.fields)?;
    if !head.has_route {
        return Err(Refusal::NoRoute);
    }
    let declared = first(&head.fields, "content-length")
        .and_then(|text| std::str::from_utf8(text).ok())
        .and_then(|text| text.parse::<u64>().ok());
    if declared.is_some_and(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX) > body_bytes_max) {
        return Err(body_too_large(body_bytes_max));
    }
    let correlation_id = correlation_id(&head.fields)?;
    for header in UNSUPPORTED_OPTIONS {
        if first(&head.fields, header).is_some() {
            return Err(Refusal::NotAsynchronous(format!(
                "The option {header} is not supported by this gateway; leave it out."
            )));
        }
    }
    split(head.fields, correlation_id)
}

/// The refusal of a body that is too large.
#[must_use]
pub const fn body_too_large(limit_bytes: usize) -> Refusal {
    Refusal::TooLarge {
        what: "The body",
        limit_bytes,
    }
}

/// Upgrades, tunnels and gRPC streams are conversations, not requests.
fn can_be_asynchronous(fields: &Fields) -> Result<(), Refusal> {
    let refuse = |what: &str| {
        let detail = format!("{what} can't be made asynchronously; send it without the mark.");
        Err(Refusal::NotAsynchronous(detail))
    };
    if first(fields, ":method") == Some(b"CONNECT") {
        return refuse("A CONNECT request");
    }
    if first(fields, "upgrade").is_some() {
        return refuse("A request that upgrades its connection");
    }
    if first(fields, "content-type").is_some_and(|kind| {
        kind.get(..16)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"))
    }) {
        return Err(Refusal::GrpcStream);
    }
    Ok(())
}

fn correlation_id(fields: &Fields) -> Result<Option<String>, Refusal> {
    let bad = |problem: &str| Refusal::BadOption {
        header: "Async-Correlation-Id",
        detail: format!(
            "Async-Correlation-Id {problem}; give one value of 1 to {CORRELATION_ID_BYTES_MAX} \
             visible ASCII characters."
        ),
    };
    let mut values = all(fields, CORRELATION_ID);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(bad("stands there more than once"));
    }
    if value.is_empty() || value.len() > CORRELATION_ID_BYTES_MAX {
        return Err(bad(&format!("has {} characters", value.len())));
    }
    if !value.iter().all(u8::is_ascii_graphic) {
        return Err(bad("has a character that isn't visible ASCII"));
    }
    Ok(Some(String::from_utf8_lossy(value).into_owned()))
}

/// Separates pseudo header fields from fields, and drops what isn't the target's business.
fn split(fields: Fields, correlation_id: Option<String>) -> Result<CallHead, Refusal> {
    let mut head = CallHead {
        correlation_id,
        ..CallHead::default()
    };
    head.headers.reserve(fields.len());
    let named = named_by_connection(&fields);
    for (name, value) in fields {
        match name.as_str() {
            ":method" => head.method = text(":method", value)?,
            ":path" => head.path = text(":path", value)?,
            ":authority" => head.authority = Some(text(":authority", value)?),
            ":scheme" => head.scheme = Some(text(":scheme", value)?),
            "host" => {}
            "prefer" => head
                .headers
                .extend(without_applied(&value).map(|rest| (name, rest))),
            other if other.starts_with(':') => {}
            other if is_ours(other) || is_envoy_control(other) => {}
            other if is_hop_by_hop(other, &named) => {}
            _ => head.headers.push((name, value)),
        }
    }
    Ok(head)
}

/// Envoy lets only ASCII through here; should that change, a record must not silently differ.
fn text(name: &'static str, value: Vec<u8>) -> Result<String, Refusal> {
    String::from_utf8(value).map_err(|_| Refusal::BadOption {
        header: name,
        detail: format!("{name} holds bytes that are no UTF-8; percent-encode them."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(extra: &[(&str, &str)]) -> RequestHead {
        let fixed = [
            (":method", "POST"),
            (":path", "/a?b"),
            (":authority", "h:1"),
        ];
        let fields = fixed
            .iter()
            .chain(extra)
            .map(|(n, v)| ((*n).to_owned(), (*v).into()));
        RequestHead {
            fields: fields.collect(),
            has_route: true,
        }
    }

    fn names(head: &CallHead) -> Vec<&str> {
        head.headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn the_target_gets_all_but_hops_and_marks() {
        let call = admit(
            head(&[
                ("x-a", "1"),
                ("connection", "keep-alive, X-Hop"),
                ("x-hop", "1"),
                ("keep-alive", "timeout=5"),
                ("te", "trailers"),
                ("content-length", "0"),
                ("prefer", "respond-async, return=minimal"),
                ("async-correlation-id", "c-1"),
                ("async-call-id", "forged"),
                ("async-attempt", "7"),
                ("x-envoy-max-retries", "100"),
                ("x-envoy-external-address", "192.0.2.1"),
                ("x-a", ""),
            ]),
            10,
        )
        .unwrap();
        assert_eq!(
            names(&call),
            [
                "x-a",
                "content-length",
                "prefer",
                "x-envoy-external-address",
                "x-a"
            ]
        );
        assert_eq!(first(&call.headers, "prefer"), Some(&b"return=minimal"[..]));
        assert_eq!(call.correlation_id.as_deref(), Some("c-1"));
        assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/a?b"));
        assert_eq!(call.authority.as_deref(), Some("h:1"));
    }

    #[test]
    fn what_cannot_be_a_call_is_refused() {
        for (extra, status) in [
            (&[("upgrade", "websocket")][..], 501),
            (&[("content-type", "Application/gRPC+proto")], 501),
            (&[("async-delay", "5s")], 501),
            (&[("content-length", "11")], 413),
            (&[("content-length", "99999999999999999999")], 200),
            (&[("async-correlation-id", "a b")], 400),
            (&[("async-correlation-id", "")], 400),
            (
                &[("async-correlation-id", "a"), ("async-correlation-id", "b")],
                400,
            ),
        ] {
            let got = match admit(head(extra), 10) {
                Ok(_) => 200,
                Err(refusal) => refusal.response(std::time::Duration::ZERO).status,
            };
            assert_eq!(got, status, "{extra:?}");
        }
        let nowhere = RequestHead {
            has_route: false,
            ..head(&[])
        };
        assert_eq!(admit(nowhere, 10), Err(Refusal::NoRoute));
    }
}
