//! Bodies at the limit: exactly at it, one byte more, much more; and so many at a time that there
//! is no room for all of them.

use anyhow::Result;
use serde_json::json;
use testkit::http1::asynchronous::Connection;
use testkit::http2;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Report, Scale};
use crate::client::{Ended, content, in_chunks, marked, marked2};
use crate::rig::{Rig, without_haste};
use crate::tally::Tally;

/// The default of `limits.bodyBytes`.
const BODY: usize = 655_360;

/// `limits.waitingBytes` in this scenario: room for 25 such bodies.
const WAITING: usize = 16 << 20;

/// How much more than before Envoy may have allocated while bodies wait: for the bodies that it may
/// keep, a copy of the batches on their way, and what it reads from connections before it refuses
/// them.
const KEPT_BYTES: usize = 4 * WAITING;

pub(super) async fn run(scale: Scale) -> Result<Report> {
    let patch = json!({ "limits": { "waitingBytes": WAITING } });
    let rig = Rig::start("overload-limits", |builder| {
        builder.accept_patch(patch).edit(without_haste)
    })
    .await?;
    let mut report = Report::default();
    let mut tally = Tally::default();
    for (what, bytes, status) in [
        ("at the limit", BODY, 202),
        ("one byte more", BODY + 1, 413),
        ("three times the limit", 3 * BODY, 413),
    ] {
        for (how, ended) in one_each(rig.port(), bytes).await? {
            let is_right = matches!(&ended, Ended::Answered(answer) if answer.status == status);
            report.check(format!("{what}, {how}: {status}"), is_right);
            tally.add(ended);
        }
    }
    rig.settle(&tally).await?;
    let before = rig.stat("server.memory_allocated")?;
    let count = scale.choose(400, 80);
    report.moments.push((rig.seconds(), "many"));
    let many = many(&rig, count).await?;
    report.figure("bodies at a time", format!("{count} of {BODY} bytes"));
    report.figure("the many", &many);
    let (stored, slow) = (many.of(202), many.of(503));
    let known = stored + slow + many.of(429);
    report.check("each is accepted or told to come again", known == count);
    // All requests come from one address, and so from one caller, who leaves a third for others
    // (G11).
    let room = WAITING * 2 / 3 / BODY;
    report.check(
        format!("there is room for about {room} of one caller"),
        (room.saturating_sub(2)..=room + 1).contains(&(stored + slow)),
    );
    tally.merge(many);
    let mut report = report.conclude(&rig, &tally).await?;
    report.check_allocated(&rig, before, u64::try_from(KEPT_BYTES)?);
    Ok(report)
}

/// Returns a body with its length, one in chunks, one by HTTP/2.
async fn one_each(port: u16, bytes: usize) -> Result<Vec<(&'static str, Ended)>> {
    let known = marked("/limit").body(content(bytes)).bytes();
    let chunked = in_chunks(marked("/limit"), bytes, &[]).bytes();
    let known = Connection::open(port).await?.exchange(&known).await;
    let chunked = Connection::open(port).await?.exchange(&chunked).await;
    let connection = http2::Connection::open(port).await?;
    let mut exchange = connection.begin(&marked2("/limit")).await?;
    exchange.send(content(bytes), true)?;
    Ok(vec![
        ("length known", known.into()),
        ("chunked", chunked.into()),
        ("HTTP/2", exchange.response().await.into()),
    ])
}

/// Sends all bytes of many bodies except the last, waits until each body waits or is refused, and
/// completes those that wait.
async fn many(rig: &Rig, count: usize) -> Result<Tally> {
    let request = marked("/many").body(content(BODY)).bytes();
    let (go, going) = watch::channel(false);
    let mut clients: JoinSet<Ended> = JoinSet::new();
    for _ in 0..count {
        let (port, mut going, request) = (rig.port(), going.clone(), request.clone());
        clients.spawn(async move {
            let Ok(mut connection) = Connection::open(port).await else {
                return Ended::Closed;
            };
            let begun = request.get(..request.len() - 1).unwrap_or_default();
            // A client that is refused meanwhile can't send the rest.
            let _refused = connection.send(begun).await;
            tokio::select! {
                response = connection.receive(false) => response.into(),
                _ = going.changed() => connection.exchange(b"x").await.into(),
            }
        });
    }
    let count = u64::try_from(count)?;
    let decided = || {
        let refused = rig.metric("sluice_refused.reason=too_many_waiting;.total")?;
        Ok(rig.metric("sluice_waiting_requests")? + refused >= count)
    };
    let _decided = rig.wait(decided).await?;
    go.send(true)?;
    let mut tally = Tally::default();
    while let Some(ended) = clients.join_next().await {
        tally.add(ended?);
    }
    Ok(tally)
}
