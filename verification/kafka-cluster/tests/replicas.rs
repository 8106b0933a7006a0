//! Fewer copies in sync than there must be: publishing is refused at once, and comes back by
//! itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Ground, PATIENCE};
use kafka_cluster::Setup;
use serde_json::json;
use testkit::wait;

#[test]
fn with_two_of_three_brokers_gone_publishing_gets_503_until_one_is_back() {
    // Only the first one is a controller, so the other two can go without the cluster's quorum.
    let setup = Setup {
        controllers: Some(1),
        ..Setup::default()
    };
    let Some(mut ground) = Ground::start("replicas", &setup) else {
        return;
    };
    let front = ground.front(&[]);
    let client = front.client();
    let mut acknowledged: Vec<String> = (0..40).map(|number| format!("before-{number}")).collect();
    for value in &acknowledged {
        assert!(client.put_one(value), "{value}");
    }
    ground.cluster.kill(1).unwrap();
    ground.cluster.kill(2).unwrap();
    let mut tried = 0;
    let refused = wait::until_some(PATIENCE, std::time::Duration::from_millis(100), || {
        tried += 1;
        let value = format!("meanwhile-{tried}");
        let answer = client.put(std::slice::from_ref(&value)).unwrap();
        match answer.status {
            200 if answer.json()["failures"] == 0 => acknowledged.push(value),
            // Nobody knows of those that were under way.
            200 => assert!(answer.body.contains("InternalServerError"), "{answer:?}"),
            _ => {}
        }
        (answer.status == 503).then_some(answer)
    });
    let refused = refused.expect("PutMessages is refused");
    assert_eq!(refused.retry_after.as_deref(), Some("1"), "{refused:?}");
    assert!(refused.body.contains("fewer replicas"), "{refused:?}");
    // From now on it is refused at once, and what is refused was not stored.
    for number in 0..20 {
        let answer = client.put(&[format!("refused-{number}")]).unwrap();
        assert_eq!(answer.status, 503, "{answer:?}");
    }
    // What there is to read isn't known while a leader is new and alone: 503 too, and no other
    // error.
    let oldest = json!({ "partition": "0", "type": "TRIM_HORIZON" });
    let asked = client.request("POST", "cursors", &oldest).unwrap();
    assert!([200, 503].contains(&asked.status), "{asked:?}");

    ground.cluster.restart(1).unwrap();
    let mut taken = 0;
    assert!(
        wait::until(PATIENCE, || {
            taken += 1;
            let value = format!("after-{taken}");
            let is_taken = client.put_one(&value);
            if is_taken {
                acknowledged.push(value);
            }
            is_taken
        }),
        "it comes back by itself"
    );
    let read = client.read_all(4);
    let missing: Vec<_> = acknowledged
        .iter()
        .filter(|one| !read.contains(one))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(!read.iter().any(|value| value.starts_with("refused")));
    let mut once = read.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), read.len(), "nothing was stored twice");
}

#[test]
fn a_topic_that_needs_all_its_copies_gets_503_while_one_is_gone() {
    let setup = Setup {
        controllers: Some(1),
        ..Setup::default()
    };
    let Some(mut ground) = Ground::start("own-replicas", &setup) else {
        return;
    };
    // More than the server demands (2).
    let settings = [
        "min.insync.replicas=3",
        "message.timestamp.type=LogAppendTime",
        "retention.ms=-1",
    ];
    let partitions = "1:2:3,2:3:1,3:1:2,1:3:2";
    ground
        .cluster
        .create_topic("sluice.calls", partitions, &settings)
        .unwrap();
    let front = ground.front(&[]);
    let client = front.client();
    assert!(client.put_one("before"));
    ground.cluster.kill(2).unwrap();
    let mut tried = 0;
    let refused = wait::until_some(PATIENCE, std::time::Duration::from_millis(100), || {
        tried += 1;
        let answer = client.put(&[format!("meanwhile-{tried}")]).unwrap();
        (answer.status == 503).then_some(answer)
    });
    let refused = refused.expect("PutMessages is refused");
    assert_eq!(refused.retry_after.as_deref(), Some("1"), "{refused:?}");
    assert!(refused.body.contains("fewer replicas"), "{refused:?}");
    ground.cluster.restart(2).unwrap();
    assert!(
        wait::until(PATIENCE, || client.put_one("after")),
        "it comes back by itself"
    );
}
