//! What operators ask of a running server.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::TestServer;
use serde_json::json;

#[test]
fn the_metrics_count_what_happens() {
    let server = TestServer::start(1);
    let mut client = server.client();
    client.put(None, &["abc", "de"]);
    let cursor = client.join("a", &json!({}));
    assert_eq!(client.get(&cursor, 1).values(), ["abc"]);
    client
        .try_get("nonsense", 1)
        .refused(400, "InvalidParameter");
    let text = client.request("GET", "/metrics", "").body;
    for line in [
        r#"stream_server_requests_total{operation="PutMessages",status="200"} 1"#,
        r#"stream_server_requests_total{operation="GetMessages",status="400"} 1"#,
        "stream_server_messages_stored_total 2",
        "stream_server_messages_stored_bytes_total 5",
        "stream_server_messages_read_total 1",
        "stream_server_connections_open 1",
        "stream_server_groups 1",
        "stream_server_group_members 1",
        r#"stream_server_group_lag{stream="calls",group="g",partition="0"} 2"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    assert!(
        text.contains("stream_server_transaction_seconds_bucket"),
        "{text}"
    );
    assert!(text.ends_with("# EOF\n"), "{text}");
}

/// The reference page lists all metrics, and no others.
#[test]
fn the_reference_names_all_metrics() {
    let server = TestServer::start(1);
    let mut client = server.client();
    // What has labels shows once it has some.
    client.join("a", &json!({}));
    let text = client.request("GET", "/metrics", "").body;
    let help = text.lines().filter_map(|line| line.strip_prefix("# HELP "));
    let rows: Vec<String> = help
        .map(|line| {
            let (name, help) = line.split_once(' ').unwrap();
            format!("| `{name}` | {} |", help.trim_end_matches('.'))
        })
        .collect();
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/stream-server.md");
    let page = std::fs::read_to_string(page).unwrap();
    let told: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `stream_s"))
        .collect();
    assert_eq!(told, rows, "the table should be:\n{}", rows.join("\n"));
}

#[test]
fn ready_is_who_can_write() {
    let server = TestServer::start(1);
    let mut client = server.client();
    assert_eq!(client.request("GET", "/ready", "").ok()["status"], "ready");
    for path in ["/ready", "/health", "/metrics"] {
        let answer = client.request("GET", path, "");
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.headers.contains_key("opc-request-id"), "{path}");
    }
}
