//! Step 2a: a call becomes the request that its target sees.

use std::borrow::Cow;
use std::rc::Rc;

use crate::call::accept::admission::{is_envoy_control, is_ours};
use crate::call::record::Call;
use crate::http::{OutgoingRequest, first, is_hop_by_hop, named_by_connection};

/// What the gateway adds to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    /// The call's identity.
    pub id: String,
    /// The caller's conversation id, or the call id.
    pub correlation_id: String,
    /// When the call was accepted, RFC 3339.
    pub accepted_at: String,
    /// From 1.
    pub attempt: u32,
}

/// The request: every field of the record in its order, but for those that concern one connection
/// or that Envoy or we would act on; then the marks.
#[must_use]
pub fn request(call: Call, marks: &Marks, default_authority: &str) -> OutgoingRequest {
    let head = call.head;
    let named = named_by_connection(&head.headers);
    let keyed = first(&head.headers, "idempotency-key").is_some();
    let authority = head
        .authority
        .unwrap_or_else(|| default_authority.to_owned());
    let scheme = head.scheme.unwrap_or_else(|| "http".to_owned());
    let mut headers: Vec<(Cow<'static, str>, Cow<'static, [u8]>)> = vec![
        (
            Cow::Borrowed(":method"),
            Cow::Owned(head.method.into_bytes()),
        ),
        (Cow::Borrowed(":path"), Cow::Owned(head.path.into_bytes())),
        (
            Cow::Borrowed(":authority"),
            Cow::Owned(authority.into_bytes()),
        ),
        (Cow::Borrowed(":scheme"), Cow::Owned(scheme.into_bytes())),
    ];
    headers.reserve(head.headers.len() + 5);
    let mut length_told = false;
    for (name, value) in head.headers {
        let skipped = name == "host"
            || is_ours(&name)
            || is_envoy_control(&name)
            || is_hop_by_hop(&name, &named);
        if skipped {
            continue;
        }
        if name == "content-length" {
            if !std::mem::replace(&mut length_told, true) {
                let length = call.body.len().to_string().into_bytes();
                headers.push((Cow::Owned(name), Cow::Owned(length)));
            }
            continue;
        }
        headers.push((Cow::Owned(name), Cow::Owned(value)));
    }
    let mut mark = |name: &'static str, value: &str| {
        headers.push((Cow::Borrowed(name), Cow::Owned(value.as_bytes().to_vec())));
    };
    mark("async-call-id", &marks.id);
    mark("async-correlation-id", &marks.correlation_id);
    mark("async-attempt", &marks.attempt.to_string());
    mark("async-accepted-at", &marks.accepted_at);
    if !keyed {
        mark("idempotency-key", &marks.id);
    }
    OutgoingRequest {
        headers,
        body: Rc::new(call.body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::record::CallHead;

    fn call(fields: &[(&str, &str)], body: &str) -> Call {
        Call {
            head: CallHead {
                method: "PUT".to_owned(),
                path: "/a%20b?c".to_owned(),
                authority: Some("h:1".to_owned()),
                headers: fields
                    .iter()
                    .map(|(n, v)| ((*n).to_owned(), (*v).into()))
                    .collect(),
                ..CallHead::default()
            },
            body: body.into(),
        }
    }

    fn sent(call: Call) -> Vec<String> {
        let marks = Marks {
            id: "c1".to_owned(),
            correlation_id: "k1".to_owned(),
            accepted_at: "2026-11-23T04:36:00.123Z".to_owned(),
            attempt: 2,
        };
        request(call, &marks, "nowhere.invalid")
            .headers
            .iter()
            .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
            .collect()
    }

    #[test]
    fn the_target_sees_the_request_and_the_marks() {
        let fields = [
            ("x-a", "1"),
            ("content-length", "999"),
            ("x-a", "2"),
            ("async-attempt", "9"),
        ];
        assert_eq!(
            sent(call(&fields, "body")),
            [
                ":method=PUT",
                ":path=/a%20b?c",
                ":authority=h:1",
                ":scheme=http",
                "x-a=1",
                "content-length=4",
                "x-a=2",
                "async-call-id=c1",
                "async-correlation-id=k1",
                "async-attempt=2",
                "async-accepted-at=2026-11-23T04:36:00.123Z",
                "idempotency-key=c1",
            ]
        );
    }

    #[test]
    fn a_record_cannot_steer_envoy_nor_break_framing() {
        let hostile = [
            ("x-envoy-max-retries", "9"),
            ("x-envoy-upstream-rq-timeout-ms", "1"),
            ("transfer-encoding", "chunked"),
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("upgrade", "websocket"),
            ("host", "elsewhere"),
            ("content-length", "1"),
            ("content-length", "2"),
            ("async-call-id", "forged"),
        ];
        let sent = sent(call(&hostile, ""));
        assert_eq!(sent[4..6], ["content-length=0", "async-call-id=c1"]);
        assert_eq!(sent.len(), 10);
    }

    #[test]
    fn the_callers_idempotency_key_stays() {
        let sent = sent(call(&[("idempotency-key", "mine")], ""));
        let keys: Vec<_> = sent
            .iter()
            .filter(|line| line.starts_with("idempotency"))
            .collect();
        assert_eq!(keys, ["idempotency-key=mine"]);
    }
}
