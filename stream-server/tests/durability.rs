//! Killed at any moment, the server has everything that it acknowledged: once, and in order.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::process::Process;
use common::{Client, STREAM, encode, wait_until};
use serde_json::{Value, json};

const WRITERS: usize = 4;
/// How often each test kills the server, unless `STREAM_SERVER_KILLS` says otherwise.
const KILLS: usize = 20;

fn kills() -> usize {
    std::env::var("STREAM_SERVER_KILLS").map_or(KILLS, |kills| kills.parse().unwrap())
}

/// Acknowledgements to wait for before a kill: another moment each time, also right at the start.
fn random_goal() -> usize {
    fastrand::usize(1..60)
}

/// Where each acknowledged value is: partition and offset.
type Acknowledged = Arc<Mutex<BTreeMap<String, (String, u64)>>>;

/// Publishes until the server dies. A value without an answer may or may not be there.
fn write_until_killed(address: SocketAddr, name: &str, ballast: usize, acked: &Acknowledged) {
    let Ok(mut client) = Client::try_connect(address) else {
        return;
    };
    for n in 0.. {
        let values: Vec<String> = (0..=n % 3).map(|i| format!("{name}/{n}/{i}")).collect();
        let key = encode(name.split('/').next_back().unwrap());
        let spaces = " ".repeat(ballast);
        let message = |value: &String| {
            let value = format!("{value}{spaces}");
            json!({ "key": key, "value": encode(&value) })
        };
        let body = json!({ "messages": values.iter().map(message).collect::<Vec<_>>() });
        let path = format!("/20180418/streams/{STREAM}/messages");
        let Ok(answer) = client.try_request("POST", &path, &body.to_string()) else {
            return;
        };
        let entries = answer.ok()["entries"].as_array().unwrap().clone();
        let mut acked = acked.lock().unwrap();
        for (value, entry) in values.into_iter().zip(entries) {
            let partition = entry["partition"].as_str().unwrap().to_owned();
            acked.insert(value, (partition, entry["offset"].as_u64().unwrap()));
        }
    }
}

fn read_all(client: &mut Client, partition: &str) -> Vec<(u64, String)> {
    let mut cursor = client.cursor(&json!({ "partition": partition, "type": "TRIM_HORIZON" }));
    let mut all = Vec::new();
    loop {
        let batch = client.get(&cursor, 1_000);
        if batch.messages.is_empty() {
            return all;
        }
        let offsets = batch
            .messages
            .iter()
            .map(|message| message["offset"].as_u64().unwrap());
        let values = batch.values();
        all.extend(offsets.zip(values.iter().map(|value| value.trim_end().to_owned())));
        cursor = batch.next;
    }
}

#[test]
fn every_acknowledged_message_survives_kills_once_and_in_order() {
    messages_survive_kills(0, "67108864", |_| WRITERS);
}

/// Files of the log begin and end all the time.
#[test]
fn kills_between_two_files_of_the_log_lose_nothing() {
    messages_survive_kills(10_000, "65536", |_| WRITERS);
}

/// Who writes alone has its commits made by the thread that serves it.
#[test]
fn who_writes_alone_loses_nothing_to_kills_either() {
    messages_survive_kills(10_000, "65536", |run| 1 + run % 2);
}

fn messages_survive_kills(ballast: usize, segment_bytes: &str, writers: fn(usize) -> usize) {
    let folder = tempfile::tempdir().unwrap();
    let acked = Acknowledged::default();
    let bounds = ["--segment-bytes", segment_bytes];
    for run in 0..kills() {
        let mut server = Process::start_also_with(folder.path(), "calls:3", &bounds);
        let address = server.address;
        let writers: Vec<_> = (0..writers(run))
            .map(|writer| {
                let acked = Arc::clone(&acked);
                let name = format!("{run}/{writer}");
                std::thread::spawn(move || write_until_killed(address, &name, ballast, &acked))
            })
            .collect();
        let goal = acked.lock().unwrap().len() + random_goal();
        wait_until("enough is acknowledged", || {
            acked.lock().unwrap().len() >= goal
        });
        server.kill();
        writers
            .into_iter()
            .for_each(|writer| writer.join().unwrap());
    }
    let server = Process::start(folder.path(), "calls:3");
    let mut client = Client::connect(server.address);
    let mut found = BTreeMap::new();
    for partition in ["0", "1", "2"] {
        let messages = read_all(&mut client, partition);
        assert!(
            messages.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "offsets increase"
        );
        for (offset, value) in messages {
            let twice = found.insert(value.clone(), (partition.to_owned(), offset));
            assert_eq!(twice, None, "{value} is there twice");
        }
    }
    let acked = acked.lock().unwrap();
    for (value, place) in acked.iter() {
        assert_eq!(found.get(value), Some(place), "{value}");
    }
    in_order(&found);
}

/// Each writer's messages stand in the order in which it published them.
fn in_order(found: &BTreeMap<String, (String, u64)>) {
    let mut by_writer: BTreeMap<usize, BTreeSet<(u64, Vec<usize>)>> = BTreeMap::new();
    for (value, (_, offset)) in found {
        let parts: Vec<usize> = value.split('/').map(|part| part.parse().unwrap()).collect();
        let order = vec![parts[0], parts[2], parts[3]];
        by_writer
            .entry(parts[1])
            .or_default()
            .insert((*offset, order));
    }
    for messages in by_writer.values() {
        let orders: Vec<_> = messages.iter().map(|(_, order)| order).collect();
        assert!(orders.windows(2).all(|pair| pair[0] < pair[1]));
    }
}

#[test]
fn acknowledged_commits_survive_kills_and_never_go_back() {
    let folder = tempfile::tempdir().unwrap();
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut last_seen = None;
    for _ in 0..kills() {
        let mut server = Process::start(folder.path(), "calls:1");
        let address = server.address;
        let mut client = Client::connect(address);
        client.put(None, &["x"; 100]);
        let done = Arc::clone(&acknowledged);
        let reader = std::thread::spawn(move || -> Option<u64> {
            let mut client = Client::connect(address);
            let mut cursor = client.join("a", &json!({ "commitOnGet": false }));
            let mut committed = None;
            loop {
                let path = format!("/20180418/streams/{STREAM}/messages?limit=1&cursor={cursor}");
                let Ok(answer) = client.try_request("GET", &path, "") else {
                    return committed;
                };
                let next = answer.headers["opc-next-cursor"].clone();
                let messages = answer.ok();
                let path = format!("/20180418/streams/{STREAM}/commit?cursor={next}");
                let Ok(answer) = client.try_request("POST", &path, "") else {
                    return committed;
                };
                cursor = common::value(answer);
                if let Some(message) = messages.as_array().unwrap().last() {
                    let offset = message["offset"].as_u64();
                    assert!(offset > committed, "read goes on behind what is committed");
                    committed = offset;
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
        let goal = acknowledged.load(Ordering::Relaxed) + random_goal();
        wait_until("some commits", || {
            acknowledged.load(Ordering::Relaxed) >= goal
        });
        server.kill();
        let committed = reader.join().unwrap();
        let server = Process::start(folder.path(), "calls:1");
        let kept = Client::connect(server.address).committed()[0];
        assert!(
            kept >= committed,
            "{kept:?} is behind the acknowledged {committed:?}"
        );
        assert!(kept >= last_seen);
        last_seen = kept;
    }
    assert_ne!(last_seen.map(Value::from), None);
}
