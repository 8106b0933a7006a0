//! Oracle's command line, as people call it: every operation, and what it shows when it is refused.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use conformance::{Server, Signer};
use serde_json::{Value, json};

const CALLS: &str = "ocid1.stream.oc1.local.calls";
const COMPARTMENT: &str = "ocid1.compartment.oc1..aaaaaaaasluice";
const OTHER: &str = "ocid1.compartment.oc1..aaaaaaaaother";

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// Calls `oci streaming`: the words of `line`, then `more`.
fn call(server: &Server, line: &str, more: &[&str]) -> Value {
    let arguments = [words(line), more.to_vec()].concat();
    match server.cli(Signer::Known, &arguments) {
        Ok(answer) => answer,
        Err(error) => panic!("{error:#}"),
    }
}

/// On the stream `calls`.
fn on_calls(server: &Server, line: &str, more: &[&str]) -> Value {
    call(server, line, &[&["--stream-id", CALLS], more].concat())
}

fn refused(server: &Server, signer: Signer, line: &str, status: u16, code: &str) -> String {
    let error = server.cli(signer, &words(line)).unwrap_err().to_string();
    assert!(error.contains("ServiceError"), "{error}");
    assert!(error.contains(&format!("\"status\": {status}")), "{error}");
    assert!(error.contains(&format!("\"code\": \"{code}\"")), "{error}");
    error
}

/// Insists that a command is refused because what it names isn't there.
fn refused_as_gone(server: &Server, line: &str) {
    let code = "NotAuthorizedOrNotFound";
    refused(server, Signer::Known, line, 404, code);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn len(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

#[test]
fn messages_and_cursors() {
    let server = Server::start("cli-messages").unwrap();
    let messages = json!([
        { "key": "a2V5", "value": "Zmlyc3Q=" }, { "key": "a2V5", "value": "c2Vjb25k" },
    ]);
    let put = ["--messages", &messages.to_string()];
    let answer = on_calls(&server, "stream message put", &put);
    assert_eq!(answer["data"]["failures"], 0, "{answer}");
    let second = &answer["data"]["entries"][1];
    let partition = text(&second["partition"]);
    let offset = second["offset"].to_string();
    let at = ["--type", "AT_OFFSET", "--offset", &offset];
    for (kind, expected) in [
        (&at[..], json!(["c2Vjb25k"])),
        (
            &["--type", "AT_TIME", "--time", "2020-01-01T00:00:00Z"],
            json!(["Zmlyc3Q=", "c2Vjb25k"]),
        ),
        (&["--type", "LATEST"], json!([])),
    ] {
        let arguments = [&["--partition", partition], kind].concat();
        let cursor = on_calls(&server, "stream cursor create-cursor", &arguments);
        let cursor = text(&cursor["data"]["value"]);
        let got = on_calls(&server, "stream message get", &["--cursor", cursor]);
        let got = got["data"].as_array().cloned().unwrap_or_default();
        let values: Vec<&Value> = got.iter().map(|message| &message["value"]).collect();
        assert_eq!(json!(values), expected, "{kind:?}");
    }
}

#[test]
fn groups() {
    let server = Server::start("cli-groups").unwrap();
    let one = r#"[{ "key": "a2V5", "value": "Zmlyc3Q=" }]"#;
    on_calls(&server, "stream message put", &["--messages", one]);
    let join = "stream cursor create-group-cursor --group-name g --type TRIM_HORIZON \
                --instance-name one --commit-on-get false --timeout-in-ms 60000";
    let cursor = on_calls(&server, join, &[]);
    let mut cursor = text(&cursor["data"]["value"]).to_owned();
    let got = on_calls(&server, "stream message get", &["--cursor", &cursor]);
    assert_eq!(len(&got["data"]), 1, "{got}");
    text(&got["opc-next-cursor"]).clone_into(&mut cursor);
    for operation in ["stream group heartbeat", "stream group commit"] {
        let next = on_calls(&server, operation, &["--cursor", &cursor]);
        text(&next["data"]["value"]).clone_into(&mut cursor);
    }
    let group = on_calls(&server, "stream group get --group-name g", &[]);
    let lines = group["data"]["reservations"].as_array().unwrap();
    assert_eq!(lines.len(), 4, "{group}");
    assert!(
        lines.iter().all(|line| line["reserved-instance"] == "one"),
        "{group}"
    );
    let committed = lines.iter().filter(|line| line["committed-offset"] == 0);
    assert_eq!(committed.count(), 1, "{group}");
    let again = "stream group update --group-name g --type TRIM_HORIZON";
    on_calls(&server, again, &[]);
    let old = format!("stream message get --stream-id {CALLS} --cursor {cursor}");
    refused(&server, Signer::Known, &old, 400, "InvalidParameter");
}

#[test]
fn streams_and_work_requests() {
    let server = Server::start("cli-streams").unwrap();
    let create = "admin stream create --name made --partitions 2 --retention-in-hours 48";
    let made = call(&server, create, &["--compartment-id", COMPARTMENT]);
    let id = text(&made["data"]["id"]);
    let work = text(&made["opc-work-request-id"]);
    assert_eq!(made["data"]["lifecycle-state"], "ACTIVE", "{made}");
    let stream = ["--stream-id", id];
    let got = call(&server, "admin stream get", &stream);
    assert_eq!(got["data"], made["data"]);
    let tags = ["--freeform-tags", r#"{"a":"b"}"#, "--force"];
    let etag = ["--if-match", text(&got["etag"])];
    let update = [&stream[..], &tags, &etag].concat();
    let updated = call(&server, "admin stream update", &update);
    assert_eq!(updated["data"]["freeform-tags"], json!({ "a": "b" }));
    let stale = format!("admin stream delete --stream-id {id} --if-match stale --force");
    refused(&server, Signer::Known, &stale, 412, "NoEtagMatch");
    let to = [&stream[..], &["--compartment-id", OTHER]].concat();
    call(&server, "admin stream change-compartment", &to);
    let list = "admin stream list --name made --all --compartment-id";
    let listed = call(&server, list, &[OTHER]);
    assert_eq!(listed["data"][0]["id"], id, "{listed}");
    let delete = [
        &stream[..],
        &[
            "--force",
            "--wait-for-state",
            "SUCCEEDED",
            "--wait-interval-seconds",
            "1",
        ],
    ]
    .concat();
    call(&server, "admin stream delete", &delete);
    let gone = format!("admin stream get --stream-id {id}");
    refused_as_gone(&server, &gone);

    let of = ["--work-request-id", work];
    let got = call(&server, "admin work-request get", &of);
    assert_eq!(got["data"]["status"], "SUCCEEDED", "{got}");
    assert_eq!(got["data"]["resources"][0]["identifier"], id, "{got}");
    let errors = "admin work-request-error-collection list-work-request-errors";
    let errors = call(&server, errors, &of);
    assert_eq!(errors["data"]["items"], json!([]), "{errors}");
    let logs = "admin work-request-log-entry list-work-request-logs";
    let logs = call(&server, logs, &of);
    assert_eq!(len(&logs["data"]["items"]), 1, "{logs}");
    let all = "admin work-request-summary-collection list-work-requests --compartment-id";
    let all = call(&server, all, &[COMPARTMENT]);
    assert_eq!(len(&all["data"]["items"]), 2, "create and update: {all}");
}

#[test]
fn stream_pools() {
    let server = Server::start("cli-pools").unwrap();
    let create = "admin stream-pool create --name pool --compartment-id";
    let made = call(&server, create, &[COMPARTMENT]);
    let id = text(&made["data"]["id"]);
    let pool = ["--stream-pool-id", id];
    let update = [&pool[..], &["--name", "renamed", "--force"]].concat();
    let updated = call(&server, "admin stream-pool update", &update);
    assert_eq!(updated["data"]["name"], "renamed", "{updated}");
    let to = [&pool[..], &["--compartment-id", OTHER]].concat();
    call(&server, "admin stream-pool change-compartment", &to);
    let got = call(&server, "admin stream-pool get", &pool);
    assert_eq!(got["data"]["compartment-id"], OTHER, "{got}");
    let list = "admin stream-pool list --name renamed --compartment-id";
    let listed = call(&server, list, &[OTHER]);
    assert_eq!(listed["data"][0]["id"], id, "{listed}");
    let delete = [&pool[..], &["--force"]].concat();
    call(&server, "admin stream-pool delete", &delete);
    let gone = format!("admin stream-pool get --stream-pool-id {id}");
    refused_as_gone(&server, &gone);
}

#[test]
fn whoever_signs_with_another_key_is_refused() {
    let server = Server::start("cli-signatures").unwrap();
    let lines = [
        format!("stream group get --stream-id {CALLS} --group-name g"),
        format!("stream group commit --stream-id {CALLS} --cursor c"),
        format!(r#"stream message put --stream-id {CALLS} --messages [{{"value":"eA=="}}]"#),
    ];
    for line in lines {
        for signer in [Signer::Unknown, Signer::Forged] {
            refused(&server, signer, &line, 401, "NotAuthenticated");
        }
    }
}
