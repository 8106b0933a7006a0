//! Clients that send bytes of a body or of a head one at a time, and some that fall silent. Others
//! are served meanwhile, and Envoy's time limits end the slow ones.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use testkit::PATIENCE;
use testkit::http1::asynchronous::Connection;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::load::Load;
use super::{Report, Scale};
use crate::client::{Ended, content, marked};
use crate::rig::{Rig, set_limits};
use crate::tally::Tally;

/// The pause between two bytes.
const DRIP: Duration = Duration::from_millis(250);

/// Slow clients keep on for longer than every limit.
const BODY: usize = 4_096;

/// In which way a client is slow.
#[derive(Clone, Copy, Debug)]
enum Manner {
    DripsBody,
    DripsHead,
    SilentInBody,
}

pub(super) async fn run(scale: Scale) -> Result<Report> {
    let slow = scale.choose(600, 150);
    let rig = Rig::start("overload-slow", |builder| builder.edit(shorten)).await?;
    let mut report = Report::default();
    report.figure("slow clients", slow);
    let manners = [Manner::DripsBody, Manner::DripsHead, Manner::SilentInBody];
    let mut clients: JoinSet<Ended> = JoinSet::new();
    for manner in manners.into_iter().cycle().take(slow) {
        let port = rig.port();
        clients.spawn(async move { client(port, manner).await.unwrap_or(Ended::Closed) });
    }
    // All requests with a complete head.
    let waiting = u64::try_from(slow / manners.len() * 2)?;
    let all_wait = rig.wait_for_waiting(waiting).await?;
    report.check("they wait in the filter", all_wait);
    let request = marked("/quick").body(content(512)).bytes();
    let load = Load::start(rig.port(), 10, request, Duration::from_millis(10));
    let served = rig
        .wait(|| Ok(load.accepted() >= scale.choose(2_000, 200)))
        .await?;
    let still = rig.metric("sluice_waiting_requests")?;
    report.figure("slow ones that were still there", still);
    report.check("others are served meanwhile", served);
    let (quick, longest) = load.end().await?;
    report.figure(
        "longest wait of a quick client",
        format!("{} ms", longest.as_millis()),
    );

    let mut tally = Tally::default();
    while let Some(ended) = clients.join_next().await {
        tally.add(ended?);
    }
    report.figure("the slow ones", &tally);
    report.check(
        format!("every slow one is told 408 ({} of {slow})", tally.of(408)),
        tally.of(408) == slow,
    );
    tally.merge(quick);
    report.conclude(&rig, &tally).await
}

/// Sets Envoy's limits of `envoy/gateway.yaml`, but shorter.
fn shorten(config: &mut Value) -> Result<()> {
    set_limits(
        config,
        &[
            ("request_headers_timeout", "4s"),
            ("request_timeout", "8s"),
            ("stream_idle_timeout", "6s"),
        ],
    )
}

async fn client(port: u16, manner: Manner) -> Result<Ended> {
    let request = marked("/slow").body(content(BODY));
    let (bytes, head) = (request.bytes(), request.head().len());
    let at_once = match manner {
        Manner::DripsHead => 20,
        Manner::DripsBody | Manner::SilentInBody => head + 1,
    };
    let (begun, rest) = bytes.split_at(at_once);
    let mut connection = Connection::open(port).await?;
    connection.send(begun).await?;
    if matches!(manner, Manner::SilentInBody) {
        return Ok(connection.receive(false).await.into());
    }
    let start = Instant::now();
    for byte in rest.chunks(1) {
        if connection.is_answered() {
            return Ok(connection.receive(false).await.into());
        }
        if start.elapsed() > PATIENCE || connection.send(byte).await.is_err() {
            break;
        }
        sleep(DRIP).await;
    }
    Ok(connection.receive(false).await.into())
}
