//! Streams and their topics: made, shown to clients, deleted. The owner of the first slot does
//! this, and goes on with what a former owner has begun.

use std::sync::Arc;

use stream_coordination::record::{Change, NewStream, Stage};

use super::checks::Findings;
use super::front::KafkaFront;
use super::topic_log::{LogError, TopicPlan};
use super::translate::failed;
use crate::fronts::CONTROL_SLOT;
use crate::service::id_of_named;
use crate::storage::StorageError;

const HOUR_MS: u64 = 3_600_000;

impl KafkaFront {
    /// Returns the plan of a stream's topic.
    fn plan(&self, stream: &NewStream) -> TopicPlan {
        TopicPlan {
            partitions: stream.partitions,
            retention_ms: Some(u64::from(stream.retention_hours).saturating_mul(HOUR_MS)),
            flushed: self.setting.flush,
        }
    }

    /// Makes the topic of a stream. A stream that the operator has named takes a topic that is
    /// there, if it is fit; a client's request does so only if it was begun before.
    async fn make_topic(&self, stream: &NewStream, is_again: bool) -> Result<(), LogError> {
        let topic = self.topic(&stream.name);
        let created = self.log.create_topic(&topic, self.plan(stream)).await;
        if created != Err(LogError::Exists) {
            return created;
        }
        let is_named = stream.id == id_of_named(&stream.name);
        let facts = self.log.describe(&topic).await?;
        let Some(facts) = facts.filter(|_| is_named || is_again) else {
            return Err(LogError::Exists);
        };
        let mut findings = Findings::default();
        let plan = self.plan(stream);
        let wanted = (plan.partitions, plan.retention_ms);
        findings.look(&topic, &facts, wanted, &self.setting);
        for warning in &findings.warnings {
            tracing::warn!("{warning}");
        }
        match findings.refused.is_empty() {
            true => Ok(()),
            false => Err(LogError::Refused(findings.refused.join("; "))),
        }
    }

    /// Ends what a former owner has begun: creations and deletions of streams.
    pub(super) async fn finish_streams(self: Arc<Self>) {
        let unfinished = self.coordination.with_state(CONTROL_SLOT, |state| {
            let begun = state.streams().filter(|one| one.stage != Stage::Active);
            begun.cloned().collect::<Vec<_>>()
        });
        for begun in unfinished.unwrap_or_default() {
            let finished = match begun.stage {
                Stage::Active => Ok(()),
                Stage::Creating => self.activate(begun.key, &begun.stream, true).await,
                Stage::Deleting => self.delete_topic(begun.key, &begun.stream.name).await,
            };
            if let Err(error) = finished {
                tracing::warn!(stream = begun.stream.name, "it isn't finished: {error}");
            }
        }
    }

    /// Makes the topic of a stream and shows the stream to clients, or forgets it.
    pub(super) async fn activate(
        &self,
        key: u64,
        stream: &NewStream,
        is_again: bool,
    ) -> Result<(), StorageError> {
        if let Err(error) = self.make_topic(stream, is_again).await {
            self.change(CONTROL_SLOT, Change::DeleteStream { stream: key })
                .await?;
            self.change(CONTROL_SLOT, Change::ForgetStream { stream: key })
                .await?;
            return Err(failed(error));
        }
        let activated = Change::ActivateStream {
            stream: key,
            topic_id: None,
        };
        self.change(CONTROL_SLOT, activated).await.map(drop)
    }

    pub(super) async fn delete_topic(&self, key: u64, name: &str) -> Result<(), StorageError> {
        match self.log.delete_topic(&self.topic(name)).await {
            Ok(()) | Err(LogError::NoTopic) => {}
            Err(error) => return Err(failed(error)),
        }
        let gone = Change::ForgetStream { stream: key };
        self.change(CONTROL_SLOT, gone).await.map(drop)
    }
}
