//! Whoever holds many connections shuts nobody out.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::{Duration, Instant};

use common::process::Process;
use common::{Client, FIELDS, STREAM, TestServer, wait_until};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;

fn metric(client: &mut Client, name: &str) -> u64 {
    let text = client.request("GET", "/metrics", "").body;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().trim().parse().unwrap()
}

fn crowded(connections_max: usize) -> TestServer {
    TestServer::start_with(|settings| {
        let mut settings = settings.with_stream("calls", 1);
        settings.connections_max = Some(connections_max);
        settings
    })
}

/// The shipped bounds, and as many connections as the review had.
#[test]
fn idle_connections_shut_nobody_out() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path(), "calls");
    let mut busy = Client::connect(process.address);
    let mut idle: Vec<Client> = Vec::new();
    for _ in 0..1_100 {
        let mut client = Client::connect(process.address);
        client.request("GET", "/health", "").ok();
        idle.push(client);
        // Who goes on using a connection keeps it.
        busy.request("GET", "/health", "").ok();
    }
    let mut stranger = Client::connect(process.address);
    stranger.put(None, &["x"]);
    busy.put(None, &["y"]);
    assert!(metric(&mut stranger, "stream_server_connections_displaced_total ") >= 78);
    wait_until("the oldest are closed", || idle[0].has_ended());
    assert!(!idle[1_099].has_ended());
}

#[test]
fn heads_and_bodies_that_do_not_end_shut_nobody_out() {
    let server = crowded(8);
    let head = format!("POST /20180418/streams/{STREAM}/messages HTTP/1.1\r\n{FIELDS}");
    for stalled in [head.clone(), format!("{head}content-length: 100\r\n\r\n{{")] {
        let mut crowd: Vec<Client> = Vec::new();
        for _ in 0..20 {
            let mut client = server.client();
            client.send(stalled.as_bytes()).unwrap();
            crowd.push(client);
        }
        let mut stranger = server.client();
        stranger.put(None, &["x"]);
        wait_until("the first have left", || crowd[0].has_ended());
    }
}

#[test]
fn who_is_served_is_not_cut_off() {
    let server = TestServer::start_with(|settings| {
        let mut settings = settings.with_stream("calls", 1);
        settings.connections_max = Some(5);
        settings.faults = true;
        settings
    });
    let rules = json!([{ "operation": "GetGroup", "delayMs": 1500 }]);
    let mut observer = server.client();
    observer.request("PUT", "/faults", &rules.to_string()).ok();
    let path = format!("/20180418/streams/{STREAM}/groups/g");
    let request = format!("GET {path} HTTP/1.1\r\n{FIELDS}\r\n");
    let mut working: Vec<Client> = Vec::new();
    for _ in 0..4 {
        let mut client = server.client();
        client.send(request.as_bytes()).unwrap();
        working.push(client);
    }
    wait_until("all four are worked on", || {
        observer.request("GET", "/faults", "").ok()[0]["struck"] == 4
    });
    server.client().put(None, &["x"]);
    for client in &mut working {
        let answer = client.receive().unwrap();
        answer.refused(404, "NotAuthorizedOrNotFound");
    }
    assert!(observer.has_ended(), "it only waited");
}

#[test]
fn an_idle_connection_ends() {
    let server = TestServer::start_with(|settings| {
        let mut settings = settings.with_stream("calls", 1);
        settings.idle_timeout = Some(Duration::from_secs(1));
        settings
    });
    let mut idle = server.client();
    idle.request("GET", "/health", "").ok();
    let mut busy = server.client();
    wait_until("the idle connection is closed", || {
        busy.request("GET", "/health", "").ok();
        idle.has_ended()
    });
}

/// Everyone may ask, and each write to the disk costs others time.
#[test]
fn readiness_is_probed_once_a_second_at_most() {
    let server = TestServer::start(1);
    let mut client = server.client();
    let name = "stream_server_transaction_writes_count ";
    let before = metric(&mut client, name);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = server.client();
                for _ in 0..500 {
                    assert_eq!(client.request("GET", "/ready", "").ok()["status"], "ready");
                }
            });
        }
    });
    let writes = metric(&mut client, name) - before;
    // One at the beginning, and one for each second that has passed.
    assert!(
        (1..=began.elapsed().as_secs() + 1).contains(&writes),
        "{writes}"
    );
}
