//! Targets whose answers are much too long: 30 MiB, and without end.

use anyhow::Result;
use testkit::http1::asynchronous::Connection;

use super::{Report, Scale};
use crate::client::{content, marked};
use crate::rig::Rig;
use crate::tally::Tally;
use crate::target::{ENDLESS, LONG};

/// Memory that one attempt may take: what is kept of an answer, twice while it is handed on; one
/// read from its target's connection; and what was read before Envoy ended that.
const ATTEMPT_BYTES: u64 = 2 * 65_536 + 2 * 131_072;

/// `limits.inFlight`: how many attempts one target gets at a time.
const AT_A_TIME: u64 = 64;

pub(super) async fn run(scale: Scale) -> Result<Report> {
    let rig = Rig::start("overload-answers", |builder| builder).await?;
    let mut report = Report::default();
    let mut tally = Tally::default();
    call(&rig, "/short", 100, &mut tally).await?;
    rig.settle(&tally).await?;
    let before = rig.stat("server.memory_allocated")?;
    for (moment, path, count) in [
        ("30 MiB", LONG, 6),
        ("30 MiB, many", LONG, scale.choose(2_000, 200)),
        ("endless", ENDLESS, scale.choose(2_000, 200)),
    ] {
        report.moments.push((rig.seconds(), moment));
        report.figure("calls", format!("{count}, answered with {moment}"));
        call(&rig, path, count, &mut tally).await?;
        rig.settle(&tally).await?;
    }
    let delivered = rig.metric("sluice_delivered_total")?;
    let retried = rig.metric("sluice_retried_total")?;
    report.check(
        format!("each was made once ({retried} again)"),
        retried == 0,
    );
    report.figure("delivered", delivered);
    let mut report = report.conclude(&rig, &tally).await?;
    report.check_allocated(&rig, before, AT_A_TIME * ATTEMPT_BYTES);
    Ok(report)
}

/// Has calls accepted, one after the other.
async fn call(rig: &Rig, path: &str, count: usize, tally: &mut Tally) -> Result<()> {
    let request = marked(path).body(content(16)).bytes();
    let mut connection = Connection::open(rig.port()).await?;
    for _ in 0..count {
        tally.add(connection.exchange(&request).await.into());
    }
    Ok(())
}
