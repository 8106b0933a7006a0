//! Streams and their topics: made, shown to clients, deleted. The owner of the first slot does
//! this, and goes on with what it, or a former owner, has begun.
//!
//! A topic of a stream that is being created has no messages of clients, and its name was free when
//! the creation began. So an empty topic that is found then does no harm to anybody when the stream
//! takes it, and one with messages is somebody else's. A topic is only ever deleted for a stream
//! whose topic it is, by its id.

use std::sync::Weak;
use std::time::{Duration, Instant};

use stream_coordination::record::{Change, NewStream, Stage, StreamState};

use super::checks::Findings;
use super::front::KafkaFront;
use super::topic_log::{LogError, TopicPlan};
use super::translate::failed;
use crate::fronts::{CONTROL_SLOT, Fronts as _, Place};
use crate::service::id_of_named;
use crate::storage::StorageError;

const HOUR_MS: u64 = 3_600_000;
/// How often it is looked for what isn't finished.
const FINISH_PAUSE: Duration = Duration::from_secs(2);
/// How long a name stays taken after the first slot has a new owner, if the deletion began before:
/// longer than a call of the former owner can be under way, which would delete a topic that is
/// made anew.
const NAME_HELD: Duration = Duration::from_secs(15);
/// How long a topic that was made may be unknown to the broker that is asked for its id.
const SHOWN_TIMEOUT: Duration = Duration::from_secs(8);
const SHOWN_PAUSE: Duration = Duration::from_millis(100);

impl KafkaFront {
    /// Returns the plan of a stream's topic.
    fn plan(&self, stream: &NewStream) -> TopicPlan {
        TopicPlan {
            partitions: stream.partitions,
            retention_ms: Some(u64::from(stream.retention_hours).saturating_mul(HOUR_MS)),
            flushed: self.setting.flush,
        }
    }

    /// Returns whether the operator has named the stream: it takes a topic that is there.
    fn is_named(stream: &NewStream) -> bool {
        stream.id == id_of_named(&stream.name)
    }

    /// Refuses a client's stream whose topic is there already.
    pub(super) async fn check_free(&self, stream: &NewStream) -> Result<(), StorageError> {
        let topic = self.topic(&stream.name);
        let known = match Self::is_named(stream) {
            true => None,
            false => self.log.describe(&topic).await.map_err(failed)?,
        };
        match known {
            Some(_) => Err(StorageError::StreamExists),
            None => Ok(()),
        }
    }

    /// Makes the topic of a stream, or takes the one that is there, if it is fit and may be taken.
    /// Returns its id, if the cluster has ids.
    async fn make_topic(&self, stream: &NewStream) -> Result<Option<String>, LogError> {
        let topic = self.topic(&stream.name);
        match self.log.create_topic(&topic, self.plan(stream)).await {
            Ok(()) => {}
            Err(LogError::Exists) => self.check_taken(&topic, stream).await?,
            Err(error) => return Err(error),
        }
        let begun = Instant::now();
        loop {
            if let Some(id) = self.topic_id(&topic).await? {
                return Ok(Some(id).filter(|id| !id.is_empty()));
            }
            if begun.elapsed() >= SHOWN_TIMEOUT {
                let unknown = "no broker knows the new topic yet".to_owned();
                return Err(LogError::Unavailable(unknown));
            }
            tokio::time::sleep(SHOWN_PAUSE).await;
        }
    }

    async fn topic_id(&self, topic: &str) -> Result<Option<String>, LogError> {
        let asked = [topic.to_owned()];
        let mut ids = self.log.topic_ids(&asked).await?;
        Ok(ids.remove(topic))
    }

    /// Checks a topic that a stream takes.
    async fn check_taken(&self, topic: &str, stream: &NewStream) -> Result<(), LogError> {
        let facts = self.log.describe(topic).await?;
        let facts = facts.ok_or_else(|| LogError::Unavailable("it is gone again".to_owned()))?;
        let mut findings = Findings::default();
        let plan = self.plan(stream);
        let wanted = (plan.partitions, plan.retention_ms);
        findings.look(topic, &facts, wanted, &self.setting);
        if !Self::is_named(stream) {
            let bounds = self.log.bounds(topic, 0..facts.partitions, None).await?;
            let empty = bounds.values().filter(|extent| extent.next == 0);
            let is_empty = u32::try_from(empty.count()) == Ok(facts.partitions);
            if !is_empty || !findings.refused.is_empty() {
                return Err(LogError::Exists);
            }
        }
        for warning in &findings.warnings {
            tracing::warn!("{warning}");
        }
        match findings.refused.is_empty() {
            true => Ok(()),
            false => Err(LogError::Refused(findings.refused.join("; "))),
        }
    }

    /// Makes the topic of a stream and shows the stream to clients. If the topic can't be made, the
    /// stream is forgotten; if nobody knows, it is finished later.
    pub(super) async fn activate(&self, key: u64, stream: &NewStream) -> Result<(), StorageError> {
        let change = match self.make_topic(stream).await {
            Ok(topic_id) => Change::ActivateStream {
                stream: key,
                topic_id,
            },
            Err(error @ (LogError::Exists | LogError::Refused(_) | LogError::Denied(_))) => {
                let forget = Change::ForgetStream { stream: key };
                self.change(CONTROL_SLOT, forget).await?;
                return Err(failed(error));
            }
            Err(
                error @ (LogError::Unavailable(_)
                | LogError::Unknown(_)
                | LogError::NoTopic
                | LogError::OutOfRange),
            ) => return Err(failed(error)),
        };
        self.change(CONTROL_SLOT, change).await.map(drop)
    }

    /// Deletes the topic of a stream that is being deleted, and forgets the stream.
    pub(super) async fn delete_topic(&self, begun: &StreamState) -> Result<(), StorageError> {
        let topic = self.topic(&begun.stream.name);
        let found = self.topic_id(&topic).await.map_err(failed)?;
        let is_other = match (&found, &begun.topic_id) {
            (Some(found), Some(own)) => found != own,
            (Some(_) | None, _) => false,
        };
        if is_other {
            tracing::warn!(topic, "it isn't the stream's topic any more, and stays");
        } else if found.is_some() {
            self.check_lease()?;
            match self.log.delete_topic(&topic).await {
                Ok(()) | Err(LogError::NoTopic) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        if self.is_name_held(begun.key) {
            let held = "its name stays taken for some seconds".to_owned();
            return Err(StorageError::Unavailable(held));
        }
        let gone = Change::ForgetStream { stream: begun.key };
        self.change(CONTROL_SLOT, gone).await.map(drop)
    }

    /// Refuses what can't be taken back, unless nobody else can own the first slot at this moment.
    /// A machine that was suspended finds its lease over.
    fn check_lease(&self) -> Result<(), StorageError> {
        if let Place::Here { epoch } = self.control_place()
            && self.may_serve(CONTROL_SLOT, epoch)
        {
            return Ok(());
        }
        let moving = "this is moving to another front".to_owned();
        Err(StorageError::Unavailable(moving))
    }

    /// Returns whether a former owner may still be deleting a topic of this stream's name.
    fn is_name_held(&self, key: u64) -> bool {
        let control = self.control();
        !control.deleted_here.contains(&key)
            && control
                .taken_over_at
                .is_some_and(|at| at.elapsed() < NAME_HELD)
    }

    /// Ends creations and deletions of streams that somebody has begun, as long as the front is
    /// there.
    pub(super) async fn keep_finishing(front: Weak<Self>) {
        loop {
            let Some(this) = front.upgrade() else { return };
            if matches!(this.control_place(), Place::Here { .. }) {
                this.finish_streams().await;
            }
            drop(this);
            tokio::time::sleep(FINISH_PAUSE).await;
        }
    }

    async fn finish_streams(&self) {
        let unfinished = self.coordination.with_state(CONTROL_SLOT, |state| {
            let begun = state.streams().filter(|one| one.stage != Stage::Active);
            begun.map(|one| one.key).collect::<Vec<_>>()
        });
        for key in unfinished.unwrap_or_default() {
            let _making = self.making.lock().await;
            // It may have been finished meanwhile.
            let begun = self
                .coordination
                .with_state(CONTROL_SLOT, |state| state.stream(key).cloned());
            let Some(begun) = begun.flatten() else {
                continue;
            };
            let finished = match begun.stage {
                Stage::Active => Ok(()),
                Stage::Creating => self.activate(key, &begun.stream).await,
                Stage::Deleting => self.delete_topic(&begun).await,
            };
            if let Err(error) = finished {
                tracing::info!(stream = begun.stream.name, "it isn't finished yet: {error}");
            }
        }
    }

    /// Returns whether a stream of this name is being created or deleted.
    pub(super) fn is_unfinished(&self, name: &str) -> bool {
        let look = |state: &stream_coordination::state::SlotState| {
            let mut streams = state.streams();
            streams.any(|one| one.stream.name == name && one.stage != Stage::Active)
        };
        self.coordination
            .with_state(CONTROL_SLOT, look)
            .unwrap_or(false)
    }
}
