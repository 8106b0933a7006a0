//! Topics that somebody has deleted and made anew by Kafka's tools. Offsets of such a topic mean
//! other messages than those that groups have committed, so nobody reads or writes it any more.

use std::collections::BTreeSet;
use std::sync::Weak;
use std::time::Duration;

use stream_coordination::record::{Stage, StreamState};

use super::front::KafkaFront;
use super::topic_log::LogError;
use crate::fronts::CONTROL_SLOT;
use crate::storage::{StorageError, Stream};

/// How often the ids of all topics are asked for: one question.
const PAUSE: Duration = Duration::from_secs(10);

impl KafkaFront {
    /// Returns the topic of a stream.
    pub(super) fn topic_of(&self, stream: &Stream) -> Result<String, StorageError> {
        if self.unfit.keys().contains(&stream.key) {
            return Err(StorageError::Unavailable(problem(&stream.name)));
        }
        Ok(self.topic(&stream.name))
    }

    /// Looks whether the topics of all streams are those that were made for them, or were taken.
    /// Returns the problems that weren't known before.
    pub(super) async fn look_for_remade(&self) -> Result<Vec<String>, LogError> {
        let own = self.coordination.with_state(CONTROL_SLOT, |state| {
            let id = |one: &StreamState| {
                let is_active = one.stage == Stage::Active;
                let id = one.topic_id.clone().filter(|_| is_active)?;
                Some((one.key, one.stream.name.clone(), id))
            };
            state.streams().filter_map(id).collect::<Vec<_>>()
        });
        let own = own.unwrap_or_default();
        let topics: Vec<String> = own.iter().map(|(_, name, _)| self.topic(name)).collect();
        let found = self.log.topic_ids(&topics).await?;
        let is_other = |(name, id): (&str, &str)| {
            let found = found.get(&self.topic(name));
            found.is_some_and(|found| !found.is_empty() && found != id)
        };
        let remade = own.iter().filter(|(_, name, id)| is_other((name, id)));
        let mut known = self.unfit.keys();
        let (mut keys, mut problems) = (BTreeSet::new(), Vec::new());
        for (key, name, _) in remade {
            keys.insert(*key);
            if !known.contains(key) {
                problems.push(problem(name));
            }
        }
        *known = keys;
        Ok(problems)
    }

    /// Looks again and again, as long as the front is there.
    pub(super) async fn keep_looking(front: Weak<Self>) {
        loop {
            tokio::time::sleep(PAUSE).await;
            let Some(this) = front.upgrade() else { return };
            match this.look_for_remade().await {
                Ok(problems) => problems.iter().for_each(|one| tracing::error!("{one}")),
                Err(error) => tracing::debug!("the ids of topics aren't known: {error}"),
            }
            this.drop_gone();
        }
    }
}

fn problem(stream: &str) -> String {
    format!(
        "the topic of the stream {stream} was deleted and made anew by somebody else, and its \
         offsets mean other messages. Delete the stream, and create it again"
    )
}
