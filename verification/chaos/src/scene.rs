//! A scene after the verdict: a topic has fewer replicas than it must have. Requests are refused at
//! once with `Retry-After`, and are accepted again when the broker is back, by themselves.
//!
//! Three brokers that are controllers too lose their quorum with the second one. So the topics of
//! this scene need all three, and one broker dies.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use local_gateway::LocalSet;
use local_gateway::http;
use local_gateway::render::Target as Origin;
use provision::cancel;

use crate::gateway;
use crate::history::{Broker, Engine, Millis};
use crate::stage::Stage;

/// The broker that dies.
const BROKER: Broker = 1;

/// How long each step may take, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// For how long the broker stays dead: longer than the brokers need to give it up.
const WATCHED: Duration = Duration::from_secs(15);

/// What the scene has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    /// From the broker's death to the first refusal.
    pub refused_after: Millis,
    /// How many requests were refused until the broker was started again.
    pub refusals: usize,
    /// The median time until a refusal. The first ones wait until the brokers have given the dead
    /// one up; the later ones come at once.
    pub median: Millis,
    /// From the broker's start to the first accepted request.
    pub accepted_after: Millis,
}

/// What a gateway has answered.
struct Told {
    status: u16,
    is_refusal: bool,
}

/// Plays it.
///
/// # Errors
/// When something else happens than it must.
pub fn few_replicas(stage: &mut Stage, folder: &Path) -> Result<Scene> {
    let target = stage.target_port();
    let kafka = stage.kafka().context("no Kafka")?;
    let more = ["--topic-prefix", "few.", "--min-insync-replicas", "3"];
    let front = kafka.one_more("front-few", &more)?;
    let mut set = LocalSet::builder()
        .folder(&folder.join("gateway-few"))
        .target(Origin::local(target))
        .accept_patch(gateway::accept_settings())
        .drain_patch(gateway::drain_settings(Engine::Kafka))
        .shared_stream(front.port())
        .start()?;
    set.wait_until_draining()?;
    let url = format!("{}/scene", set.gateway_url());
    until("accepted", || Ok(ask(&url)?.status == 202))?;
    kafka.cluster().kill(BROKER)?;
    let dead = Instant::now();
    until("refused with Retry-After", || refused(&url))?;
    let refused_after = millis(dead.elapsed());
    let mut refusals = Vec::new();
    while dead.elapsed() < WATCHED {
        let asked = Instant::now();
        if !refused(&url)? {
            bail!("too few replicas: refused once, and then no more");
        }
        refusals.push(millis(asked.elapsed()));
        std::thread::sleep(POLL_INTERVAL);
    }
    kafka.cluster().restart(BROKER)?;
    let back = Instant::now();
    until("accepted again", || Ok(ask(&url)?.status == 202))?;
    Ok(Scene {
        refused_after,
        refusals: refusals.len(),
        median: median(refusals),
        accepted_after: millis(back.elapsed()),
    })
}

/// Returns whether a request is refused as it must be. Nobody may accept it.
fn refused(url: &str) -> Result<bool> {
    let told = ask(url)?;
    if told.status == 202 {
        bail!("too few replicas, and a request was accepted");
    }
    Ok(told.is_refusal)
}

fn ask(url: &str) -> Result<Told> {
    let answer = http::post(url, &[("prefer", "respond-async")], "scene")?;
    let is_refusal = answer.status == 503 && answer.header("retry-after").is_some();
    Ok(Told {
        status: answer.status,
        is_refusal,
    })
}

fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < DEADLINE {
        cancel::check()?;
        if holds()? {
            return Ok(());
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    bail!("too few replicas: no request was {what}")
}

fn median(mut times: Vec<Millis>) -> Millis {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
