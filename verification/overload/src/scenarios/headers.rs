//! Floods of header fields and trailers. What Envoy and the filter allow is accepted, one of them
//! refuses what is too much, and heads that wait are limited.

use anyhow::Result;
use serde_json::json;
use testkit::http1::asynchronous::Connection;
use testkit::{Field, field, http2};
use tokio::task::JoinSet;

use super::{Report, Scale, mebibytes};
use crate::client::{Ended, content, in_chunks, marked, marked2};
use crate::rig::{Rig, without_haste};
use crate::tally::Tally;

/// Bytes of a head that waits, below Envoy's limit of 60 KiB.
const HEAD: usize = 56_000;

/// The accept VM may need so many times the bytes that may wait: for heads, their decoded form, and
/// a short-lived copy of one.
const VM_FACTOR: usize = 4;

/// Requests on one HTTP/2 connection.
const STREAMS: usize = 100;

/// A kind of flood, and the right statuses; if there are none, the connection may be ended.
struct Flood {
    name: &'static str,
    request: Vec<u8>,
    right: &'static [u16],
}

fn fields(count: usize, bytes: usize) -> Vec<Field> {
    let value = "v".repeat(bytes);
    let field = |number| field(&format!("x-flood-{number}"), &value);
    (0..count).map(field).collect()
}

fn with_fields(count: usize, bytes: usize) -> Vec<u8> {
    let request = marked("/headers").fields(fields(count, bytes));
    request.body(content(3)).bytes()
}

fn with(name: &str, value: &str) -> Vec<u8> {
    marked("/headers")
        .field(name, value)
        .body(content(3))
        .bytes()
}

fn with_trailers(count: usize, bytes: usize) -> Vec<u8> {
    in_chunks(marked("/headers"), 3, &fields(count, bytes)).bytes()
}

fn repeated(name: &str, value: &str) -> Vec<u8> {
    let request = marked("/headers");
    let request = (0..80).fold(request, |request, _| request.field(name, value));
    request.body(content(3)).bytes()
}

const TOO_LARGE: &[u16] = &[400, 413, 414, 431];

fn floods() -> Vec<Flood> {
    let flood = |name, request, right| Flood {
        name,
        request,
        right,
    };
    vec![
        flood("80 small fields", with_fields(80, 5), &[202]),
        flood("200 small fields", with_fields(200, 5), TOO_LARGE),
        flood("20,000 small fields", with_fields(20_000, 5), TOO_LARGE),
        flood("80 fields of 500 bytes", with_fields(80, 500), &[202]),
        flood("a field of 50,000 bytes", with_fields(1, 50_000), &[202]),
        flood("a field of 70,000 bytes", with_fields(1, 70_000), TOO_LARGE),
        flood(
            "a field of 5,000,000 bytes",
            with_fields(1, 5_000_000),
            TOO_LARGE,
        ),
        flood(
            "a name of 40,000 bytes",
            with(&"n".repeat(40_000), "v"),
            &[202, 400],
        ),
        flood(
            "80 preferences",
            repeated("prefer", "respond-async, wait=1"),
            &[202],
        ),
        flood("80 retries", repeated("async-retries", "3"), &[400]),
        flood(
            "a correlation id of 50,000 bytes",
            with("async-correlation-id", &"i".repeat(50_000)),
            &[400],
        ),
        flood(
            "an order key of 50,000 bytes",
            with("async-order-key", &"k".repeat(50_000)),
            &[400],
        ),
        flood(
            "a target of 50,000 bytes",
            with(
                "async-target",
                &format!("http://a.test/{}", "p".repeat(50_000)),
            ),
            &[400, 403],
        ),
        flood(
            "a path of 50,000 bytes",
            marked(&format!("/{}", "p".repeat(50_000)))
                .body(content(3))
                .bytes(),
            &[202],
        ),
        flood(
            "a path of 70,000 bytes",
            marked(&format!("/{}", "p".repeat(70_000)))
                .body(content(3))
                .bytes(),
            TOO_LARGE,
        ),
        flood("50 trailers", with_trailers(50, 10), &[202]),
        flood("5,000 trailers", with_trailers(5_000, 10), TOO_LARGE),
        flood(
            "a trailer of 70,000 bytes",
            with_trailers(1, 70_000),
            TOO_LARGE,
        ),
    ]
}

/// How many fields of how many bytes.
type Many = (usize, usize);

/// Floods by HTTP/2: fields, trailers, and the statuses that are right.
const FLOODS2: [(&str, Many, Many, &[u16]); 6] = [
    ("80 small fields", (80, 5), (0, 0), &[202]),
    ("2,000 small fields", (2_000, 5), (0, 0), TOO_LARGE),
    ("a field of 50,000 bytes", (1, 50_000), (0, 0), &[202]),
    ("20 fields of 15,000 bytes", (20, 15_000), (0, 0), TOO_LARGE),
    ("50 trailers", (1, 1), (50, 10), &[202]),
    ("2,000 trailers", (1, 1), (2_000, 10), TOO_LARGE),
];

pub(super) async fn run(scale: Scale) -> Result<Report> {
    let times = scale.choose(50, 5);
    let waiting_bytes = scale.choose(32 << 20, 8 << 20);
    let patch = json!({ "limits": { "waitingBytes": waiting_bytes } });
    let rig = Rig::start("overload-headers", |builder| {
        builder.accept_patch(patch).edit(without_haste)
    })
    .await?;
    let mut report = Report::default();
    let mut tally = Tally::default();
    for flood in floods() {
        let told = pour(rig.port(), &flood.request, times).await?;
        let is_right = told
            .statuses
            .keys()
            .all(|status| flood.right.contains(status));
        // A server that refuses a request that it hasn't read may have to end the connection.
        let is_refused = !flood.right.contains(&202);
        report.check(
            format!("{}: {:?} ({told})", flood.name, flood.right),
            is_right && (told.closed == 0 || is_refused),
        );
        tally.merge(told);
    }
    for (name, head, trailers, right) in FLOODS2 {
        let told = pour2(rig.port(), head, trailers, times).await?;
        let is_right = told.statuses.keys().all(|status| right.contains(status));
        let is_refused = !right.contains(&202);
        report.check(
            format!("HTTP/2, {name}: {right:?} ({told})"),
            is_right && (told.closed == 0 || is_refused),
        );
        tally.merge(told);
    }
    let kinds = floods().len() + FLOODS2.len();
    report.figure("floods", format!("{kinds} kinds, {times} each"));
    let count = scale.choose(20_000, 500);
    report.moments.push((rig.seconds(), "heads that wait"));
    let (most, waiting) = wait_with_large_heads(&rig, count).await?;
    report.figure("heads of 56,000 bytes", count);
    report.figure("of these", &waiting);
    let known = waiting.of(202) + waiting.of(429) + waiting.of(503);
    report.check("each is accepted or told to come again", known == count);
    let room = u64::try_from(waiting_bytes / HEAD)?;
    report.check(
        format!("no more than {room} wait at the same time ({most} did), and not far fewer"),
        most <= room && most * 2 >= room,
    );
    tally.merge(waiting);
    let vm = rig.peak(|sample| sample.accept_vm);
    let vm_bytes = u64::try_from(VM_FACTOR * waiting_bytes)?;
    let limit = mebibytes(vm_bytes);
    report.check(format!("the accept VM stays below {limit}"), vm < vm_bytes);
    report.conclude(&rig, &tally).await
}

/// Sends the same request on many connections.
async fn pour(port: u16, request: &[u8], times: usize) -> Result<Tally> {
    let mut clients: JoinSet<Ended> = JoinSet::new();
    for _ in 0..times {
        let request = request.to_vec();
        clients.spawn(async move {
            match Connection::open(port).await {
                Ok(mut connection) => connection.exchange(&request).await.into(),
                Err(_) => Ended::Closed,
            }
        });
    }
    let mut tally = Tally::default();
    while let Some(ended) = clients.join_next().await {
        tally.add(ended?);
    }
    Ok(tally)
}

/// Makes the same request many times on connections of HTTP/2, one each.
async fn pour2(port: u16, head: Many, trailers: Many, times: usize) -> Result<Tally> {
    let request = marked2("/headers").fields(fields(head.0, head.1));
    let trailers = fields(trailers.0, trailers.1);
    let mut tally = Tally::default();
    for _ in 0..times {
        let connection = http2::Connection::open(port).await?;
        let ended = match connection.begin(&request).await {
            Ok(mut exchange) => {
                let has_trailers = !trailers.is_empty();
                // A client that is already refused can't send the rest.
                let _refused = exchange.send(content(3), !has_trailers);
                if has_trailers {
                    let _refused = exchange.trailers(&trailers);
                }
                exchange.response().await.into()
            }
            Err(_) => Ended::Closed,
        };
        tally.add(ended);
    }
    Ok(tally)
}

/// Lets requests with large heads wait for their bodies at the same time. Returns how many could.
async fn wait_with_large_heads(rig: &Rig, count: usize) -> Result<(u64, Tally)> {
    let request = marked2("/heads").field("x-large", "v".repeat(HEAD));
    let (mut connections, mut exchanges) = (Vec::new(), Vec::new());
    while exchanges.len() < count {
        let connection = http2::Connection::open(rig.port()).await?;
        for _ in 0..STREAMS.min(count - exchanges.len()) {
            exchanges.push(connection.begin(&request).await?);
        }
        connections.push(connection);
    }
    let count = u64::try_from(count)?;
    let decided = || {
        let refused = rig.metric("sluice_refused.reason=too_many_waiting;.total")?;
        Ok(rig.metric("sluice_waiting_requests")? + refused >= count)
    };
    let _decided = rig.wait(decided).await?;
    let waiting = rig.metric("sluice_waiting_requests")?;
    let mut tally = Tally::default();
    let mut answers: JoinSet<Ended> = JoinSet::new();
    for mut exchange in exchanges {
        // A client that is already refused can't send anything.
        let _refused = exchange.send(content(1), true);
        answers.spawn(async move { exchange.response().await.into() });
    }
    while let Some(ended) = answers.join_next().await {
        tally.add(ended?);
    }
    Ok((waiting, tally))
}
