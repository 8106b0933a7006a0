//! Explicit targets and reply addresses that want to be something else (G7): each row of
//! `hostile_targets.txt` is a spelling, what becomes of it, and why.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use sluice::egress::allow::{AllowList, HostPattern, Rule};
use sluice::egress::target_url::{TargetError, TargetUrl};

const TABLE: &str = include_str!("hostile_targets.txt");

fn rule(host: &str, path_prefix: Option<&str>, allow_private: bool) -> Rule {
    Rule {
        scheme: None,
        host: HostPattern::parse(host).unwrap(),
        port: None,
        path_prefix: path_prefix.map(str::to_owned),
        allow_private,
        is_signed: false,
        secrets: None,
    }
}

/// Returns the rules that a heading of the table names.
fn rules(heading: &str) -> AllowList {
    let any_public_name = rule("*", None, false);
    let rules = match heading {
        "any public name" => vec![any_public_name],
        "any public name, and private ones below example" => {
            vec![any_public_name, rule("*.example", None, true)]
        }
        "any public name, and those below internal" => {
            vec![any_public_name, rule("*.internal", None, false)]
        }
        "/hooks at a.example" => vec![rule("a.example", Some("/hooks"), false)],
        "what is named" => vec![
            rule("127.0.0.1", None, false),
            rule("[::ffff:10.0.0.1]", None, false),
            rule("localhost", None, false),
            rule("*.svc", None, true),
            rule("*.example.com", None, false),
        ],
        "everything, private or not" => vec![rule("*", None, true)],
        _ => panic!("no rules are called {heading}"),
    };
    AllowList { rules }
}

fn verdict(list: &AllowList, url: &str) -> String {
    match TargetUrl::parse(url) {
        Err(error) => format!("refused {error:?}"),
        Ok(target_url) => match list.check(&target_url) {
            Err(denied) => format!("denied {denied:?}"),
            Ok(_) => "allowed".to_owned(),
        },
    }
}

#[test]
fn every_hostile_spelling_ends_where_it_should() {
    let mut list = AllowList::default();
    let (mut count, mut wrong) = (0, Vec::new());
    for line in TABLE.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(heading) = line.strip_prefix('[') {
            list = rules(heading.trim_end_matches(']'));
            continue;
        }
        let mut columns = line.rsplitn(3, " | ");
        let reason = columns.next().unwrap();
        let expected = columns.next().unwrap();
        let url: String = serde_json::from_str(columns.next().unwrap()).unwrap();
        let found = verdict(&list, &url);
        if found != expected {
            wrong.push(format!("{url}: {found} instead of {expected} ({reason})"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 180, "only {count} rows were read");
}

#[test]
fn what_is_too_long_is_refused() {
    let path = "a".repeat(8_192 - "http://a.example/".len());
    assert!(TargetUrl::parse(&format!("http://a.example/{path}")).is_ok());
    let labels = "a.".repeat(122);
    assert!(TargetUrl::parse(&format!("http://{labels}a.example./")).is_ok());
    for (url, expected) in [
        (format!("http://a.example/{path}a"), TargetError::TooLong),
        (
            format!("http://{labels}ab.example/"),
            TargetError::HostTooLong,
        ),
        (
            format!("http://{}.example/", "a".repeat(64)),
            TargetError::LabelTooLong,
        ),
    ] {
        assert_eq!(TargetUrl::parse(&url), Err(expected), "{url}");
    }
}

#[test]
fn what_is_called_is_written_anew() {
    for (url, authority, path) in [
        ("http://A.Example.:80", "a.example", "/"),
        ("https://a.example:443?x=%2F", "a.example", "/?x=%2F"),
        (
            "https://a.example:80/a%20b;c?d?e",
            "a.example:80",
            "/a%20b;c?d?e",
        ),
        ("http://[0:0::1]:8080/..//%2e", "[::1]:8080", "/..//%2e"),
        ("http://192.0.2.1?", "192.0.2.1", "/?"),
    ] {
        let target_url = TargetUrl::parse(url).unwrap();
        assert_eq!(target_url.authority(), authority, "{url}");
        assert_eq!(target_url.path_and_query, path, "{url}");
    }
}

#[test]
fn every_refusal_says_what_to_change_and_no_rule() {
    let list = rules("/hooks at a.example");
    for url in [
        "http://b.example/",
        "http://10.0.0.1/",
        "http://a.example/x",
    ] {
        let denied = list.check(&TargetUrl::parse(url).unwrap()).unwrap_err();
        let text = denied.to_string();
        assert!(text.contains("not allowed"), "{text}");
        assert!(
            !text.contains("a.example") && !text.contains("hooks"),
            "{text}"
        );
    }
    let error = TargetUrl::parse("http://b\u{fc}cher.example/").unwrap_err();
    assert!(error.to_string().contains("xn--"), "{error}");
}
