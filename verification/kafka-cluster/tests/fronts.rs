//! Stream servers that come and go in front of one cluster: killed, ended in order and started
//! again, while clients publish and a group reads through any of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use common::{Client, Front, Ground, PATIENCE};
use kafka_cluster::Setup;
use testkit::wait;

/// How often a server dies or ends.
const ROUNDS: usize = 8;
const PARTITIONS: u32 = 4;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

/// A client that takes any server for each request, as behind a load balancer.
struct Anywhere(Vec<Client>);

impl Anywhere {
    fn any(&self) -> Client {
        fastrand::choice(&self.0).copied().unwrap()
    }
}

/// The longest time without a success.
struct Gap {
    since: Instant,
    longest: Duration,
}

impl Gap {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            longest: Duration::ZERO,
        }
    }

    fn succeeded(&mut self) {
        self.longest = self.longest.max(self.since.elapsed());
        self.since = Instant::now();
    }
}

/// Publishes numbered values until it is told to end. Returns those that were acknowledged.
fn publish(
    clients: &Anywhere,
    is_over: &AtomicBool,
    acknowledged: &Mutex<BTreeSet<String>>,
) -> Gap {
    let mut gap = Gap::new();
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        number += 1;
        let value = format!("value-{number:06}");
        if clients.any().put_one(&value) {
            gap.succeeded();
            locked(acknowledged).insert(value);
        }
        // A client like many: not a load test.
        thread::sleep(Duration::from_millis(3));
    }
    gap
}

/// What a group's instance has seen.
#[derive(Default)]
struct Seen {
    delivered: BTreeSet<String>,
    /// Of these a commit was acknowledged. Of others that may be in doubt.
    committed: BTreeSet<String>,
    again: usize,
}

/// Reads as one instance of a group, and commits, until all is delivered.
fn consume(clients: &Anywhere, is_all: impl Fn(&Seen) -> bool) -> (Seen, Gap) {
    let (mut seen, mut gap) = (Seen::default(), Gap::new());
    let begun = Instant::now();
    let mut cursor: Option<String> = None;
    let mut uncommitted: Vec<String> = Vec::new();
    while !is_all(&seen) {
        assert!(
            gap.since.elapsed() < PATIENCE,
            "the group has come to a stand"
        );
        assert!(begun.elapsed() < 10 * PATIENCE, "it never ends");
        let Some(own) = &cursor else {
            uncommitted.clear();
            let joined = clients.any().join("g", "one");
            cursor = joined
                .ok()
                .filter(|answer| answer.status == 200)
                .map(|answer| {
                    let value = answer.json();
                    value.get("value").unwrap().as_str().unwrap().to_owned()
                });
            continue;
        };
        let Ok(batch) = clients.any().get(own) else {
            continue;
        };
        match batch.status {
            200 => {}
            400 => cursor = None,
            503 => {}
            status => panic!("{status}: {batch:?}"),
        }
        if batch.status != 200 {
            continue;
        }
        gap.succeeded();
        for value in batch.values() {
            assert!(!seen.committed.contains(&value), "{value} was committed");
            if !seen.delivered.insert(value.clone()) {
                seen.again += 1;
            }
            uncommitted.push(value);
        }
        let next = batch.next.unwrap();
        // An answer that is lost leaves the commit in doubt, and the next one makes it sure.
        let commit = clients.any().commit(&next);
        cursor = match commit {
            Ok(answer) if answer.status == 200 => {
                seen.committed.extend(uncommitted.drain(..));
                let value = answer.json();
                Some(value.get("value").unwrap().as_str().unwrap().to_owned())
            }
            Ok(answer) if answer.status == 400 => None,
            Ok(answer) if answer.status == 503 => Some(next),
            Ok(answer) => panic!("{answer:?}"),
            Err(_) => Some(next),
        };
    }
    (seen, gap)
}

/// Ends servers, one after the other, in both ways, and starts them again.
fn come_and_go(fronts: &mut [Front]) {
    for round in 0..ROUNDS {
        let place = fastrand::usize(..fronts.len());
        let front = fronts.get_mut(place).unwrap();
        let begun = Instant::now();
        match round % 2 {
            0 => front.process.kill9().unwrap(),
            _ => front.process.terminate(PATIENCE).unwrap(),
        }
        front.restart();
        front.wait_until_ready();
        println!(
            "round {round}: server {place} is back after {:?}",
            begun.elapsed()
        );
    }
}

#[test]
fn nothing_is_lost_and_no_commit_is_undone_while_servers_come_and_go() {
    let Some(ground) = Ground::start("fronts", &Setup::default()) else {
        return;
    };
    let mut fronts: Vec<Front> = (0..3).map(|_| ground.front(&[])).collect();
    let clients = || Anywhere(fronts.iter().map(Front::client).collect());
    let (publishing, reading, checking) = (clients(), clients(), clients());
    let (is_over, acknowledged) = (AtomicBool::new(false), Mutex::<BTreeSet<String>>::default());
    let is_all = |seen: &Seen| {
        is_over.load(Ordering::Relaxed) && locked(&acknowledged).is_subset(&seen.delivered)
    };
    thread::scope(|scope| {
        let publisher = scope.spawn(|| publish(&publishing, &is_over, &acknowledged));
        let consumer = scope.spawn(|| consume(&reading, is_all));
        let churn = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            come_and_go(&mut fronts);
        }));
        is_over.store(true, Ordering::Relaxed);
        churn.unwrap();
        let published = publisher.join().unwrap();
        let (seen, read) = consumer.join().unwrap();
        println!(
            "{} acknowledged, {} delivered, {} of these again; longest time without an \
             acknowledgement {:?}, without an answer of the group {:?}",
            locked(&acknowledged).len(),
            seen.delivered.len(),
            seen.again,
            published.longest,
            read.longest
        );
        assert!(locked(&acknowledged).len() > 100, "it did something");
    });
    // What one server acknowledges, another one shows in the same moment.
    let mut last = String::new();
    assert!(wait::until(PATIENCE, || checking
        .0
        .iter()
        .all(|client| client.put_one("x"))));
    for number in 0..100 {
        last = format!("last-{number}");
        assert!(checking.any().put_one(&last));
    }
    for client in &checking.0 {
        assert!(client.read_all(PARTITIONS).contains(&last));
    }
}
