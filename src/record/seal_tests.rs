use super::*;
use crate::id::CallId;
use crate::record::reply_context::{ReplyContext, ReplyOutcome};
use crate::record::{decode, encode};

const K1: &str = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const K2: &str = "2026-11:ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

fn keys(text: &str) -> SealKeys {
    SealKeys::parse(text).unwrap()
}

fn names() -> NameList {
    NameList::parse(["authorization", "cookie", "x-secret-*"]).unwrap()
}

fn fields(fields: &[(&str, &str)]) -> Fields {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).into());
    fields.iter().map(owned).collect()
}

fn call() -> Call {
    let head = CallHead {
        id: Some(CallId("c1".to_owned())),
        method: "POST".to_owned(),
        scheme: Some("https".to_owned()),
        authority: Some("gateway.test".to_owned()),
        path: "/orders".to_owned(),
        headers: fields(&[
            ("x-a", "1"),
            ("authorization", "Bearer of-alice"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("x-secret-1", ""),
        ]),
        trailers: fields(&[("x-secret-2", "late"), ("x-b", "2")]),
        reply_to: Some(ReplyAddress::Path("/inbox".to_owned())),
        ..CallHead::default()
    };
    let body = b"content".to_vec();
    Call { head, body }
}

/// Returns the record of a call, sealed by the first of these keys.
fn sealed(call: &Call, text: &str) -> Vec<u8> {
    let mut entropy = Entropy::from_seed([3; 32]);
    let head = keys(text).seal(&call.head, &call.body, &names(), &mut entropy);
    encode(&head, &call.body).unwrap()
}

fn opened(record: &[u8], text: &str) -> Result<Call, SealError> {
    let mut call = decode(record).unwrap();
    open(&mut call, Some(&keys(text)))?;
    Ok(call)
}

#[test]
fn a_sealed_call_is_the_same_once_it_is_opened() {
    let mut call = call();
    let record = sealed(&call, K1);
    let text = String::from_utf8(record.clone()).unwrap();
    for secret in ["alice", "a=1", "b=2", "late"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(
        text.contains(r#"["x-a","1"],["authorization",{"sealed":""#),
        "{text}"
    );
    assert!(text.contains(r#"","key":"k1"}]"#), "{text}");
    call.head.trailers = fields(&[("x-b", "2")]);
    assert_eq!(opened(&record, K1), Ok(call));
}

#[test]
fn keys_change_one_after_the_other() {
    let call = call();
    let both = format!("{K2} {K1}");
    let old = sealed(&call, K1);
    let new = sealed(&call, &both);
    assert!(String::from_utf8_lossy(&new).contains(r#""key":"2026-11""#));
    assert!(opened(&old, &both).is_ok() && opened(&new, &both).is_ok());
    assert_eq!(
        opened(&old, K2),
        Err(SealError::UnknownKey("k1".to_owned()))
    );
    let mut unopened = decode(&old).unwrap();
    let none = open(&mut unopened, None);
    assert_eq!(none, Err(SealError::UnknownKey("k1".to_owned())));
    let other = K1.replace("MDEy", "MDEz");
    assert_eq!(opened(&old, &other), Err(SealError::Broken));
}

#[test]
fn every_seal_has_a_nonce_of_its_own() {
    let record = sealed(&call(), K1);
    let head = decode(&record).unwrap().head;
    let mut nonces: Vec<_> = head.sealed.iter().map(|value| &value.bytes[..24]).collect();
    nonces.dedup();
    assert_eq!(nonces.len(), 4);
}

#[test]
fn nothing_else_can_be_made_of_a_sealed_value() {
    type Change = fn(&mut Call);
    let changes: [(&str, Change); 18] = [
        ("id", |c| c.head.id = Some(CallId("c2".to_owned()))),
        ("no id", |c| c.head.id = None),
        ("method", |c| c.head.method = "GET".to_owned()),
        ("scheme", |c| c.head.scheme = None),
        ("authority", |c| {
            c.head.authority = Some("evil.test".to_owned())
        }),
        ("path", |c| c.head.path = "/admin".to_owned()),
        ("target", |c| {
            c.head.target = Some("https://evil.test/".to_owned())
        }),
        ("reply", |c| c.head.reply_to = None),
        ("failure", |c| c.head.failure_to = c.head.reply_to.clone()),
        ("body", |c| c.body.push(b'!')),
        ("header", |c| c.head.headers[0].1 = b"2".to_vec()),
        ("more", |c| {
            c.head
                .headers
                .push(("x-role".to_owned(), b"admin".to_vec()))
        }),
        ("less", |c| drop(c.head.headers.remove(0))),
        ("name", |c| c.head.headers[1].0 = "x-debug".to_owned()),
        ("place", |c| c.head.headers.swap(1, 2)),
        ("swapped", |c| {
            let (a, b) = (
                c.head.sealed[1].bytes.clone(),
                c.head.sealed[2].bytes.clone(),
            );
            (c.head.sealed[1].bytes, c.head.sealed[2].bytes) = (b, a);
        }),
        ("bytes", |c| c.head.sealed[0].bytes[30] ^= 1),
        ("left out", |c| drop(c.head.sealed.pop())),
    ];
    for (what, change) in changes {
        let mut call = decode(&sealed(&call(), K1)).unwrap();
        change(&mut call);
        let opened = open(&mut call, Some(&keys(K1)));
        assert_eq!(opened, Err(SealError::Broken), "{what}");
    }
}

#[test]
fn what_a_hop_and_a_redrive_change_is_not_bound() {
    let mut call = decode(&sealed(&call(), K1)).unwrap();
    call.head.deliver_at = Some(crate::time::Wall(1));
    call.head.progress.attempts = 3;
    assert_eq!(open(&mut call, Some(&keys(K1))), Ok(()));
}

#[test]
fn a_reply_is_sealed_too() {
    let mut call = call();
    call.head.reply = Some(ReplyContext {
        call_id: "c1".to_owned(),
        outcome: ReplyOutcome::Delivered,
        status: Some(200),
        attempts: 1,
        is_cut: false,
        headers: fields(&[("x-secret-token", "of-the-target"), ("etag", "1")]),
        sealed: Vec::new(),
        is_head_cut: false,
    });
    let record = sealed(&call, K1);
    assert!(!String::from_utf8_lossy(&record).contains("of-the-target"));
    let opened = opened(&record, K1).unwrap();
    assert_eq!(opened.head.reply, call.head.reply);
}

#[test]
fn nothing_to_seal_is_nothing_new() {
    let mut call = call();
    call.head.headers.truncate(1);
    call.head.trailers.clear();
    assert_eq!(sealed(&call, K1), encode(&call.head, &call.body).unwrap());
    assert_eq!(open(&mut call, None), Ok(()));
}

#[test]
fn sealed_values_of_others_are_checked() {
    let record = |value: &str| format!(r#"{{"path":"/","headers":[["a",{value}]]}}"#);
    for (value, expected) in [
        (
            r#"{"sealed":"AAAA","key":"k1"}"#,
            "headers[0]: sealed: is too short",
        ),
        (
            r#"{"sealed":"","key":""}"#,
            "headers[0]: key: must be 1 to 32",
        ),
        (r#"{"sealed":"?","key":"k"}"#, "not standard base64"),
        (r#"{"sealed":"AAAA"}"#, "give base64, or sealed and key"),
        (r#"{"key":"k1"}"#, "give base64, or sealed and key"),
        (
            r#"{"base64":"AAAA","sealed":"AAAA","key":"k"}"#,
            "give base64, or sealed and key",
        ),
    ] {
        let error = decode(record(value).as_bytes()).unwrap_err().to_string();
        assert!(error.contains(expected), "{value}: {error}");
    }
    let value = BASE64.encode([0; 60]);
    let trailer = format!(r#"{{"path":"/","trailers":[["a",{{"sealed":"{value}","key":"k"}}]]}}"#);
    let error = decode(trailer.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("trailers[0]: can't be sealed"), "{error}");
}

#[test]
fn what_is_no_key_says_what_is_allowed() {
    let five = [K1; 5].join(" ");
    let twice = format!("{K1} {K1}");
    for (text, expected) in [
        ("", "holds 0 keys; give 1 to 4"),
        (five.as_str(), "holds 5 keys"),
        ("MDEyMzQ1", "key 1 has no colon; give an id of 1 to 32"),
        (":MDEyMzQ1", "key 1 has a wrong id"),
        ("a.b:MDEyMzQ1", "key 1 has a wrong id"),
        (&twice, "key 2 has the id of another one"),
        ("k1:MDEyMzQ1Njc4OWFi*", "is not standard base64"),
        ("k1:MDEyMzQ1", "key 1 has 6 bytes; give"),
    ] {
        let error = SealKeys::parse(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
        assert!(!error.contains("MDEy"), "{error} shows a key");
    }
    assert_eq!(
        format!("{:?}", keys(&format!("{K1} {K2}"))),
        "SealKeys(k1 2026-11 hidden)"
    );
}
