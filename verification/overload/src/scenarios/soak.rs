//! Everything at the same time, for minutes: is memory flat?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use testkit::field;
use testkit::http1::Request;
use testkit::http1::asynchronous::Connection;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::load::Load;
use super::{Report, Scale, mebibytes};
use crate::client::{content, in_chunks, marked, plain};
use crate::rig::Rig;
use crate::sample::{Of, Sample, is_flat, quarters};
use crate::tally::Tally;
use crate::target::FLAKY;

/// How long the Stream is stopped, once, in the first quarter.
const STOP: Duration = Duration::from_secs(7);

/// The curves, with their tolerance: the median of the last quarter may be above that of the third
/// by so many percent and so many bytes. For wasm memory these are two pages.
const CURVES: [(&str, Of, u64, u64); 4] = [
    ("Envoy's RSS", |s| s.envoy_rss, 3, 2 << 20),
    ("server.memory_allocated", |s| s.allocated, 3, 1 << 20),
    ("accept VM", |s| s.accept_vm, 0, 2 << 16),
    ("drain VM", |s| s.drain_vm, 0, 2 << 16),
];

/// In the short form, which can't show that memory is flat, the VMs may become this large.
const VM_BYTES: u64 = 64 << 20;

pub(super) async fn run(scale: Scale) -> Result<Report> {
    let duration = scale.soak;
    let mut rig = Rig::start("overload-soak", |builder| builder).await?;
    let mut report = Report::default();
    let loads = loads(rig.port());
    let is_over = Arc::new(AtomicBool::new(false));
    let leavers = leavers(rig.port(), &is_over);
    sleep(duration / 8).await;
    rig.stop_stream()?;
    report.moments.push((rig.seconds(), "Stream stopped"));
    sleep(STOP.min(duration / 8)).await;
    rig.resume_stream()?;
    let rest = duration.saturating_sub(Duration::from_secs_f64(rig.seconds()));
    sleep(rest).await;
    let samples = rig.samples();
    is_over.store(true, Ordering::Relaxed);
    let mut tally = Tally::default();
    for load in loads {
        tally.merge(load.end().await?.0);
    }
    leavers.join_all().await;
    report.figure("minutes", format!("{:.1}", duration.as_secs_f64() / 60.0));
    report.figure(
        "clients that left",
        rig.metric("sluice_clients_gone_total")?,
    );
    report.figure("calls delivered", rig.target.calls());
    if scale.is_short {
        let vms = rig.peak(|sample| sample.accept_vm.max(sample.drain_vm));
        report.check("both VMs stay small", vms < VM_BYTES);
    } else {
        for (name, of, percent, bytes) in CURVES {
            let what = flat(&samples, name, of, percent, bytes);
            report.check(what, is_flat(&samples, of, percent, bytes));
        }
    }
    report.conclude(&rig, &tally).await
}

fn flat(samples: &[Sample], name: &str, of: Of, percent: u64, bytes: u64) -> String {
    let medians = quarters(samples, of).map(mebibytes).join(", ");
    let bytes = mebibytes(bytes);
    format!("{name} is flat: medians of the quarters {medians} (tolerance {percent} % + {bytes})")
}

/// Clients that stay: bodies of every size, deferred calls, failing targets, refusals.
fn loads(port: u16) -> Vec<Load> {
    let requests = [
        (8, marked("/soak").body(content(200)), 40),
        (4, marked("/soak").body(content(20_000)), 80),
        (1, marked("/soak").body(content(600_000)), 500),
        (
            2,
            in_chunks(marked("/soak"), 5_000, &[field("x-sum", "1")]),
            80,
        ),
        (
            // There are so many that the drain's table of hops is full in the first half.
            8,
            marked("/soak")
                .field("async-delay", "1500ms")
                .body(content(100)),
            50,
        ),
        (
            2,
            marked("/soak")
                .field("async-order-key", "soak")
                .body(content(100)),
            200,
        ),
        (
            2,
            marked("/soak")
                .field("idempotency-key", "\"soak\"")
                .body(content(100)),
            100,
        ),
        (1, marked(FLAKY).body(content(100)), 200),
        (
            1,
            marked("/soak")
                .field("async-retries", "many")
                .body(content(100)),
            100,
        ),
        (1, marked("/soak").body(content(700_000)), 500),
        (4, plain("/soak").body(content(1_000)), 40),
    ];
    let load = |(clients, request, pause): (usize, Request, u64)| {
        Load::start(port, clients, request.bytes(), Duration::from_millis(pause))
    };
    requests.into_iter().map(load).collect()
}

/// Clients that leave in the middle; some of them send slowly before that.
fn leavers(port: u16, is_over: &Arc<AtomicBool>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for seed in 0..6 {
        let is_over = Arc::clone(is_over);
        tasks.spawn(async move {
            let mut chance = fastrand::Rng::with_seed(seed);
            while !is_over.load(Ordering::Relaxed) {
                let bytes = marked("/left")
                    .body(content(chance.usize(1..30_000)))
                    .bytes();
                let sent = chance.usize(1..=bytes.len());
                let stay = Duration::from_millis(chance.u64(0..300));
                if let Ok(mut connection) = Connection::open(port).await {
                    // It leaves in any case.
                    let _sent = connection.send(bytes.get(..sent).unwrap_or_default()).await;
                    let _answer = timeout(stay, connection.receive(false)).await;
                    if chance.bool() {
                        connection.reset();
                    }
                }
            }
        });
    }
    tasks
}
