//! What a gateway makes of options: other names, defaults, options that it hasn't got.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use sluice::call::accept::call_option::CallOption;
use sluice::call::accept::options::ReplyAddress;
use sluice::config::{AcceptConfig, Document};
use support::asking::{ask, gateway, refused};

#[test]
fn options_that_a_gateway_has_not_got_are_refused_and_never_ignored() {
    let mut config = gateway(r#","options":{"disabled":["correlationId","retries"]}"#);
    config.options.disabled.remove(&CallOption::Retries);
    config.options.disabled.insert(CallOption::OrderKey);
    let (status, _, detail) = refused(&config, &[("Async-Order-Key", b"")]);
    assert_eq!(status, 501);
    assert_eq!(
        detail,
        "The option Async-Order-Key is not supported by this gateway; leave it out."
    );
    assert!(ask(&config, &[("Async-Retries", b"1")]).is_ok());

    let stream = r#"{"stream":{"cluster":"s","authority":"s","streamId":"c"},
        "options":{"disabled":["correlationId"]}}"#;
    let config = AcceptConfig::from_json(stream.as_bytes()).unwrap();
    assert_eq!(refused(&config, &[("async-correlation-id", b"x")]).0, 501);
}

#[test]
fn an_option_listens_to_its_configured_name_alone() {
    let renamed = r#","options":{"headers":{"replyTo":"X-Callback-Url","delay":"X-Wait",
        "idempotencyKey":"X-Key"}}"#;
    let config = gateway(renamed);
    let lines: [(&str, &[u8]); 5] = [
        ("X-Callback-Url", b"/inbox"),
        ("Async-Reply-To", b"not even an address"),
        ("X-Key", b"k"),
        ("Idempotency-Key", b"\""),
        ("X-Other", b"1"),
    ];
    let admitted = ask(&config, &lines).unwrap();
    let inbox = ReplyAddress::Path("/inbox".to_owned());
    assert_eq!(admitted.options.reply_to, Some(inbox));
    assert_eq!(admitted.options.idempotency_key.as_deref(), Some("k"));
    let kept: Vec<&str> = admitted
        .head
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(kept, ["x-key", "idempotency-key", "x-other"]);

    let (_, header, detail) = refused(&config, &[("X-Wait", b"5")]);
    assert_eq!(header, "X-Wait");
    assert!(detail.starts_with("X-Wait: \"5\" has no unit"), "{detail}");
    let both: [(&str, &[u8]); 2] = [("x-wait", b"5s"), ("async-deliver-at", b"0")];
    let (_, _, detail) = refused(&config, &both);
    assert_eq!(
        detail,
        "X-Wait stands beside Async-Deliver-At. Give one of the two."
    );
}

#[test]
fn the_record_says_what_the_drain_has_to_know() {
    let lines: [(&str, &[u8]); 7] = [
        ("async-reply-to", b"/ok"),
        ("async-failure-to", b"https://h/bad"),
        ("async-delay", b"1s"),
        ("async-max-age", b"1m"),
        ("async-retries", b"3"),
        ("async-timeout", b"250ms"),
        ("async-order-key", b"o"),
    ];
    let head = ask(&gateway(""), &lines).unwrap().head;
    assert!(
        head.headers.is_empty(),
        "options are not the target's business"
    );
    let record = sluice::call::record::encode(&head, b"").unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    for (member, expected) in [
        ("replyTo", serde_json::json!("/ok")),
        ("failureTo", serde_json::json!("https://h/bad")),
        ("deliverAt", serde_json::json!("2026-11-23T04:36:01.000Z")),
        ("maxAgeMs", serde_json::json!(60_000)),
        ("retries", serde_json::json!(3)),
        ("timeoutMs", serde_json::json!(250)),
        ("orderKey", serde_json::json!("o")),
    ] {
        assert_eq!(record[member], expected, "{member}");
    }

    let defaults = gateway(
        r#","options":{"retriesDefault":5,"timeoutDefaultMs":100,"maxAgeDefaultSeconds":9}"#,
    );
    let head = ask(&defaults, &[]).unwrap().head;
    assert_eq!(
        (head.retries, head.timeout_ms, head.max_age_ms),
        (Some(5), Some(100), Some(9_000))
    );
    let silent = ask(&gateway(""), &[]).unwrap().head;
    assert_eq!((silent.retries, silent.timeout_ms), (None, None));
    assert_eq!(
        (silent.deliver_at, silent.max_age_ms),
        (None, Some(86_400_000))
    );
}

/// A section with one mistake, and the path that is named; none: no mistake.
const MISTAKES: &str = r#"
"options":{"headers":{"delay":"a b"}}                       | $.options.headers.delay
"options":{"headers":{"delay":":path"}}                     | $.options.headers.delay
"options":{"headers":{"delay":"Keep-Alive"}}                | $.options.headers.delay
"options":{"headers":{"delay":"Host"}}                      | $.options.headers.delay
"options":{"headers":{"delay":"Prefer"}}                    | $.options.headers.delay
"options":{"headers":{"delay":"Async-Attempt"}}             | $.options.headers.delay
"options":{"headers":{"delay":"x-envoy-retry-on"}}          | $.options.headers.delay
"options":{"headers":{"delay":""}}                          | $.options.headers.delay
"options":{"headers":{"delay":"async-RETRIES"}}             | $.options.headers.retries
"options":{"headers":{"later":"X"}}                         | $.options.headers.later
"options":{"disabled":["delay","later"]}                    | $.options.disabled
"options":{"retriesMax":3,"retriesDefault":4}               | $.options.retriesDefault
"options":{"timeoutMaxMs":5,"timeoutDefaultMs":6}           | $.options.timeoutDefaultMs
"options":{"maxAgeMaxSeconds":5}                            | $.options.maxAgeDefaultSeconds
"options":{"delayMaxSeconds":31622401}                      | $.options.delayMaxSeconds
"marks":{"prefer":false}                                    | $.marks.prefer
"marks":{"preferHeader":"TE"}                               | $.marks.preferHeader
"marks":{"preferHeader":"Async-Delay"}                      | $.options.headers.delay
"marks":{"pathPrefix":"/"}                                  | $.marks.pathPrefix
"marks":{"pathPrefix":"/async"}                             | $.marks.pathPrefix
"marks":{"pathPrefix":"async/"}                             | $.marks.pathPrefix
"marks":{"pathPrefix":"/a?/"}                               | $.marks.pathPrefix
"marks":{"pathPrefix":"/async/","prefer":false}             |
"marks":{"routeMetadata":true,"prefer":false}               |
"options":{"headers":{"delay":"Async-Retries","retries":"Async-Delay"}} |
"#;

#[test]
fn mistakes_in_the_configuration_are_named() {
    for line in MISTAKES.trim().lines() {
        let (section, path) = line.split_once('|').unwrap();
        let stream = r#""stream":{"cluster":"s","authority":"s","streamId":"c"}"#;
        let result = AcceptConfig::from_json(format!("{{{stream},{section}}}").as_bytes());
        let problems = result.err().map(|error| error.0).unwrap_or_default();
        let found: Vec<&str> = problems
            .iter()
            .map(|problem| problem.path.as_str())
            .collect();
        assert_eq!(found.join(" "), path.trim(), "{section}: {problems:?}");
    }
}
