use super::*;

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
    }
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
    let nul_header = r#"{"path":"/","headers":[["a","b\u0000"]]}"#;
    for (record, expected) in [
        ("", "no valid call record"),
        ("null", "no valid call record"),
        ("[]", "path: is required"),
        ("{}", "path: is required"),
        (r#"{"path":"/","path":"/b"}"#, "duplicate field"),
        (r#"{"path":7}"#, "no valid call record"),
        (r#"{"path":"x"}"#, "path: must start with /"),
        (r#"{"path":"/a b"}"#, "path: must start with /"),
        (r#"{"path":"/\r\nx: y"}"#, "path: must start with /"),
        (r#"{"path":"/","method":"A B"}"#, "method:"),
        (r#"{"path":"/","method":"connect"}"#, "method:"),
        (r#"{"path":"/","authority":"a\nb"}"#, "authority:"),
        (r#"{"path":"/","scheme":"ftp"}"#, "scheme:"),
        (r#"{"path":"/","version":2}"#, "version: 2 is not supported"),
        (r#"{"path":"/","version":1e400}"#, "no valid call record"),
        (
            r#"{"path":"/","body":"a","bodyBase64":"YQ=="}"#,
            "give one of the two",
        ),
        (
            r#"{"path":"/","bodyBase64":"%"}"#,
            "bodyBase64: no standard base64",
        ),
        (
            r#"{"path":"/","headers":[["a b","c"]]}"#,
            "headers[0]: the name is no token",
        ),
        (
            r#"{"path":"/","headers":[["a","b\r\nc: d"]]}"#,
            "headers[0]: the value holds",
        ),
        (
            r#"{"path":"/","headers":[[":path","/x"]]}"#,
            "headers[0]: the name is no token",
        ),
        (nul_header, "headers[0]: the value holds"),
        (
            r#"{"path":"/","headers":{"a":"b"}}"#,
            "no valid call record",
        ),
        (r#"{"path":"/","id":"a\nb"}"#, "id: must be"),
        (
            r#"{"path":"/","target":"http://x"}"#,
            "target: explicit targets are not supported",
        ),
        (deep.as_str(), "no valid call record"),
    ] {
        let error = decode(record.as_bytes()).expect_err(record);
        assert!(error.0.contains(expected), "{record}: {error}");
    }
}
