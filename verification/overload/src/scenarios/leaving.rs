//! Clients that leave at every stage of their request. Calls that the Stream has stored may be made
//! all the same. Nothing else may be left of them.

use anyhow::Result;
use testkit::http1::asynchronous::Connection;
use testkit::http2;
use tokio::task::JoinSet;

use super::{Report, Scale, mebibytes};
use crate::client::{content, in_chunks, marked, marked2};
use crate::rig::Rig;
use crate::tally::Tally;

/// Clients at a time.
const CLIENTS: usize = 200;

/// Largest body of a client that leaves.
const BODY_MAX: usize = 20_000;

/// Requests on an HTTP/2 connection that breaks.
const STREAMS: usize = 50;

/// How much more than before Envoy may have allocated when all clients are gone: for its allocator,
/// its stats, and connections that it hasn't released yet.
const LEFT_BYTES: u64 = 8 << 20;

/// The accept role's VM may become this large, which is much less than the clients have sent.
const VM_BYTES: u64 = 64 << 20;

/// The stage at which a client leaves.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Head,
    Body,
    Sent,
    Answer,
    ResetInBody,
    StreamHead,
    StreamBody,
    StreamSent,
    Connection,
}

const STAGES: [(Stage, &str); 9] = [
    (Stage::Head, "in the head"),
    (Stage::Body, "in the body"),
    (Stage::Sent, "when all is sent"),
    (Stage::Answer, "in the answer"),
    (Stage::ResetInBody, "by TCP reset"),
    (Stage::StreamHead, "h2 after the head"),
    (Stage::StreamBody, "h2 in the body"),
    (Stage::StreamSent, "h2 when all is sent"),
    (Stage::Connection, "h2 with 50 requests"),
];

pub(super) async fn run(scale: Scale) -> Result<Report> {
    let count = scale.choose(20_000, 3_000);
    let mut rig = Rig::start("overload-leaving", |builder| builder).await?;
    let mut report = Report::default();
    // A round before counting, so that what is allocated only once is there.
    leave(rig.port(), count / 10, 1).await?;
    let empty = rig.settle(&Tally::default()).await?;
    let before = rig.stat("server.memory_allocated")?;
    report.check(
        "nothing is left after the first tenth",
        empty.gauges.is_empty(),
    );
    leave(rig.port(), count * 7 / 10, 2).await?;
    report.moments.push((rig.seconds(), "while they wait"));
    let waited = leave_waiting(&mut rig, count - count / 10 - count * 7 / 10).await?;
    report.figure("left while the Stream had their calls", waited);
    report.check("some have left while they waited", waited > 0);
    report.figure("clients that left", count);
    let names: Vec<&str> = STAGES.iter().map(|(_, name)| *name).collect();
    report.figure("in equal parts", names.join(", "));
    report.figure(
        "missed by the filter",
        rig.metric("sluice_clients_gone_total")?,
    );
    let mut report = report.conclude(&rig, &Tally::default()).await?;
    let allocated = || rig.stat("server.memory_allocated");
    let back = rig.wait(|| Ok(allocated()? <= before + LEFT_BYTES)).await?;
    let (before, after) = (mebibytes(before), mebibytes(allocated()?));
    let what = format!("what Envoy has allocated is back ({before} before, {after} after)");
    report.check(what, back);
    let vm = rig.peak(|sample| sample.accept_vm);
    report.check(
        format!("the accept VM stays below {}", mebibytes(VM_BYTES)),
        vm < VM_BYTES,
    );
    Ok(report)
}

/// Lets this many clients come and leave, the same ones for the same seed.
async fn leave(port: u16, count: usize, seed: u64) -> Result<()> {
    let mut clients: JoinSet<()> = JoinSet::new();
    for number in 0..count {
        if clients.len() >= CLIENTS {
            clients.join_next().await;
        }
        let stage = STAGES.get(number % STAGES.len()).map(|(stage, _)| *stage);
        let chance = fastrand::Rng::with_seed(seed * 1_000_003 + u64::try_from(number)?);
        clients.spawn(async move {
            if let Some(stage) = stage {
                // A gateway may end a request that its client has left.
                let _gone = client(port, stage, chance).await;
            }
        });
    }
    while clients.join_next().await.is_some() {}
    Ok(())
}

async fn client(port: u16, stage: Stage, mut chance: fastrand::Rng) -> Result<()> {
    let body = chance.usize(1..BODY_MAX);
    let request = marked("/leaving");
    let request = if chance.bool() {
        request.body(content(body))
    } else {
        in_chunks(request, body, &[])
    };
    let (bytes, head) = (request.bytes(), request.head().len());
    let sent = match stage {
        Stage::Head => chance.usize(0..head),
        Stage::Body | Stage::ResetInBody => chance.usize(head..bytes.len()),
        Stage::Sent | Stage::Answer => bytes.len(),
        Stage::StreamHead | Stage::StreamBody | Stage::StreamSent => {
            return client2(port, stage, body).await;
        }
        Stage::Connection => return connection2(port, body).await,
    };
    let mut connection = Connection::open(port).await?;
    connection
        .send(bytes.get(..sent).unwrap_or_default())
        .await?;
    match stage {
        Stage::Answer => {
            connection.first_byte().await?;
            connection.reset();
        }
        Stage::ResetInBody => connection.reset(),
        Stage::Head
        | Stage::Body
        | Stage::Sent
        | Stage::StreamHead
        | Stage::StreamBody
        | Stage::StreamSent
        | Stage::Connection => {}
    }
    Ok(())
}

/// Takes one request back, and ends properly.
async fn client2(port: u16, stage: Stage, body: usize) -> Result<()> {
    let connection = http2::Connection::open(port).await?;
    let mut exchange = connection.begin(&marked2("/leaving")).await?;
    match stage {
        Stage::StreamBody => exchange.send(content(body), false)?,
        Stage::StreamSent => exchange.send(content(body), true)?,
        Stage::Head
        | Stage::Body
        | Stage::Sent
        | Stage::Answer
        | Stage::ResetInBody
        | Stage::StreamHead
        | Stage::Connection => {}
    }
    // This lets the request go onto the wire before it is taken back.
    tokio::task::yield_now().await;
    exchange.reset();
    tokio::task::yield_now().await;
    Ok(())
}

/// Breaks a connection with many requests under way.
async fn connection2(port: u16, body: usize) -> Result<()> {
    let connection = http2::Connection::open(port).await?;
    let mut exchanges = Vec::new();
    for number in 0..STREAMS {
        let mut exchange = connection.begin(&marked2("/leaving")).await?;
        exchange.send(content(body / STREAMS + 1), number % 2 == 0)?;
        exchanges.push(exchange);
    }
    tokio::task::yield_now().await;
    connection.abandon();
    drop(exchanges);
    Ok(())
}

/// Lets clients leave that wait for a Stream which doesn't answer. Returns how many did.
async fn leave_waiting(rig: &mut Rig, count: usize) -> Result<u64> {
    const AT_A_TIME: usize = 500;
    let request = marked("/leaving").body(content(BODY_MAX)).bytes();
    let mut left = 0;
    let gone = rig.metric("sluice_clients_gone_total")?;
    while left < count {
        rig.stop_stream()?;
        let number = AT_A_TIME.min(count - left);
        let mut clients = Vec::new();
        for _ in 0..number {
            let mut connection = Connection::open(rig.port()).await?;
            connection.send(&request).await?;
            clients.push(connection);
        }
        // Some may already have been refused. It is enough that they had to wait.
        let _waits = rig
            .wait(|| Ok(rig.metric("sluice_waiting_requests")? > 0))
            .await?;
        drop(clients);
        rig.resume_stream()?;
        left += number;
    }
    let all_gone = rig
        .wait(|| Ok(rig.metric("sluice_waiting_requests")? == 0))
        .await?;
    let now = rig.metric("sluice_clients_gone_total")?;
    Ok(if all_gone { now - gone } else { 0 })
}
