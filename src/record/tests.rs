use super::*;
use crate::http::Fields;
use crate::id::CallId;
use crate::record::progress::{PastAttempt, Progress};
use crate::record::reply_address::ReplyAddress;
use crate::record::reply_context::{ReplyContext, ReplyOutcome};
use crate::time::Wall;

fn head() -> CallHead {
    CallHead {
        id: Some(CallId("01".to_owned())),
        correlation_id: Some("conversation-7".to_owned()),
        accepted_at: Some("2026-11-23T04:36:00.123Z".to_owned()),
        method: "POST".to_owned(),
        scheme: Some("http".to_owned()),
        authority: Some("example.com:8080".to_owned()),
        path: "/a%2Fb?x=1&x=2".to_owned(),
        headers: vec![
            ("x-a".to_owned(), b"1".to_vec()),
            ("x-b".to_owned(), b"\xff\xfe".to_vec()),
            ("x-a".to_owned(), b"".to_vec()),
            ("x-u".to_owned(), "gr\u{fc}n".into()),
        ],
        trailers: vec![("checksum".to_owned(), b"abc".to_vec())],
        reply_to: Some(ReplyAddress::Path("/inbox?a".to_owned())),
        failure_to: Some(ReplyAddress::Url("https://h/x".to_owned())),
        deliver_at: Some(Wall(1_795_408_560_123)),
        max_age_ms: Some(u64::MAX),
        retries: Some(u32::MAX),
        timeout_ms: Some(3_600_000),
        order_key: Some("customer-7".to_owned()),
        route: Some("orders gr\u{fc}n".to_owned()),
        cluster: Some("c".to_owned()),
        progress: Progress {
            attempts: 3,
            not_before: Some(Wall(1_795_408_560_123)),
            since: Some(Wall(0)),
            hops: 1,
            redrives: 2,
            history: vec![PastAttempt {
                attempt: 3,
                at: Wall(1_795_408_560_000),
                status: Some(503),
                excerpt: Some("a\r\nb".to_owned()),
                gateway: Some("504 UT".to_owned()),
            }],
            ..Progress::default()
        },
        ..CallHead::default()
    }
}

fn reply() -> CallHead {
    CallHead {
        target: Some("https://example.com/inbox?a=1".to_owned()),
        path: String::new(),
        reply: Some(ReplyContext {
            call_id: "02".to_owned(),
            outcome: ReplyOutcome::Delivered,
            status: Some(200),
            attempts: 3,
            is_cut: true,
            headers: vec![("location".to_owned(), b"/orders/7".to_vec())],
            sealed: Vec::new(),
            is_head_cut: true,
        }),
        ..head()
    }
}

#[test]
fn a_reply_to_a_target_comes_back_as_it_was_written() {
    let mut least = reply();
    let member = least.reply.as_mut().unwrap();
    (member.status, member.attempts, member.is_cut) = (None, 0, false);
    (member.headers, member.is_head_cut) = (Fields::new(), false);
    for (head, written) in [
        (
            reply(),
            concat!(
                r#""reply":{"callId":"02","outcome":"delivered","status":200,"attempts":3,"#,
                r#""cut":true,"headers":[["location","/orders/7"]],"headersCut":true}"#
            ),
        ),
        (
            least,
            r#""reply":{"callId":"02","outcome":"delivered","attempts":0}"#,
        ),
    ] {
        let record = encode(&head, b"x").unwrap();
        let text = String::from_utf8_lossy(&record);
        assert!(text.contains(written), "{text}");
        assert!(!text.contains(r#""path""#), "{text}");
        assert_eq!(decode(&record).unwrap().head, head);
    }
    let ordinary = encode(&head(), b"").unwrap();
    assert!(!String::from_utf8_lossy(&ordinary).contains("\"reply\""));
}

#[test]
fn every_outcome_of_a_reply_can_be_read() {
    for (outcome, name) in [
        (ReplyOutcome::Delivered, "delivered"),
        (ReplyOutcome::Failed, "failed"),
        (ReplyOutcome::Expired, "expired"),
    ] {
        let record =
            format!(r#"{{"path":"/","reply":{{"callId":"a","outcome":"{name}","attempts":1}}}}"#);
        let reply = decode(record.as_bytes()).unwrap().head.reply.unwrap();
        assert_eq!(reply.outcome, outcome);
    }
}

#[test]
fn an_id_cannot_pass_a_part_of_itself_for_a_signed_timestamp() {
    let record = |reply| format!(r#"{{"id":"a.1","path":"/","reply":{reply}}}"#);
    let reply = record(r#"{"callId":"b.2","outcome":"failed","attempts":1}"#);
    let error = decode(reply.as_bytes()).unwrap_err();
    assert!(error.0.contains("id: must hold no full stop"), "{error}");
    assert!(
        decode(record("null").as_bytes()).is_ok(),
        "calls aren't signed"
    );
}

#[test]
fn a_call_comes_back_as_it_was_written() {
    for body in [
        &b""[..],
        b"x",
        b"{\"a\":1}",
        "gr\u{fc}n".as_bytes(),
        b"\xff\x00\x01",
        &[1; 90],
    ] {
        let record = encode(&head(), body).unwrap();
        assert_eq!(
            decode(&record).unwrap(),
            Call {
                head: head(),
                body: body.to_vec()
            }
        );
    }
}

#[test]
fn text_is_readable_on_the_stream_and_anything_else_is_base64() {
    let text = |body: &[u8]| String::from_utf8(encode(&head(), body).unwrap()).unwrap();
    assert!(text(b"hello").contains(r#""body":"hello""#));
    assert!(text(b"\xff").contains(r#""bodyBase64":"/w==""#));
    assert!(
        text(&[0; 30]).contains("bodyBase64"),
        "control characters would grow six-fold"
    );
    assert!(!text(b"").contains("body"));
    assert!(text(b"").contains(r#"["x-b",{"base64":"//4="}]"#));
}

#[test]
fn the_minimal_record_is_a_path() {
    let call = decode(br#"{"path":"/ping","somethingNew":{"a":[1]}}"#).unwrap();
    assert_eq!(
        (call.head.method.as_str(), call.head.path.as_str()),
        ("GET", "/ping")
    );
    assert_eq!(call.body, b"");
}

#[test]
fn what_other_publishers_may_write_is_understood() {
    for record in include_str!("../../tests/records/valid.txt").lines() {
        assert!(decode(record.as_bytes()).is_ok(), "{record}");
    }
}

#[test]
fn names_of_fields_are_read_in_any_case() {
    let call = decode(br#"{"path":"/","headers":[["X-Mixed","v"]]}"#).unwrap();
    assert_eq!(
        call.head.headers,
        vec![("x-mixed".to_owned(), b"v".to_vec())]
    );
}

#[test]
fn what_cannot_be_understood_says_why() {
    let deep = format!(r#"{{"path":"/","x":{}}}"#, "[".repeat(100_000));
    let long_target = format!(r#"{{"target":"{}"}}"#, "a".repeat(8_193));
    let long_reply = format!(
        r#"{{"path":"/","reply":{{"callId":"{}","outcome":"failed","attempts":1}}}}"#,
        "a".repeat(257)
    );
    for line in include_str!("../../tests/records/refused.txt").lines() {
        let (record, expected) = line.split_once(" | ").unwrap();
        let error = decode(record.as_bytes()).expect_err(record);
        assert!(error.0.contains(expected), "{record}: {error}");
    }
    for (record, expected) in [
        ("", "not a valid call record"),
        (long_target.as_str(), "target: must be 1 to 8192"),
        (long_reply.as_str(), "reply.callId: must be"),
        (deep.as_str(), "not a valid call record"),
    ] {
        let error = decode(record.as_bytes()).expect_err(record);
        assert!(error.0.contains(expected), "{record}: {error}");
    }
}
