//! Step 2a: a call becomes the request that its target sees.

use std::borrow::Cow;
use std::rc::Rc;

use crate::headers::{dashed, is_envoy_control, is_ours};
use crate::http::{Fields, OutgoingRequest, first, is_hop_by_hop, named_by_connection};
use crate::record::Call;
use crate::reply::signature::{Secrets, canonical_headers};
use crate::time::Wall;

/// What the gateway adds to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallHeaders {
    /// The call's identity.
    pub id: String,
    /// The caller's conversation id, or the call id.
    pub correlation_id: String,
    /// When the call was accepted, RFC 3339.
    pub accepted_at: String,
    /// The number of the attempt, from 1.
    pub attempt: u32,
}

/// What dispatching needs to know besides the call.
#[derive(Clone, Copy, Debug)]
pub struct Dispatch<'a> {
    /// The authority of calls whose record names none.
    pub default_authority: &'a str,
    /// The secrets that sign replies; `None` if replies aren't signed.
    pub secrets: Option<&'a Secrets>,
    /// When the attempt is made.
    pub now: Wall,
}

/// A request's fields, as Envoy takes them.
type RequestFields = Vec<(Cow<'static, str>, Cow<'static, [u8]>)>;

/// What the gateway adds to a record's fields.
type Added = Vec<(Cow<'static, str>, Vec<u8>)>;

/// Returns the request: every field of the record in its order, except those about one connection
/// and those that Envoy or the gateway would act on; then the headers of the call. A reply has
/// headers of its own, which tell it from a call, and its signatures.
#[must_use]
pub fn request(call: Call, call_headers: &CallHeaders, dispatch: &Dispatch<'_>) -> OutgoingRequest {
    let head = call.head;
    let authority = head
        .authority
        .unwrap_or_else(|| dispatch.default_authority.to_owned());
    let scheme = head.scheme.unwrap_or_else(|| "http".to_owned());
    let mut headers: RequestFields = vec![
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
    let is_reply = head.reply.is_some();
    let added = match head.reply {
        None => headers_of_call(call_headers, is_keyed(&head.headers)),
        Some(reply) => {
            // A record without a conversation id gets the id of the call.
            let correlation_id = head.correlation_id.unwrap_or_else(|| reply.call_id.clone());
            let mut added = reply.into_headers(correlation_id);
            added.push(header("idempotency-key", call_headers.id.clone()));
            added
        }
    };
    headers.reserve(head.headers.len().saturating_add(added.len()));
    push_fields(&mut headers, head.headers, call.body.len(), is_reply);
    let added = added.into_iter();
    headers.extend(added.map(|(name, value)| (name, Cow::Owned(value))));
    if let Some(secrets) = dispatch.secrets.filter(|_| is_reply) {
        sign(
            &mut headers,
            &call_headers.id,
            &call.body,
            secrets,
            dispatch.now,
        );
    }
    OutgoingRequest {
        headers,
        body: Rc::new(call.body),
    }
}

/// Adds the record's fields that the target shall see, with the real length of the content.
fn push_fields(headers: &mut RequestFields, fields: Fields, body_bytes: usize, is_reply: bool) {
    let named = named_by_connection(&fields);
    let mut length_told = false;
    for (name, value) in fields {
        let skipped = name == "host"
            || is_ours(&name)
            || is_envoy_control(&name)
            || is_hop_by_hop(&name, &named)
            || is_reply && is_of_replies(&name);
        if skipped {
            continue;
        }
        if name == "content-length" {
            if !std::mem::replace(&mut length_told, true) {
                let length = body_bytes.to_string().into_bytes();
                headers.push((Cow::Owned(name), Cow::Owned(length)));
            }
            continue;
        }
        headers.push((Cow::Owned(name), Cow::Owned(value)));
    }
}

/// Returns whether a reply's own record can't set this field. In an ordinary call the field belongs
/// to the caller, who may send webhooks through this gateway.
fn is_of_replies(name: &str) -> bool {
    let name = dashed(name);
    name == "idempotency-key" || name.starts_with("webhook-")
}

fn header(name: &'static str, value: String) -> (Cow<'static, str>, Vec<u8>) {
    (Cow::Borrowed(name), value.into_bytes())
}

/// Returns whether the target gets an idempotency key from the record.
fn is_keyed(fields: &Fields) -> bool {
    let is_hop = is_hop_by_hop("idempotency-key", &named_by_connection(fields));
    first(fields, "idempotency-key").is_some() && !is_hop
}

/// Returns the headers of an ordinary call.
fn headers_of_call(call_headers: &CallHeaders, is_keyed: bool) -> Added {
    let mut added = vec![
        header("async-call-id", call_headers.id.clone()),
        header("async-correlation-id", call_headers.correlation_id.clone()),
        header("async-attempt", call_headers.attempt.to_string()),
        header("async-accepted-at", call_headers.accepted_at.clone()),
    ];
    if !is_keyed {
        added.push(header("idempotency-key", call_headers.id.clone()));
    }
    added
}

/// Adds the fields of Standard Webhooks 1.0.0 ("Webhook headers"), and a signature of the reply's
/// headers, which that standard leaves out. The time is that of this attempt, so that a late
/// attempt isn't taken for a replayed message.
fn sign(headers: &mut RequestFields, id: &str, body: &[u8], secrets: &Secrets, now: Wall) {
    let timestamp_s = now.0 / 1_000;
    let fields = headers.iter();
    let fields = fields.map(|(name, value)| (name.as_ref(), value.as_ref()));
    let call_headers = canonical_headers(fields);
    let signatures = [
        header("webhook-id", id.to_owned()),
        header("webhook-timestamp", timestamp_s.to_string()),
        header("webhook-signature", secrets.sign(id, timestamp_s, body)),
        header(
            "async-signature",
            secrets.sign_headers(id, timestamp_s, &call_headers),
        ),
    ];
    let signatures = signatures.into_iter();
    headers.extend(signatures.map(|(name, value)| (name, Cow::Owned(value))));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::CallHead;
    use crate::record::reply_context::{ReplyContext, ReplyOutcome};

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

    fn reply(fields: &[(&str, &str)]) -> Call {
        let mut call = call(fields, "content");
        call.head.correlation_id = Some("talk".to_owned());
        call.head.reply = Some(ReplyContext {
            call_id: "answered".to_owned(),
            outcome: ReplyOutcome::Failed,
            status: Some(503),
            attempts: 7,
            is_cut: true,
            headers: vec![
                ("link".to_owned(), b"</a>".to_vec()),
                ("link".to_owned(), b"</b>".to_vec()),
            ],
            sealed: Vec::new(),
            is_head_cut: true,
        });
        call
    }

    fn sent(call: Call) -> Vec<String> {
        sent_signed(call, None)
    }

    fn sent_signed(call: Call, secrets: Option<&Secrets>) -> Vec<String> {
        let call_headers = CallHeaders {
            id: "c1".to_owned(),
            correlation_id: "k1".to_owned(),
            accepted_at: "2026-11-23T04:36:00.123Z".to_owned(),
            attempt: 2,
        };
        let dispatch = Dispatch {
            default_authority: "nowhere.invalid",
            secrets,
            now: Wall(1_649_367_553_999),
        };
        request(call, &call_headers, &dispatch)
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

    #[test]
    fn a_reply_carries_the_marks_of_the_call_that_it_answers() {
        assert_eq!(
            sent(reply(&[("content-type", "text/plain")]))[4..],
            [
                "content-type=text/plain",
                "async-call-id=answered",
                "async-correlation-id=talk",
                "async-outcome=failed",
                "async-status=503",
                "async-attempts=7",
                "async-body-cut=true",
                "async-head-cut=true",
                "async-response-link=</a>",
                "async-response-link=</b>",
                "idempotency-key=c1",
            ]
        );
    }

    #[test]
    fn what_is_not_so_is_not_said() {
        let mut bare = reply(&[]);
        bare.head.correlation_id = None;
        let reply = bare.head.reply.as_mut().unwrap();
        reply.status = None;
        (reply.is_cut, reply.is_head_cut) = (false, false);
        reply.headers.clear();
        assert_eq!(
            sent(bare)[4..],
            [
                "async-call-id=answered",
                "async-correlation-id=answered",
                "async-outcome=failed",
                "async-attempts=7",
                "idempotency-key=c1",
            ]
        );
    }

    const FORGED: [(&str, &str); 14] = [
        ("async-call-id", "forged"),
        ("async-correlation-id", "forged"),
        ("async-outcome", "forged"),
        ("async-status", "forged"),
        ("async-attempts", "forged"),
        ("async-attempt", "forged"),
        ("async-accepted-at", "forged"),
        ("async-body-cut", "forged"),
        ("async-head-cut", "forged"),
        ("async-signature", "forged"),
        ("async-response-location", "forged"),
        ("webhook-id", "mine"),
        ("webhook-signature", "mine"),
        ("idempotency-key", "mine"),
    ];

    #[test]
    fn nobody_can_forge_a_reply_by_headers() {
        let call = sent(call(&FORGED, ""));
        assert!(!call.iter().any(|line| line.ends_with("=forged")));
        assert!(!call.iter().any(|line| line.starts_with("async-outcome=")));
        assert_eq!(
            call[4..7],
            [
                "webhook-id=mine",
                "webhook-signature=mine",
                "idempotency-key=mine"
            ],
            "in an ordinary call these are the caller's"
        );
        assert_eq!(sent(reply(&FORGED)), sent(reply(&[])));
    }

    #[test]
    fn replies_are_signed_at_the_time_of_their_attempt_and_calls_never() {
        let secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        let secrets = Secrets::parse(secret).unwrap();
        let signature = secrets.sign("c1", 1_649_367_553, b"content");
        let call_headers = "async-attempts:7\nasync-body-cut:true\nasync-call-id:answered\n\
                     async-correlation-id:talk\nasync-head-cut:true\nasync-outcome:failed\n\
                     async-response-link:</a>, </b>\nasync-status:503\n";
        let of_marks = secrets.sign_headers("c1", 1_649_367_553, call_headers.as_bytes());
        let signed = sent_signed(reply(&FORGED), Some(&secrets));
        let expected = [
            "idempotency-key=c1".to_owned(),
            "webhook-id=c1".to_owned(),
            "webhook-timestamp=1649367553".to_owned(),
            format!("webhook-signature={signature}"),
            format!("async-signature={of_marks}"),
        ];
        assert_eq!(signed[signed.len() - 5..], expected);
        let unsigned = sent_signed(call(&[], "content"), Some(&secrets));
        assert_eq!(unsigned, sent(call(&[], "content")));
    }
}
