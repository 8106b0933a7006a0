//! The Stream is stopped under load. Clients that call meanwhile are refused in time and told when
//! to come again, memory stays bounded, and all promised calls arrive.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::load::Load;
use super::{Report, Scale};
use crate::client::{content, marked};
use crate::rig::Rig;

/// The default of `publish.timeoutMs`.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);

/// The accept role's VM may become this large. Bodies wait in Envoy.
const VM_BYTES: u64 = 64 << 20;

const BODY: usize = 4_096;

pub(super) async fn run(scale: Scale) -> Result<Report> {
    let clients = scale.choose(1_000, 200);
    let stop = Duration::from_secs(scale.choose(60, 20));
    let before_and_after = scale.choose(5_000, 500);
    let mut rig = Rig::start("overload-stopped", |builder| builder).await?;
    let mut report = Report::default();
    report.figure("clients", clients);
    report.figure(
        "the Stream stands still for",
        format!("{} s", stop.as_secs()),
    );
    let request = marked("/stopped").body(content(BODY)).bytes();
    // Clients come again sooner than Retry-After says.
    let pause = Duration::from_secs(1);
    let load = Load::start(rig.port(), clients, request, pause);
    let warm = rig.wait(|| Ok(load.accepted() >= before_and_after)).await?;
    report.check("calls are accepted before", warm);
    let rejoined = rig.metric("sluice_group_sessions_total")?;

    rig.stop_stream()?;
    report.moments.push((rig.seconds(), "stopped"));
    let (accepted, refused) = (load.accepted(), load.refused());
    sleep(stop).await;
    let refusals = load.refused() - refused;
    report.figure("refused meanwhile", refusals);
    // Answers that the Stream gave before are counted a little later, because a connection may
    // still have them.
    report.figure("accepted meanwhile", load.accepted() - accepted);
    report.check("clients are refused meanwhile", refusals > 0);

    rig.resume_stream()?;
    report.moments.push((rig.seconds(), "goes on"));
    let (start, accepted) = (rig.seconds(), load.accepted());
    let again = rig.wait(|| Ok(load.accepted() > accepted)).await?;
    report.figure("first 202 after", format!("{:.1} s", rig.seconds() - start));
    let more = rig
        .wait(|| Ok(load.accepted() >= accepted + before_and_after))
        .await?;
    report.check("calls are accepted again", again && more);
    let (tally, longest) = load.end().await?;
    report.figure(
        "longest wait for an answer",
        format!("{:.1} s", longest.as_secs_f64()),
    );
    report.figure(
        "publish timeout",
        format!("{} s", PUBLISH_TIMEOUT.as_secs()),
    );
    let sessions = rig.metric("sluice_group_sessions_total")? - rejoined;
    report.figure("sessions that the drain made anew", sessions);
    let known = tally.of(202) + tally.of(503);
    report.check("every answer is 202 or 503", known == tally.requests());
    let vm = rig.peak(|sample| sample.accept_vm);
    report.check("the accept VM stays small", vm < VM_BYTES);
    report.conclude(&rig, &tally).await
}
