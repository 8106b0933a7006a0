//! `stream-server copy` away from Kafka: records of other clients of Kafka.
#![cfg(all(feature = "copy", feature = "kafka"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use common::cluster::Cluster;
use common::copying::{read, run};
use common::process::Process;
use common::{Client, text};
use serde_json::json;

#[test]
fn records_of_other_clients_are_copied_as_far_as_they_fit() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let from = cluster.start(1);
    let to = Process::start(folder.path(), "calls:1");
    let long = "k".repeat(300);
    from.client().put(Some("own"), &["first"]);
    let records = [
        (Some("theirs"), Some("second")),
        (Some("gone"), None),
        (Some(long.as_str()), Some("long key")),
        (Some(""), Some("last")),
    ];
    for (key, payload) in records {
        cluster.publish(key, payload);
    }
    let urls = [from.address(), to.address].map(|address| format!("http://{address}"));
    let [from_url, to_url] = &urls;
    let arguments = [
        "copy", "--from", from_url, "--to", to_url, "--stream", "calls", "--json",
    ];
    let copy = |more: &[&str]| {
        let all = arguments.iter().chain(more);
        run(&all.map(|one| (*one).to_owned()).collect::<Vec<_>>())
    };
    let refused = copy(&[]);
    assert!(
        refused.refused(1).contains("it has no value"),
        "{refused:?}"
    );
    let dry = copy(&["--dry-run", "--settle", "1s"]).report();
    assert_eq!(dry["partitions"][0]["leftOut"], 2);
    let report = copy(&["--leave-out-unfit", "--settle", "1s"]).report();
    let partition = &report["partitions"][0];
    assert_eq!(
        (&partition["leftOut"], &partition["messages"]),
        (&json!(2), &json!(3))
    );
    let mut client = Client::connect(to.address);
    let values = read(&mut client, 0).into_iter().map(|(_, _, value)| value);
    assert_eq!(values.collect::<Vec<_>>(), ["first", "second", "last"]);
    let start = json!({ "partition": "0", "type": "TRIM_HORIZON" });
    let cursor = client.cursor(&start);
    let batch = client.get(&cursor, 10);
    assert_eq!(text(&batch.messages[1]["key"]), "theirs");
    assert_eq!(text(&batch.messages[2]["key"]), "");
}
