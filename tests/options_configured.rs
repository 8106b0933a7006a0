//! What a gateway makes of options: other names, defaults, options that it hasn't got.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use sluice::accept::config::AcceptConfig;
use sluice::call_option::CallOption;
use sluice::config::Document;
use sluice::record::reply_address::ReplyAddress;

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
        "idempotencyKey":"X-Key"}},"replies":{"paths":["/inbox"]}"#;
    let config = gateway(renamed);
    let lines: [(&str, &[u8]); 4] = [
        ("X-Callback-Url", b"/inbox"),
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

    let (status, header, detail) = refused(&config, &[("Async-Reply-To", b"/inbox")]);
    assert_eq!((status, header.as_str()), (400, "async-reply-to"));
    assert!(
        detail.contains("Options are Async-Target, X-Callback-Url"),
        "{detail}"
    );

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
fn what_looks_like_an_option_and_is_none_is_refused_with_the_options_that_there_are() {
    let config = gateway(r#","options":{"disabled":["orderKey"]}"#);
    for name in [
        "Async-Max-Attempts",
        "async-",
        "ASYNC-DELAYS",
        "Async_Delay",
        "Async_Reply-To",
        "Idempotency_Key",
        "Async-Outcomes",
    ] {
        let (status, header, detail) = refused(&config, &[(name, b"3")]);
        assert_eq!((status, header), (400, name.to_ascii_lowercase()));
        assert!(
            detail.contains("is not an option. Options are Async-Target, "),
            "{detail}"
        );
        assert!(detail.contains("Async-Retries") && !detail.contains("Async-Order-Key"));
        assert!(detail.contains("options.otherHeaders"), "{detail}");
    }
    let long = "async-".repeat(100);
    assert_eq!(refused(&config, &[(&long, b"")]).1.len(), 64);
    // What it got from us a function that is called by us may pass on; nobody sees it.
    let marks: Vec<(&str, &[u8])> = [
        "Async-Call-Id",
        "Async_Call_Id",
        "Async-Call_Id",
        "async_attempt",
        "Async-Accepted-At",
        "Async_Outcome",
        "Async-Status",
        "Async_Attempts",
        "Async-Body_Cut",
        "Async_Correlation_Id",
    ]
    .map(|name| (name, &b"forged"[..]))
    .to_vec();
    let head = ask(&config, &marks).unwrap().head;
    assert!(head.headers.is_empty(), "{:?}", head.headers);
    assert_eq!(head.correlation_id, None);
}

#[test]
fn the_operators_own_headers_are_kept_for_the_target() {
    let config = gateway(r#","options":{"otherHeaders":["Async-Tenant","Async_Trace"]}"#);
    let lines: [(&str, &[u8]); 2] = [("async-tenant", b"7"), ("Async_Trace", b"t")];
    let head = ask(&config, &lines).unwrap().head;
    let kept: Vec<&str> = head.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(kept, ["async-tenant", "async_trace"]);
    assert_eq!(refused(&config, &[("Async-Trace", b"")]).0, 400);
}

#[test]
fn a_path_that_would_be_another_one_where_it_is_called_is_refused() {
    let on = gateway("");
    let off = gateway(r#","paths":{"normal":false}"#);
    for path in [
        "//admin",
        "/x/../admin",
        "/x/..;/admin",
        "/%61dmin",
        "/x%2fadmin",
        "/a|b",
    ] {
        let (status, _, detail) = refused(&on, &[(":path", path.as_bytes())]);
        assert_eq!(status, 400, "{path}");
        assert!(detail.starts_with("path: it would change"), "{detail}");
        assert!(ask(&off, &[(":path", path.as_bytes())]).is_ok(), "{path}");
    }
    let lines: [(&str, &[u8]); 2] = [(":path", b"//x"), ("async-target", b"https://h/")];
    assert!(ask(&on, &lines).is_ok(), "its own path isn't called");
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
    let record = sluice::record::encode(&head, b"").unwrap();
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
"options":{"otherHeaders":["Async-Delay"]}                  | $.options.otherHeaders
"options":{"otherHeaders":["async_call_id"]}                | $.options.otherHeaders
"options":{"otherHeaders":["X-Own"]}                        | $.options.otherHeaders
"options":{"otherHeaders":["Async-A b"]}                    | $.options.otherHeaders
"options":{"otherHeaders":["Async-Tenant"]}                 |
"replies":{"gatewayPaths":true}                             | $.replies.gatewayPaths
"replies":{"paths":["/a/../b"]}                             | $.replies.paths
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
