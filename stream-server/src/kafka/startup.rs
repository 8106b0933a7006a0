//! How a front starts: its topics, its coordination, the secret that all fronts share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use stream_coordination::config::Config;
use stream_coordination::record::{self, Change, FrontId};
use tokio::net::TcpListener;

use super::checks::Findings;
use super::client::{INTERNAL, KafkaLog, Unconnected};
use super::coordination::Coordination;
use super::error::{KafkaError, cluster, of_topic};
use super::front::KafkaFront;
use super::peers::{Listening, Peers};
use super::seal::Seal;
use super::topic_log::{InternalTopics, Log, LogError, TopicFacts, TopicPlan};
use super::upkeep;
use crate::fronts::{CONTROL_SLOT, EnsureStream, Fronts as _, NotHanded, Place};
use crate::http::App;
use crate::service::Service;
use crate::settings::{KafkaSetting, StreamSetting};

/// How long a front waits for its cluster when it starts.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The pause between two tries.
const AGAIN: Duration = Duration::from_millis(300);
/// Milliseconds of an hour.
const HOUR_MS: u64 = 3_600_000;
/// Bytes of the shared secret at least.
const SECRET_BYTES_MIN: usize = 32;
/// The document that keeps the shared secret.
const SECRET: (&str, &str) = ("secret", "fronts");
/// The document that keeps the number of slots: groups stay where they are, whatever becomes of the
/// topic.
const SLOTS: (&str, &str) = ("slots", "fronts");

/// What a front needs that is bound before it starts.
pub(crate) struct Internal {
    listener: TcpListener,
    seal: Seal,
}

impl Internal {
    /// Serves other fronts with these operations.
    pub(crate) fn serve(self, app: Arc<App>) -> Listening {
        Listening::start(self.listener, app, self.seal)
    }
}

impl KafkaFront {
    /// Connects to a cluster and takes part as one of its fronts. When this returns, the streams
    /// are known.
    ///
    /// # Errors
    /// [`KafkaError`] says what to change.
    pub(crate) async fn start(setting: KafkaSetting) -> Result<(Arc<Self>, Internal), KafkaError> {
        let setting = Arc::new(setting);
        let log = KafkaLog::new(&setting).map_err(|error| cluster(&setting, &error))?;
        let connected = log.connect(START_TIMEOUT).await;
        connected.map_err(|Unconnected { problem, change }| KafkaError::Refused {
            brokers: setting.brokers.clone(),
            problem,
            change,
        })?;
        Self::start_on(setting, Arc::new(log)).await
    }

    pub(super) async fn start_on(
        setting: Arc<KafkaSetting>,
        log: Arc<dyn Log>,
    ) -> Result<(Arc<Self>, Internal), KafkaError> {
        let own_secret = setting.secret_file.as_ref().map(read_secret).transpose()?;
        let address = setting.internal_listen;
        if own_secret.is_none() && !address.ip().is_loopback() {
            return Err(KafkaError::Remote(address));
        }
        if setting.internal_url.is_none() && address.ip().is_unspecified() {
            return Err(KafkaError::Unreachable(address));
        }
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| KafkaError::Listen(address, error))?;
        let bound = listener.local_addr();
        let bound = bound.map_err(|error| KafkaError::Listen(address, error))?;
        let url = setting.internal_url.clone();
        let url = url.unwrap_or_else(|| format!("http://{bound}"));
        let topics = InternalTopics {
            members: format!("{}{INTERNAL}members", setting.topic_prefix),
            slots: format!("{}{INTERNAL}slots", setting.topic_prefix),
        };
        let partitions = make_internal_topics(&*log, &setting, &topics).await?;
        let front = FrontId(format!("{:032x}", fastrand::u128(..)));
        let config = Config::new(front, url, partitions);
        let started = Coordination::start(Arc::clone(&log), topics.clone(), config);
        let (coordination, running, events) = started.map_err(|error| cluster(&setting, &error))?;
        let front = Self::new(setting, log, topics, (coordination, running));
        let front = Arc::new(front);
        drop(tokio::spawn(Arc::clone(&front).follow(events)));
        drop(tokio::spawn(Self::keep_finishing(Arc::downgrade(&front))));
        drop(tokio::spawn(Self::keep_looking(Arc::downgrade(&front))));
        let (secret, slots) = front.await_shared(own_secret, partitions).await?;
        // All are set once.
        let _ = front
            .slots
            .set(kept_slots(&front.topics.slots, slots, partitions)?);
        let prefix = front.setting.topic_prefix.as_bytes();
        let _ = front.secret.set(derived(&secret, b"cursors", prefix));
        let seal = Seal::new(&derived(&secret, b"fronts", prefix));
        let _ = front.peers.set(Peers::new(seal.clone()));
        front.check_topics().await?;
        Ok((front, Internal { listener, seal }))
    }

    /// Waits until the streams are known, and returns what all fronts share: the secret, and the
    /// number of slots. The first owner of the first slot makes them up, unless the operator has
    /// given a secret.
    async fn await_shared(
        &self,
        own: Option<Vec<u8>>,
        partitions: u32,
    ) -> Result<(Vec<u8>, u32), KafkaError> {
        let ready = self
            .coordination
            .wait_until(START_TIMEOUT, |one| one.is_ready());
        if !ready.await {
            return Err(self.late("its internal topics can't be read"));
        }
        let begun = std::time::Instant::now();
        while begun.elapsed() < START_TIMEOUT {
            let secret = own.clone().or_else(|| self.shared_secret());
            let slots = self.shared(SLOTS).and_then(|json| json.parse().ok());
            if let (Some(secret), Some(slots)) = (&secret, slots) {
                return Ok((secret.clone(), slots));
            }
            if let Some(error) = self.coordination.denial() {
                return Err(of_topic(&self.setting, &self.topics.slots, &error));
            }
            if matches!(self.control_place(), Place::Here { .. }) {
                if secret.is_none() {
                    let secret: [u128; 4] = std::array::from_fn(|_| random());
                    let bytes: Vec<u8> = secret.iter().flat_map(|one| one.to_be_bytes()).collect();
                    self.share(SECRET, format!("\"{}\"", STANDARD.encode(bytes)))
                        .await;
                }
                if slots.is_none() {
                    self.share(SLOTS, partitions.to_string()).await;
                }
            }
            self.coordination.wait_for_news(AGAIN).await;
        }
        Err(self.late("nobody serves its control plane"))
    }

    /// Keeps something for all fronts. It is seen by the one that asks, if it has worked.
    async fn share(&self, (kind, id): (&str, &str), json: String) {
        let (kind, id) = (kind.to_owned(), id.to_owned());
        let put = Change::PutDocument(record::Document { kind, id, json });
        if let Err(error) = self.change(CONTROL_SLOT, put).await {
            tracing::debug!("what all fronts share isn't kept yet: {error}");
        }
    }

    fn shared(&self, name: (&str, &str)) -> Option<String> {
        self.coordination.with_state(CONTROL_SLOT, |state| {
            let mut documents = state.documents();
            let found = documents.find(|one| (one.kind.as_str(), one.id.as_str()) == name);
            found.map(|one| one.json.clone())
        })?
    }

    fn shared_secret(&self) -> Option<Vec<u8>> {
        let json = self.shared(SECRET)?;
        let secret = STANDARD.decode(json.trim_matches('"')).ok()?;
        (secret.len() >= SECRET_BYTES_MIN).then_some(secret)
    }

    fn late(&self, problem: &str) -> KafkaError {
        KafkaError::Late(START_TIMEOUT.as_secs(), problem.to_owned())
    }

    /// Looks at the topics of all streams.
    async fn check_topics(&self) -> Result<(), KafkaError> {
        let mut findings = Findings::default();
        let streams = self.listed().map(|listed| listed.all.clone());
        for stream in streams.unwrap_or_default() {
            let topic = self.topic(&stream.name);
            match self.log.describe(&topic).await {
                Ok(Some(facts)) => {
                    let kept_ms = u64::from(stream.retention_hours).saturating_mul(HOUR_MS);
                    let wanted = (stream.partitions, Some(kept_ms));
                    findings.look(&topic, &facts, wanted, &self.setting);
                }
                Ok(None) => findings.warnings.push(format!(
                    "{topic}: is gone, and the stream {} can't be used. Restore it, or delete the \
                     stream",
                    stream.name
                )),
                Err(error) => return Err(of_topic(&self.setting, &topic, &error)),
            }
        }
        let remade = self.look_for_remade().await;
        let remade = remade.map_err(|error| cluster(&self.setting, &error))?;
        findings.warnings.extend(remade);
        told(findings)
    }

    /// Has a service serve what this front owns, from now on.
    pub(crate) async fn attach(self: &Arc<Self>, service: &Arc<Service>) {
        self.load_all(service).await;
        drop(tokio::spawn(upkeep::run(
            Arc::clone(self),
            Arc::clone(service),
        )));
    }

    /// Has the front that serves the control plane create the streams which the operator has named
    /// and which aren't there, if it isn't this one.
    ///
    /// # Errors
    /// When no front serves the control plane for a minute.
    pub(crate) async fn ensure_elsewhere(
        &self,
        streams: &[StreamSetting],
    ) -> Result<(), KafkaError> {
        let begun = std::time::Instant::now();
        while begun.elapsed() < START_TIMEOUT {
            match self.place(CONTROL_SLOT) {
                Place::Here { .. } => return Ok(()),
                Place::Elsewhere { epoch, url } => {
                    if self.hand_streams(streams, &url, epoch).await.is_ok() {
                        return Ok(());
                    }
                }
                Place::Nowhere => {}
            }
            self.coordination.wait_for_news(AGAIN).await;
        }
        Err(self.late("nobody serves its control plane"))
    }

    async fn hand_streams(
        &self,
        streams: &[StreamSetting],
        url: &str,
        epoch: u64,
    ) -> Result<(), NotHanded> {
        for stream in streams {
            let ensure = EnsureStream {
                name: stream.name.clone(),
                partitions: stream.partitions.unwrap_or(1),
                retention_hours: stream.retention_hours,
            };
            let request = ensure.handed();
            let back = self.hand(url, CONTROL_SLOT, epoch, &request).await?;
            if back.status != 200 {
                let said = String::from_utf8_lossy(&back.body).into_owned();
                tracing::warn!(
                    stream = stream.name,
                    "another front can't create it: {said}"
                );
                return Err(NotHanded::Lost(said));
            }
        }
        // What was created there is known here a moment later.
        let caught_up = self
            .coordination
            .catch_up(CONTROL_SLOT, START_TIMEOUT)
            .await;
        caught_up.map_err(|error| NotHanded::Lost(error.to_string()))
    }
}

fn random() -> u128 {
    let mut bytes = [0; 16];
    // Without the system's source of randomness, what is left has to do: 128 bits of a seed that
    // is different in every process.
    match getrandom::fill(&mut bytes) {
        Ok(()) => u128::from_be_bytes(bytes),
        Err(_) => fastrand::u128(..),
    }
}

fn told(findings: Findings) -> Result<(), KafkaError> {
    for warning in &findings.warnings {
        tracing::warn!("{warning}");
    }
    match findings.refused.is_empty() {
        true => Ok(()),
        false => Err(KafkaError::Topics(findings.refused)),
    }
}

fn read_secret(file: &PathBuf) -> Result<Vec<u8>, KafkaError> {
    let wrong = |problem: String| KafkaError::Secret(file.clone(), problem);
    let secret = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    match secret.len() {
        0..SECRET_BYTES_MIN => Err(wrong(format!("it has {} bytes", secret.len()))),
        _ => Ok(secret),
    }
}

/// Returns the number of slots that groups lie in, if the topic still has them.
fn kept_slots(topic: &str, kept: u32, partitions: u32) -> Result<u32, KafkaError> {
    if partitions < kept {
        return Err(KafkaError::Topics(vec![format!(
            "{topic}: has {partitions} partitions, and groups lie in {kept}. Restore the topic"
        )]));
    }
    if partitions > kept {
        tracing::warn!(
            topic,
            "has {partitions} partitions, and groups lie in {kept}: the others stay empty"
        );
    }
    Ok(kept)
}

/// Returns a key for one use of the secret by one service. Several services may have the same file.
fn derived(secret: &[u8], usage: &[u8], prefix: &[u8]) -> [u8; 64] {
    let mut key = [0; 64];
    for (part, half) in key.chunks_mut(32).enumerate() {
        let mac = Hmac::<Sha256>::new_from_slice(secret);
        // HMAC takes a key of any length.
        let Ok(mac) = mac else { continue };
        let mac = mac.chain_update(usage).chain_update(part.to_be_bytes());
        let mac = mac.chain_update(prefix);
        half.copy_from_slice(&mac.finalize().into_bytes());
    }
    key
}

/// Makes the internal topics where they are missing, and looks at them. Returns the number of
/// slots. A cluster that just starts gets some time.
async fn make_internal_topics(
    log: &dyn Log,
    setting: &KafkaSetting,
    topics: &InternalTopics,
) -> Result<u32, KafkaError> {
    let (mut findings, mut slots) = (Findings::default(), 0);
    for (topic, partitions, retention_ms) in [
        // Nobody needs to know who lived an hour ago.
        (&topics.members, 1, Some(3_600_000)),
        (&topics.slots, u32::from(setting.slots), None),
    ] {
        let plan = TopicPlan {
            partitions,
            retention_ms,
            flushed: true,
        };
        let begun = std::time::Instant::now();
        let facts = loop {
            match described(log, topic, plan).await {
                Ok(facts) => break facts,
                Err(
                    LogError::Unavailable(_)
                    | LogError::Unknown(_)
                    | LogError::Exists
                    | LogError::NoTopic,
                ) if begun.elapsed() < START_TIMEOUT => {
                    tokio::time::sleep(AGAIN).await;
                }
                Err(error) => return Err(of_topic(setting, topic, &error)),
            }
        };
        // It may have been created with another number of partitions.
        findings.look(topic, &facts, (facts.partitions, retention_ms), setting);
        findings.look_at_internal(topic, &facts);
        slots = facts.partitions;
    }
    told(findings).map(|()| slots)
}

/// Returns what a topic is like, after making it if it is missing.
async fn described(log: &dyn Log, topic: &str, plan: TopicPlan) -> Result<TopicFacts, LogError> {
    if let Some(facts) = log.describe(topic).await? {
        return Ok(facts);
    }
    log.create_topic(topic, plan).await?;
    log.describe(topic).await?.ok_or(LogError::NoTopic)
}
