//! A key does what its file of rights says, and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::Path;

use common::process::{Process, command};
use common::signing::Signed;
use common::{STREAM, encode};
use serde_json::json;

/// Returns a server whose keys have these rights, or no file of them.
fn start(folder: &Path, keys: &[(&str, Option<&str>)]) -> Process {
    let key_folder = folder.join("keys");
    std::fs::create_dir(&key_folder).unwrap();
    for (name, rights) in keys {
        let file = |ending: &str| key_folder.join(format!("{name}.{ending}"));
        std::fs::write(file("pub.pem"), include_str!("keys/official.pub.pem")).unwrap();
        std::fs::write(file("keyid"), format!("t/u/{name}")).unwrap();
        if let Some(rights) = rights {
            std::fs::write(file("rights"), rights).unwrap();
        }
    }
    let keys = key_folder.to_str().unwrap();
    Process::start_also_with(&folder.join("data"), "calls", &["--auth", "keys", keys])
}

#[test]
fn every_operation_needs_its_right() {
    let folder = tempfile::tempdir().unwrap();
    let keys = [
        ("publisher", Some("publish")),
        ("consumer", Some("consume\n")),
        ("manager", Some("manage")),
        ("drain", Some("consume, publish")),
        ("anything", None),
    ];
    let process = start(folder.path(), &keys);
    let stream = format!("/20180418/streams/{STREAM}");
    let on = |rest: &str| format!("{stream}/{rest}");
    let message = json!({ "messages": [{ "key": null, "value": encode("x") }] }).to_string();
    let cursor = json!({ "partition": "0", "type": "TRIM_HORIZON" }).to_string();
    let group = json!({ "groupName": "g", "type": "LATEST" }).to_string();
    let of_tenancy = "/20180418/streams?compartmentId=c".to_owned();
    let created = json!({ "name": "new", "partitions": 1, "compartmentId": "c" }).to_string();
    let (publish, consume, manage) = (&[0, 3][..], &[1, 3][..], &[2][..]);
    for (method, target, body, may) in [
        ("POST", &on("messages"), message.as_str(), publish),
        ("POST", &on("cursors"), &cursor, consume),
        ("POST", &on("groupCursors"), &group, consume),
        ("GET", &on("messages?cursor=none"), "", consume),
        ("POST", &on("commit?cursor=none"), "", consume),
        ("POST", &on("heartbeat?cursor=none"), "", consume),
        ("GET", &on("groups/g"), "", consume),
        ("PUT", &on("groups/g"), "{}", consume),
        ("GET", &stream, "", &[0, 1, 2, 3]),
        ("PUT", &stream, "{}", manage),
        ("GET", &of_tenancy, "", manage),
        ("GET", &"/20180418/streampools/none".to_owned(), "", manage),
        ("GET", &"/20180418/workRequests/none".to_owned(), "", manage),
        ("POST", &"/20180418/streams".to_owned(), &created, manage),
        ("DELETE", &stream, "", manage),
    ] {
        // Whoever destroys something comes last.
        for (place, name) in [
            (0, "publisher"),
            (1, "consumer"),
            (3, "drain"),
            (2, "manager"),
        ] {
            let key_id = format!("t/u/{name}");
            let signed = Signed {
                key_id: &key_id,
                ..Signed::new(method, target, body)
            };
            let answer = signed.send(&process);
            let lacks = answer.status == 404 && answer.body.contains("lacks the right to");
            assert_eq!(
                !lacks,
                may.contains(&place),
                "{name} {method} {target} {answer:?}"
            );
            if lacks {
                answer.refused(404, "NotAuthorizedOrNotFound");
            }
        }
    }
    let all = Signed {
        key_id: "t/u/anything",
        ..Signed::new("POST", "/20180418/streams", &created)
    };
    assert_eq!(all.send(&process).status, 409, "it is there already");
}

/// Otherwise a key would tell which streams there are.
#[test]
fn a_stream_that_is_not_there_gets_the_same_answer() {
    let folder = tempfile::tempdir().unwrap();
    let process = start(folder.path(), &[("publisher", Some("publish"))]);
    let told = |stream: &str| {
        let target = format!("/20180418/streams/{stream}/groups/g");
        let signed = Signed {
            key_id: "t/u/publisher",
            ..Signed::new("GET", &target, "")
        };
        let answer = signed.send(&process);
        answer.refused(404, "NotAuthorizedOrNotFound")
    };
    assert_eq!(told(STREAM), told("ocid1.stream.oc1.local.none"));
}

#[test]
fn a_file_of_rights_that_cannot_be_read_gives_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let key = include_str!("keys/official.pub.pem");
    for name in ["a", "b", "c"] {
        std::fs::write(folder.path().join(format!("{name}.pub.pem")), key).unwrap();
        std::fs::write(folder.path().join(format!("{name}.keyid")), name).unwrap();
    }
    std::fs::write(folder.path().join("a.rights"), "Publish").unwrap();
    std::fs::write(folder.path().join("b.rights"), "\n").unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("c.rights")).unwrap();
    std::fs::write(folder.path().join("mistyped.rights"), "publish").unwrap();
    let ended = command(&["--data", path, "--auth", "keys", path, "--check"]);
    let ended = { ended }.output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{told}");
    for part in [
        "a.rights: has \"Publish\", which is not a right",
        "b.rights: names no right",
        "c.rights: is missing",
        "mistyped.pub.pem: is missing",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
