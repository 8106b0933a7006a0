//! What tests count on: brokers find each other, can be killed, come back, and stop and go on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use kafka_cluster::{Cluster, Setup, brokers_known_to};

fn ports(cluster: &Cluster) -> Vec<u16> {
    let port = |address: &str| address.rsplit(':').next().unwrap().parse().unwrap();
    cluster.brokers().split(',').map(port).collect()
}

#[test]
fn brokers_find_each_other_are_killed_and_come_back() {
    let Some((kafka, _)) = common::kafka() else {
        return;
    };
    let mut cluster = Cluster::start(&kafka, "contract", &Setup::default()).unwrap();
    let ports = ports(&cluster);
    assert_eq!(ports.len(), 3);
    cluster.kill(0).unwrap();
    assert!(brokers_known_to(ports[0]).is_err());
    // The others notice by themselves.
    cluster.wait_until_all_are_in().unwrap();
    assert_eq!(brokers_known_to(ports[1]).unwrap(), 2);
    cluster.restart(0).unwrap();
    cluster.wait_until_all_are_in().unwrap();
    cluster.pause(2).unwrap();
    assert!(brokers_known_to(ports[2]).is_err());
    cluster.go_on(2).unwrap();
    cluster.wait_until_all_are_in().unwrap();
    assert!(cluster.kill(3).is_err());
}
