//! A set under load: Envoy with the shipped filter, the stream server, a target, and a sampler.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use local_gateway::render::{Target as Function, at, listener};
use local_gateway::{Builder, LocalSet, Part};
use serde_json::{Value, json};
use testkit::http1::asynchronous::Connection;
use tokio::time::sleep;

use crate::client::{Ended, content, marked};
use crate::sample::{Of, Sample, peak};
use crate::sampler::Sampler;
use crate::tally::Tally;
use crate::target::Target;
use crate::verdict::{Aftermath, suspicious};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Longer than anything that is waited for, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long no call arrives before missing ones count as lost.
const ARRIVAL_PATIENCE: Duration = Duration::from_secs(60);

/// Gauges that have to be zero again.
const GAUGES: [&str; 4] = [
    "sluice_waiting_requests",
    "sluice_buffered_calls",
    "sluice_calls_in_flight",
    "sluice_calls_held",
];

/// The running set.
pub(crate) struct Rig {
    /// Envoy and the stream server.
    pub(crate) set: LocalSet,
    /// The target.
    pub(crate) target: Target,
    sampler: Sampler,
}

impl Rig {
    /// Starts a set with one Envoy worker, and has one call delivered.
    pub(crate) async fn start(name: &str, change: impl FnOnce(Builder) -> Builder) -> Result<Self> {
        let target = Target::start().await?;
        let builder = LocalSet::builder()
            .name(name)
            .target(Function::local(target.port()))
            .stats_flush_interval(Duration::from_secs(1))
            .log_level("info");
        let mut set = change(builder).start()?;
        set.wait_until_draining()?;
        let sampler = Sampler::start(&set);
        let rig = Self {
            set,
            target,
            sampler,
        };
        if !rig.serves().await? {
            bail!("the gateway accepts nothing before the scenario");
        }
        Ok(rig)
    }

    /// Returns the gateway's port.
    pub(crate) fn port(&self) -> u16 {
        self.set.ports().gateway
    }

    /// Returns a counter or gauge of the filter; zero before anything was counted.
    pub(crate) fn metric(&self, name: &str) -> Result<u64> {
        self.stat(&format!("wasmcustom.{name}"))
    }

    /// Returns a counter or gauge of Envoy.
    pub(crate) fn stat(&self, name: &str) -> Result<u64> {
        Ok(self
            .set
            .admin_stats()?
            .get(name)
            .copied()
            .unwrap_or_default())
    }

    /// Waits until a condition holds. Returns false if it doesn't.
    pub(crate) async fn wait(&self, mut holds: impl FnMut() -> Result<bool>) -> Result<bool> {
        let start = Instant::now();
        while !holds()? {
            provision::cancel::check()?;
            if start.elapsed() > PATIENCE {
                return Ok(false);
            }
            sleep(POLL).await;
        }
        Ok(true)
    }

    /// Waits until so many requests wait in the filter. Returns false if they never do.
    pub(crate) async fn wait_for_waiting(&self, count: u64) -> Result<bool> {
        self.wait(|| Ok(self.metric("sluice_waiting_requests")? >= count))
            .await
    }

    /// Stops the stream server in the middle of its work.
    pub(crate) fn stop_stream(&mut self) -> Result<()> {
        self.set.pause(Part::StreamServer)
    }

    /// Lets the stream server go on.
    pub(crate) fn resume_stream(&mut self) -> Result<()> {
        self.set.resume(Part::StreamServer)
    }

    /// Returns the seconds since the start.
    pub(crate) fn seconds(&self) -> f64 {
        self.sampler.seconds()
    }

    /// Returns the curves so far.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.sampler.samples()
    }

    /// Returns the largest value of a curve so far.
    pub(crate) fn peak(&self, of: Of) -> u64 {
        peak(&self.samples(), of)
    }

    /// Waits until everything has settled. Returns what is left.
    pub(crate) async fn settle(&self, tally: &Tally) -> Result<Aftermath> {
        self.wait_for_arrivals(&tally.promised).await?;
        let _zero = self.wait(|| Ok(self.gauges()?.is_empty())).await?;
        let serves = self.serves().await?;
        let _zero = self.wait(|| Ok(self.gauges()?.is_empty())).await?;
        let stats = self.set.admin_stats()?;
        let reloads = stats.iter().filter(|(name, _)| {
            name.ends_with(".vm_reload_success") || name.ends_with(".vm_reload_failure")
        });
        Ok(Aftermath {
            missing: self.target.missing(&tally.promised),
            gauges: self.gauges()?,
            reloads: reloads.map(|(_, count)| count).sum(),
            log: suspicious(&self.set.log(Part::Envoy)),
            serves,
        })
    }

    /// Waits until all of these calls have arrived, or none has for a long time.
    async fn wait_for_arrivals(&self, calls: &[String]) -> Result<()> {
        let (mut missing, mut since) = (usize::MAX, Instant::now());
        while missing > 0 && since.elapsed() < ARRIVAL_PATIENCE {
            provision::cancel::check()?;
            let now = self.target.missing(calls);
            if now < missing {
                (missing, since) = (now, Instant::now());
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    fn gauges(&self) -> Result<Vec<(String, u64)>> {
        let stats = self.set.admin_stats()?;
        let gauges = GAUGES.iter().filter_map(|gauge| {
            let value = stats.get(&format!("wasmcustom.{gauge}")).copied()?;
            (value != 0).then(|| ((*gauge).to_owned(), value))
        });
        Ok(gauges.collect())
    }

    /// Returns whether a fresh call is accepted and arrives.
    async fn serves(&self) -> Result<bool> {
        let mut connection = Connection::open(self.port())
            .await
            .context("the gateway is gone")?;
        let ended: Ended = connection
            .exchange(&marked("/fresh").body(content(4)).bytes())
            .await
            .into();
        let Ended::Answered(answer) = ended else {
            return Ok(false);
        };
        let Some(call) = answer.call_id.filter(|_| answer.status == 202) else {
            return Ok(false);
        };
        let call = [call];
        self.wait(|| Ok(self.target.missing(&call) == 0)).await
    }
}

/// Sets time limits of the gateway's listener. It is an error if its configuration has none.
pub(crate) fn set_limits(config: &mut Value, limits: &[(&str, &str)]) -> Result<()> {
    let manager = manager(config)?;
    for (limit, seconds) in limits {
        let value = manager.get_mut(*limit);
        *value.with_context(|| format!("the gateway has no {limit}"))? = json!(seconds);
    }
    Ok(())
}

/// Sets longer limits, because on a busy machine clients need time to be many at once, and to read
/// why they were refused before the connection is closed.
pub(crate) fn without_haste(config: &mut Value) -> Result<()> {
    let limits = [("request_timeout", "300s"), ("stream_idle_timeout", "300s")];
    set_limits(config, &limits)?;
    let manager = manager(config)?.as_object_mut().context("no mapping")?;
    manager.insert("delayed_close_timeout".to_owned(), json!("60s"));
    Ok(())
}

fn manager(config: &mut Value) -> Result<&mut Value> {
    const MANAGER: &str = "/filter_chains/0/filters/0/typed_config";
    at(listener(config, "gateway")?, MANAGER)
}
