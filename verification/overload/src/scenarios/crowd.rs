//! Ten thousand marked requests at the same time. Everything except the last byte of each is sent
//! first, so that all of them wait in the filter before any of them can be answered.

use anyhow::Result;
use testkit::http1::asynchronous::Connection;
use testkit::http2;
use tokio::task::JoinSet;

use super::{Report, Scale};
use crate::client::{Ended, content, marked, marked2};
use crate::files;
use crate::rig::{Rig, without_haste};
use crate::tally::Tally;

const BODY: usize = 1_024;

/// Requests on one HTTP/2 connection.
const STREAMS: usize = 100;

/// What Envoy opens besides clients' connections, generously.
const RESERVE: usize = 1_500;

/// Begun requests that lack their last byte.
#[derive(Default)]
struct Crowd {
    http1: Vec<Connection>,
    http2: Vec<http2::Exchange>,
    /// Kept, because an HTTP/2 connection ends with its last handle.
    connections: Vec<http2::Connection>,
}

pub(super) async fn run(scale: Scale) -> Result<Report> {
    let count = scale.choose(10_000, 2_000);
    let rig = Rig::start("overload-crowd", |builder| builder.edit(without_haste)).await?;
    // A tenth comes by HTTP/2, and also those for which there are no file descriptors.
    let connections = (count * 9 / 10).min(files::limit().saturating_sub(RESERVE));
    let mut report = Report::default();
    report.figure("connections of HTTP/1.1", connections);
    report.figure("streams of HTTP/2", count - connections);
    let crowd = gather(rig.port(), connections, count - connections).await?;
    let all_wait = rig.wait_for_waiting(u64::try_from(count)?).await?;
    let waiting = rig.metric("sluice_waiting_requests")?;
    let what = format!("{count} requests wait in one worker at the same time ({waiting} did)");
    report.check(what, all_wait);
    report.moments.push((rig.seconds(), "last bytes"));
    let tally = finish(crowd).await?;
    let answered = tally.of(202) + tally.of(429) + tally.of(503);
    report.check(
        format!("each gets a 202, or a 429 or 503 ({answered} of {count})"),
        answered == count,
    );
    report.check("some get a 202", tally.of(202) > 0);
    report.conclude(&rig, &tally).await
}

async fn gather(port: u16, connections: usize, streams: usize) -> Result<Crowd> {
    let request = marked("/crowd").body(content(BODY)).bytes();
    let begun = request.get(..request.len() - 1).unwrap_or_default();
    let mut crowd = Crowd::default();
    for _ in 0..connections {
        let mut connection = Connection::open(port).await?;
        connection.send(begun).await?;
        crowd.http1.push(connection);
    }
    while crowd.http2.len() < streams {
        let connection = http2::Connection::open(port).await?;
        for _ in 0..STREAMS.min(streams - crowd.http2.len()) {
            let mut exchange = connection.begin(&marked2("/crowd")).await?;
            exchange.send(content(BODY - 1), false)?;
            crowd.http2.push(exchange);
        }
        crowd.connections.push(connection);
    }
    Ok(crowd)
}

async fn finish(crowd: Crowd) -> Result<Tally> {
    let mut exchanges: JoinSet<Ended> = JoinSet::new();
    for mut connection in crowd.http1 {
        exchanges.spawn(async move { connection.exchange(b"x").await.into() });
    }
    for mut exchange in crowd.http2 {
        exchanges.spawn(async move {
            match exchange.send(content(1), true) {
                Ok(()) => exchange.response().await.into(),
                Err(_) => Ended::Closed,
            }
        });
    }
    let mut tally = Tally::default();
    while let Some(ended) = exchanges.join_next().await {
        tally.add(ended?);
    }
    drop(crowd.connections);
    Ok(tally)
}
