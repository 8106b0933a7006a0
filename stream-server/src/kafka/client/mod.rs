//! A client of Apache Kafka, on librdkafka.
//!
//! A broker works on one request of a connection at a time, and librdkafka has one connection to
//! each broker for each of its clients. So whatever may wait has a client of its own: a producer
//! for messages and one for internal topics, some consumers for reads, one consumer for each thing
//! that is followed, one for questions.

mod config;
mod errors;
mod following;
mod offsets;
mod producing;
mod reading;
mod short;
mod stepping;
mod told;
mod topic_ids;
mod topics;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer as _;

use super::topic_log::{
    Done, Fetched, Following, Log, LogError, NewRecord, Produced, TopicFacts, TopicPlan, Wanted,
};
use crate::partition_log::Extent;
use crate::settings::KafkaSetting;
use crate::time::TimeMs;
use errors::failed;
use offsets::Offsets;
use producing::Producing;
use reading::Readers;
pub(super) use told::Unconnected;
use told::{Asking, Told};
use topics::Admin;

/// Longest time that a question or a read waits for a broker. A stopped broker answers nothing, and
/// another one may lead after some seconds.
const PATIENCE: Duration = Duration::from_secs(8);

/// What the names of internal topics begin with, after the prefix of all topics.
pub(super) const INTERNAL: &str = "__sluice.";
/// How often it is looked why nobody can be asked.
const CONNECT_LOOK: Duration = Duration::from_millis(100);
/// Topics of a cluster.
pub(crate) struct KafkaLog {
    setting: Arc<KafkaSetting>,
    producing: Producing,
    /// For internal topics: no client's messages stand before a sign of life.
    producing_internal: Producing,
    readers: Arc<Readers>,
    /// For questions: metadata, and offsets by time.
    asking: Arc<Asking>,
    offsets: Offsets,
    admin: Arc<Admin>,
}

impl KafkaLog {
    /// Returns a client. It connects when it is used.
    ///
    /// # Errors
    /// When the settings are wrong, or a file of them can't be read.
    pub(crate) fn new(setting: &Arc<KafkaSetting>) -> Result<Self, LogError> {
        let common = config::common(setting)?;
        let asking = config::told(&common).create_with_context(Told::default());
        let asking: Asking = asking.map_err(failed)?;
        let asking = Arc::new(asking);
        let admin: Arc<Admin> = Arc::new(common.create().map_err(failed)?);
        let producing = |config| {
            let (asking, admin) = (Arc::clone(&asking), Arc::clone(&admin));
            Producing::new(config, asking, admin, setting.min_in_sync)
        };
        Ok(Self {
            setting: Arc::clone(setting),
            producing: producing(config::producing(&common))?,
            // Each slot has one write under way, with all that waits for it.
            producing_internal: producing(config::producing_one_by_one(&common))?,
            readers: Arc::new(Readers::new(config::reading(&common))),
            admin,
            offsets: Offsets::new(Arc::clone(&asking)),
            asking,
        })
    }

    /// Waits until a broker takes this client, at most for this time.
    ///
    /// # Errors
    /// When brokers refuse this client or this client refuses them, which is noticed at once, or
    /// when none is there in time.
    pub(crate) async fn connect(&self, patience: Duration) -> Result<(), Unconnected> {
        let asking = self.ask(move |asking| {
            let brokers = asking.fetch_metadata(None, patience);
            brokers.map(drop).map_err(failed)
        });
        let mut asking = std::pin::pin!(tokio::time::timeout(patience, asking));
        loop {
            // The question isn't answered before the time is up, if nobody can be asked. What
            // librdkafka tells meanwhile says why.
            let asked = tokio::time::timeout(CONNECT_LOOK, &mut asking).await;
            let problems = told::problems(&self.asking);
            let error = match asked {
                Ok(Ok(Ok(()))) => return Ok(()),
                Ok(Ok(Err(error))) => error.to_string(),
                Ok(Err(_)) => "no broker answers".to_owned(),
                Err(_) => match problems.decided() {
                    Some(decided) => return Err(decided),
                    None => continue,
                },
            };
            let connection = problems.connection.map(|failure| failure.problem);
            let other = || Unconnected::other(connection.unwrap_or(error));
            return Err(problems.refusal.unwrap_or_else(other));
        }
    }

    fn is_internal(&self, topic: &str) -> bool {
        let name = topic.strip_prefix(&self.setting.topic_prefix);
        name.is_some_and(|name| name.starts_with(INTERNAL))
    }

    /// Does something that waits for a broker, on a thread that may wait.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Asking) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let asking = Arc::clone(&self.asking);
        let asked = tokio::task::spawn_blocking(move || {
            let done = work(&asking);
            told::problems(&asking);
            done
        });
        let asked = asked.await;
        asked.unwrap_or_else(|error| Err(LogError::Unavailable(error.to_string())))
    }
}

impl Log for KafkaLog {
    fn produce<'a>(&'a self, topic: &'a str, records: Vec<NewRecord>) -> Produced<'a> {
        let producing = match self.is_internal(topic) {
            true => &self.producing_internal,
            false => &self.producing,
        };
        Box::pin(producing.produce(topic, records))
    }

    fn fetch<'a>(
        &'a self,
        topic: &'a str,
        wanted: Vec<Wanted>,
        count_max: usize,
        bytes_max: usize,
    ) -> Done<'a, Fetched> {
        let read = Readers::read(&self.readers, topic, wanted, (count_max, bytes_max));
        Box::pin(read)
    }

    fn bounds<'a>(
        &'a self,
        topic: &'a str,
        partitions: Range<u32>,
        oldest: Option<BTreeMap<u32, u64>>,
    ) -> Done<'a, BTreeMap<u32, Extent>> {
        Box::pin(self.offsets.bounds(topic, partitions, oldest))
    }

    fn offsets_at<'a>(
        &'a self,
        topic: &'a str,
        partitions: Range<u32>,
        time: TimeMs,
    ) -> Done<'a, BTreeMap<u32, u64>> {
        Box::pin(self.offsets.at(topic, partitions, time))
    }

    fn follow(&self) -> Result<Following, LogError> {
        following::follow(&config::following(&config::common(&self.setting)?))
    }

    fn create_topic<'a>(&'a self, topic: &'a str, plan: TopicPlan) -> Done<'a, ()> {
        Box::pin(topics::create(&self.admin, &self.setting, topic, plan))
    }

    fn delete_topic<'a>(&'a self, topic: &'a str) -> Done<'a, ()> {
        Box::pin(topics::delete(&self.admin, topic))
    }

    fn delete_records<'a>(&'a self, topic: &'a str, partition: u32, before: u64) -> Done<'a, ()> {
        Box::pin(topics::delete_records(
            &self.admin,
            topic,
            partition,
            before,
        ))
    }

    fn topic_ids<'a>(&'a self, topics: &'a [String]) -> Done<'a, BTreeMap<String, String>> {
        let topics = topics.to_vec();
        Box::pin(self.ask(move |asking| topic_ids::ids(asking, &topics)))
    }

    fn describe<'a>(&'a self, topic: &'a str) -> Done<'a, Option<TopicFacts>> {
        Box::pin(async move {
            let name = topic.to_owned();
            let copies = self
                .ask(move |asking| topics::copies(asking, &name))
                .await?;
            let Some((replicas, partitions)) = copies else {
                return Ok(None);
            };
            let settings = topics::settings(&self.admin, topic).await?;
            Ok(Some(TopicFacts {
                replicas,
                partitions,
                settings,
            }))
        })
    }
}
