//! The result as a call of its own: the outcome of a call goes to the address that the call named.
//!
//! A reply is stored, tried again and given up like any other call. Its id is derived from the
//! call's id, so that a reply that was published twice because of a crash can be recognised.

use sha2::{Digest, Sha256};

use crate::headers::{ANSWER_CUT, RESPONSE_PREFIX};
use crate::http::{
    Fields, IncomingResponse, all, first, is_field_value, is_hop_by_hop, is_token, list_bytes,
    named_by_connection,
};
use crate::id::CallId;
use crate::limits::{
    REPLY_ANSWER_BYTES_MAX, REPLY_ANSWER_FIELDS_MAX, REPLY_BODY_BYTES_MAX, REPLY_FIELD_BYTES_MAX,
};
use crate::record::CallHead;
use crate::record::names::NameList;
use crate::record::progress::PastAttempt;
use crate::record::reply_address::ReplyAddress;
use crate::record::reply_context::{ReplyContext, ReplyOutcome, is_status};

/// Distinguishes the ids of replies from any other hash of a call id.
const REPLY_ID_DOMAIN: &[u8] = b"sluice reply\0";

/// The response that a reply forwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Its media type (RFC 9110 §8.3).
    pub content_type: Option<Vec<u8>>,
    /// How its content is encoded (RFC 9110 §8.4). Without it nobody could read compressed content.
    /// Several lines are one list.
    pub content_encoding: Option<Vec<u8>>,
    /// Other fields that are told.
    pub headers: Fields,
    /// Whether some fields are missing that should have been told.
    pub is_head_cut: bool,
    /// Its content, as far as it was read.
    pub body: Vec<u8>,
    /// Whether there was more content.
    pub is_cut: bool,
}

impl Response {
    /// Returns what is told of an answer: the fields in the operator's list, and up to `bytes_max`
    /// bytes of its content.
    #[must_use]
    pub fn of(answer: IncomingResponse, told: &NameList, bytes_max: usize) -> Self {
        let encodings: Vec<&[u8]> = all(&answer.headers, "content-encoding").collect();
        let mut body = answer.body;
        body.truncate(bytes_max.min(REPLY_BODY_BYTES_MAX));
        let (headers, is_head_cut) = told_fields(&answer.headers, told);
        Self {
            content_type: first(&answer.headers, "content-type").map(<[u8]>::to_vec),
            content_encoding: (!encodings.is_empty()).then(|| encodings.join(&b", "[..])),
            headers,
            is_head_cut,
            is_cut: body.len() < answer.body_bytes || first(&answer.headers, ANSWER_CUT).is_some(),
            body,
        }
    }

    /// Returns what a call's history has kept of an answer: the start of its content, as text.
    /// Nobody knows how much more there was, so it counts as cut.
    #[must_use]
    pub fn known(past: &PastAttempt) -> Self {
        let body = past.excerpt.clone().unwrap_or_default().into_bytes();
        let media_type = || b"text/plain;charset=utf-8".to_vec();
        Self {
            content_type: (!body.is_empty()).then(media_type),
            is_head_cut: true,
            is_cut: !body.is_empty(),
            body,
            ..Self::default()
        }
    }
}

/// Returns the fields of an answer that are told, in their order, with their repetitions; and
/// whether some are left out that should have been told. A name with an underscore may become
/// another name at the receiver, and a value that isn't text couldn't be verified there.
fn told_fields(fields: &Fields, told: &NameList) -> (Fields, bool) {
    let named = named_by_connection(fields);
    let is_meant = |name: &str| {
        told.has(name)
            && !is_hop_by_hop(name, &named)
            && !name.starts_with("x-envoy-")
            && !name.starts_with("async-")
            // It is the length of what Envoy has made of the answer, or is missing.
            && name != "content-length"
    };
    let (mut result, mut bytes, mut is_cut) = (Fields::new(), 0_usize, false);
    for (name, value) in fields.iter().filter(|(name, _)| is_meant(name)) {
        let value = value.trim_ascii();
        let text = std::str::from_utf8(value).is_ok() && is_field_value(value);
        let is_fit = text && is_token(name.as_bytes()) && !name.contains('_');
        let field = (name.clone(), value.to_vec());
        let sum = bytes.saturating_add(list_bytes(std::slice::from_ref(&field)));
        let sum = sum.saturating_add(RESPONSE_PREFIX.len());
        let has_room = result.len() < REPLY_ANSWER_FIELDS_MAX && sum <= REPLY_ANSWER_BYTES_MAX;
        if is_fit && has_room {
            bytes = sum;
            result.push(field);
        } else {
            is_cut = true;
        }
    }
    (result, is_cut)
}

/// A call that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished<'a> {
    /// The call.
    pub call: &'a CallHead,
    /// Its id, even if the record has none.
    pub id: &'a str,
    /// The caller's conversation id, or the call id.
    pub correlation_id: &'a str,
    /// How it has ended.
    pub outcome: ReplyOutcome,
    /// The last status of its target; absent if there was none.
    pub status: Option<u16>,
    /// Attempts that were made.
    pub attempts: u32,
    /// The target's last response; absent if there was none.
    pub response: Option<Response>,
    /// Where the reply goes.
    pub address: &'a ReplyAddress,
}

impl Finished<'_> {
    /// Returns the reply: a `POST` of the response's content to the address. Content longer than
    /// [`REPLY_BODY_BYTES_MAX`] is cut, and the reply says so.
    #[must_use]
    pub fn into_reply(self) -> (CallHead, Vec<u8>) {
        let response = self.response.unwrap_or_default();
        let mut body = response.body;
        let is_cut = response.is_cut || body.len() > REPLY_BODY_BYTES_MAX;
        body.truncate(REPLY_BODY_BYTES_MAX);
        let mut head = CallHead {
            id: Some(reply_id(self.id, self.call.progress.redrives)),
            correlation_id: Some(self.correlation_id.to_owned()),
            caller: self.call.caller,
            method: "POST".to_owned(),
            headers: headers(self.call, response.content_type, response.content_encoding),
            reply: Some(ReplyContext {
                call_id: self.id.to_owned(),
                outcome: self.outcome,
                status: self.status.filter(|status| is_status(*status)),
                attempts: self.attempts,
                is_cut,
                headers: response.headers,
                sealed: Vec::new(),
                is_head_cut: response.is_head_cut,
            }),
            ..CallHead::default()
        };
        match self.address {
            ReplyAddress::Path(path) => {
                path.clone_into(&mut head.path);
                head.scheme.clone_from(&self.call.scheme);
            }
            ReplyAddress::Url(url) => head.target = Some(url.clone()),
        }
        (head, body)
    }
}

/// Returns the id of the reply to a call. It is always the same for one call, and different for
/// each life that a redrive gives to the call. It is a `UUIDv8` (RFC 9562 §5.8) of the first 16
/// bytes of SHA-256 over `sluice reply`, a NUL and the call id; after redrives also a NUL and their
/// number.
#[must_use]
pub fn reply_id(call_id: &str, redrives: u32) -> CallId {
    let mut hash = Sha256::new()
        .chain_update(REPLY_ID_DOMAIN)
        .chain_update(call_id);
    if redrives > 0 {
        hash.update(format!("\0{redrives}"));
    }
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    for (byte, digested) in bytes.iter_mut().zip(digest) {
        *byte = digested;
    }
    let id = uuid::Builder::from_custom_bytes(bytes).into_uuid();
    CallId(id.hyphenated().to_string())
}

/// Returns the fields that say how the content is to be read, and the trace that the call belongs
/// to (W3C Trace Context §3).
fn headers(call: &CallHead, media_type: Option<Vec<u8>>, encoding: Option<Vec<u8>>) -> Fields {
    let of_content = [("content-type", media_type), ("content-encoding", encoding)];
    let mut headers = Fields::new();
    for (name, value) in of_content {
        let fits = |value: &Vec<u8>| is_field_value(value) && value.len() <= REPLY_FIELD_BYTES_MAX;
        headers.extend(value.filter(fits).map(|value| (name.to_owned(), value)));
    }
    for name in ["traceparent", "tracestate"] {
        // If the operator has them sealed, nobody can read them here.
        if call
            .sealed
            .iter()
            .any(|sealed| is_at(&call.headers, sealed.index, name))
        {
            continue;
        }
        // RFC 9113 §6.5.2 counts 32 bytes for each line, so many empty lines count too.
        let sizes = all(&call.headers, name).map(|value| value.len() + name.len() + 32);
        if sizes.sum::<usize>() <= REPLY_FIELD_BYTES_MAX {
            let values = all(&call.headers, name);
            headers.extend(values.map(|value| (name.to_owned(), value.to_vec())));
        }
    }
    headers
}

fn is_at(fields: &Fields, index: usize, name: &str) -> bool {
    fields.get(index).is_some_and(|(field, _)| field == name)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::limits::RECORD_BYTES_MAX;
    use crate::record::{decode, encode};

    fn call() -> CallHead {
        CallHead {
            id: Some(CallId("c1".to_owned())),
            method: "PUT".to_owned(),
            scheme: Some("https".to_owned()),
            authority: Some("gateway.test:8443".to_owned()),
            path: "/orders".to_owned(),
            headers: fields(&[
                ("authorization", "secret"),
                ("content-type", "text/csv"),
                ("traceparent", "00-1-2-01"),
                ("tracestate", "a=1"),
                ("tracestate", "b=2"),
            ]),
            ..CallHead::default()
        }
    }

    fn fields(fields: &[(&str, &str)]) -> Fields {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).into());
        fields.iter().map(owned).collect()
    }

    static INBOX: LazyLock<ReplyAddress> =
        LazyLock::new(|| ReplyAddress::Path("/inbox?x=1".to_owned()));

    fn finished(call: &CallHead) -> Finished<'_> {
        Finished {
            call,
            id: "c1",
            correlation_id: "talk",
            outcome: ReplyOutcome::Delivered,
            status: Some(201),
            attempts: 2,
            response: Some(Response {
                content_type: Some(b"application/json".to_vec()),
                content_encoding: Some(b"gzip".to_vec()),
                headers: fields(&[("location", "/orders/7")]),
                is_head_cut: false,
                body: b"{}".to_vec(),
                is_cut: false,
            }),
            address: &INBOX,
        }
    }

    #[test]
    fn a_reply_is_a_call_of_its_own() {
        let (head, body) = finished(&call()).into_reply();
        let expected = CallHead {
            id: Some(reply_id("c1", 0)),
            correlation_id: Some("talk".to_owned()),
            method: "POST".to_owned(),
            scheme: Some("https".to_owned()),
            path: "/inbox?x=1".to_owned(),
            headers: fields(&[
                ("content-type", "application/json"),
                ("content-encoding", "gzip"),
                ("traceparent", "00-1-2-01"),
                ("tracestate", "a=1"),
                ("tracestate", "b=2"),
            ]),
            reply: Some(ReplyContext {
                call_id: "c1".to_owned(),
                outcome: ReplyOutcome::Delivered,
                status: Some(201),
                attempts: 2,
                is_cut: false,
                headers: fields(&[("location", "/orders/7")]),
                sealed: Vec::new(),
                is_head_cut: false,
            }),
            ..CallHead::default()
        };
        assert_eq!((&head, body.as_slice()), (&expected, &b"{}"[..]));
        let call = decode(&encode(&head, &body).unwrap()).unwrap();
        assert_eq!((call.head, call.body), (head, body));
    }

    #[test]
    fn a_url_is_called_by_its_own_authority() {
        let call = call();
        let address = ReplyAddress::Url("https://inbox.test/a".to_owned());
        let finished = Finished {
            address: &address,
            ..finished(&call)
        };
        let (head, _) = finished.into_reply();
        assert_eq!(head.target.as_deref(), Some("https://inbox.test/a"));
        assert_eq!((head.path.as_str(), head.authority), ("", None));
        assert_eq!(head.scheme, None);
    }

    #[test]
    fn a_call_without_a_response_is_replied_to_without_content() {
        let call = CallHead::default();
        for status in [None, Some(0), Some(99), Some(1_000)] {
            let finished = Finished {
                outcome: ReplyOutcome::Expired,
                status,
                response: None,
                ..finished(&call)
            };
            let (head, body) = finished.into_reply();
            assert_eq!((head.headers.len(), body.len()), (0, 0));
            let reply = head.reply.unwrap();
            assert_eq!(reply.status, None, "{status:?} is not a status");
            assert_eq!(reply.outcome, ReplyOutcome::Expired);
        }
    }

    #[test]
    fn the_same_call_has_the_same_reply() {
        let ids = ["c1", "c2", ""].map(|id| reply_id(id, 0));
        assert_eq!(ids.clone().map(|id| id.0.len()), [36; 3]);
        assert!(ids.iter().all(|id| id.0.as_bytes()[14] == b'8'));
        assert_ne!(ids[0], ids[1]);
        assert_ne!(ids[0], reply_id("c1", 1));
        // Computed with another program. It must not change between versions of this one.
        assert_eq!(ids[0].0, "c74d7aab-6b21-8ea3-8025-fbba9dec8e7e");
    }

    #[test]
    fn the_largest_reply_is_one_record() {
        let call = CallHead {
            authority: Some("a".repeat(1_000)),
            headers: fields(&[("tracestate", "\"".repeat(8_150).as_str())]),
            ..CallHead::default()
        };
        let path = format!("/{}", "a".repeat(8_191));
        let address = ReplyAddress::Path(path);
        let mut finished = finished(&call);
        finished.address = &address;
        finished.response = Some(Response {
            content_type: Some(vec![b'"'; REPLY_FIELD_BYTES_MAX]),
            content_encoding: Some(vec![b'"'; REPLY_FIELD_BYTES_MAX]),
            headers: fields(&[("link", "\"".repeat(REPLY_ANSWER_BYTES_MAX).as_str())]),
            is_head_cut: true,
            body: vec![0xff; REPLY_BODY_BYTES_MAX + 1],
            is_cut: false,
        });
        let (head, body) = finished.into_reply();
        assert_eq!(body.len(), REPLY_BODY_BYTES_MAX);
        assert!(head.reply.as_ref().unwrap().is_cut);
        assert_eq!(head.headers.len(), 3);
        assert!(encode(&head, &body).unwrap().len() <= RECORD_BYTES_MAX);
    }

    #[test]
    fn fields_that_would_spoil_the_reply_stay_behind() {
        let lines = vec![("tracestate", ""); 300];
        let call = CallHead {
            headers: fields(&[lines, vec![("traceparent", "x".repeat(9_000).as_str())]].concat()),
            ..CallHead::default()
        };
        for bad in [&b"a\r\nb"[..], &[b'a'; REPLY_FIELD_BYTES_MAX + 1]] {
            let mut finished = finished(&call);
            finished.response = Some(Response {
                content_type: Some(bad.to_vec()),
                content_encoding: Some(bad.to_vec()),
                ..Response::default()
            });
            assert_eq!(finished.into_reply().0.headers, Fields::new());
        }
    }

    fn of(headers: &[(&str, &str)], told: &[&str], bytes_max: usize) -> Response {
        let answer = IncomingResponse {
            status: 201,
            headers: fields(headers),
            body: b"content".to_vec(),
            body_bytes: 7,
        };
        Response::of(
            answer,
            &NameList::parse(told.iter().copied()).unwrap(),
            bytes_max,
        )
    }

    #[test]
    fn fields_of_the_answer_are_told_as_they_came() {
        let answer = [
            ("content-type", "text/plain"),
            ("link", "</a>; rel=next"),
            ("set-cookie", "secret"),
            ("link", "</b>; rel=prev"),
            ("location", " /orders/7 "),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("x-envoy-upstream-service-time", "1"),
            ("async-call-id", "forged"),
            ("transfer-encoding", "chunked"),
            ("content-length", "7"),
            ("x-b", ""),
        ];
        let response = of(
            &answer,
            &["content-*", "location", "link", "x-*", "async-*"],
            100,
        );
        let told = [
            ("content-type", "text/plain"),
            ("link", "</a>; rel=next"),
            ("link", "</b>; rel=prev"),
            ("location", "/orders/7"),
            ("x-b", ""),
        ];
        assert_eq!(response.headers, fields(&told));
        assert!(!response.is_head_cut && !response.is_cut);
        let none = of(&answer, &[], 3);
        assert_eq!((none.headers, none.is_head_cut), (Fields::new(), false));
        assert_eq!((none.body.as_slice(), none.is_cut), (&b"con"[..], true));
    }

    #[test]
    fn a_hostile_answer_cannot_make_a_reply_too_large_nor_wrong() {
        let many = vec![("x-a", "1"); 1_000];
        let long = "l".repeat(REPLY_ANSWER_BYTES_MAX);
        let long = [("location", long.as_str()), ("x-b", "2")];
        for (answer, count) in [(&many[..], 64), (&long[..], 1)] {
            let response = of(answer, &["x-*", "location"], 100);
            assert_eq!(
                (response.headers.len(), response.is_head_cut),
                (count, true)
            );
        }
        let odd = [
            b"a\xffb".to_vec(),
            b"a\x01b".to_vec(),
            b"a\r\nb".to_vec(),
            b"\x7f".to_vec(),
        ];
        let odd = odd.map(|value| ("x-a".to_owned(), value)).into_iter();
        let odd = odd.chain([
            ("x_a".to_owned(), b"1".to_vec()),
            ("x-a b".to_owned(), vec![]),
        ]);
        let told = NameList::parse(["x-*", "x_a"]).unwrap();
        let (told, is_cut) = told_fields(&odd.collect(), &told);
        assert_eq!((told, is_cut), (Fields::new(), true));
    }

    #[test]
    fn a_trace_that_is_sealed_stays_behind() {
        let mut call = call();
        call.sealed.push(crate::record::sealed::SealedValue {
            index: 3,
            key: "k1".to_owned(),
            bytes: Vec::new(),
        });
        let headers = finished(&call).into_reply().0.headers;
        assert!(!headers.iter().any(|(name, _)| name == "tracestate"));
        assert!(headers.iter().any(|(name, _)| name == "traceparent"));
    }
}
