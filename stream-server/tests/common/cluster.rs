//! A cluster of Kafka's brokers that tests may use, and what any client of Kafka can do to it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use stream_server::server::{Server, StartError};
use stream_server::settings::{EngineSetting, KafkaSetting, Settings};
use testkit::kafka;
use tokio::runtime::Runtime;

use super::Client;

/// A cluster that the test may use, with topics that begin with a name of their own.
pub struct Cluster {
    pub runtime: Arc<Runtime>,
    pub setting: KafkaSetting,
}

/// A server in this process, on a cluster. Dropping it ends it in order.
pub struct Front {
    runtime: Arc<Runtime>,
    server: Option<Server>,
}

impl Front {
    pub fn address(&self) -> SocketAddr {
        self.server.as_ref().unwrap().address()
    }

    /// Returns a new connection to it.
    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }
}

impl Cluster {
    /// Returns `None` where no brokers are named.
    pub fn find() -> Option<Self> {
        let brokers = kafka::brokers_or_skip()?;
        let prefix = format!("test-{:08x}.", fastrand::u32(..));
        let setting = KafkaSetting {
            topic_prefix: prefix,
            slots: 4,
            ..KafkaSetting::local(brokers)
        };
        let runtime = Arc::new(Runtime::new().unwrap());
        Some(Self { runtime, setting })
    }

    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.setting.brokers);
        config
    }

    /// Starts a server with the stream `calls`.
    pub fn try_start(&self, partitions: u32) -> Result<Front, StartError> {
        let engine = EngineSetting::Kafka(Box::new(self.setting.clone()));
        let settings = Settings::of(engine).with_stream("calls", partitions);
        let server = Some(self.runtime.block_on(Server::start(settings))?);
        let runtime = Arc::clone(&self.runtime);
        Ok(Front { runtime, server })
    }

    pub fn start(&self, partitions: u32) -> Front {
        self.try_start(partitions).unwrap()
    }

    pub fn topic(&self) -> String {
        format!("{}calls", self.setting.topic_prefix)
    }

    /// Publishes a record as any client of Kafka can; returns its offset.
    pub fn publish(&self, key: Option<&str>, payload: Option<&str>) -> i64 {
        let producer: FutureProducer = self.config().create().unwrap();
        let topic = self.topic();
        let header = Header {
            key: "any",
            value: Some("thing"),
        };
        let mut record: FutureRecord<'_, str, str> = FutureRecord::to(&topic)
            .partition(0)
            .headers(OwnedHeaders::new().insert(header));
        record.key = key;
        record.payload = payload;
        let sent = producer.send(record, Duration::from_secs(20));
        self.runtime.block_on(sent).unwrap().offset
    }

    pub fn create_topic(&self, settings: &[(&str, &str)]) {
        self.create_topic_of(3, settings);
    }

    /// Creates the topic of the stream with one partition and so many copies.
    pub fn create_topic_of(&self, replicas: i32, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let topic = self.topic();
        let mut new = NewTopic::new(&topic, 1, TopicReplication::Fixed(replicas));
        for (name, value) in settings {
            new = new.set(name, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
        let created = self.runtime.block_on(admin.create_topics([&new], &options));
        created.unwrap()[0].as_ref().unwrap();
    }

    /// Changes a setting of a topic, and waits until brokers tell the new one.
    pub fn set(&self, topic: &str, name: &str, value: &str) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
        let resource = ResourceSpecifier::Topic(topic);
        // It replaces all settings: the others are as they were.
        let mut entries = self.settings(&admin, topic);
        entries.insert(name.to_owned(), value.to_owned());
        let config = AlterConfig {
            specifier: resource,
            entries: entries
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect(),
        };
        let altered = self
            .runtime
            .block_on(admin.alter_configs([&config], &options));
        altered.unwrap()[0].as_ref().unwrap();
        super::wait_until("the setting is changed", || {
            self.settings(&admin, topic).get(name).map(String::as_str) == Some(value)
        });
    }

    /// Returns the settings that a topic has of its own.
    pub fn own_settings(&self, topic: &str) -> HashMap<String, String> {
        self.settings(&self.config().create().unwrap(), topic)
    }

    /// Returns the settings of a topic that differ from the brokers' defaults.
    fn settings(
        &self,
        admin: &AdminClient<DefaultClientContext>,
        topic: &str,
    ) -> HashMap<String, String> {
        let asked = [ResourceSpecifier::Topic(topic)];
        let told = admin.describe_configs(&asked, &AdminOptions::new());
        let told = self.runtime.block_on(told).unwrap().remove(0).unwrap();
        let own = told.entries.into_iter().filter(|entry| !entry.is_default);
        let own = own.filter(|entry| entry.source == ConfigSource::DynamicTopic);
        own.filter_map(|entry| Some((entry.name, entry.value?)))
            .collect()
    }

    /// Publishes bytes to a partition of any topic; returns the offset.
    pub fn publish_to(&self, topic: &str, partition: i32, payload: Option<&[u8]>) -> i64 {
        let mut config = self.config();
        config.set("message.max.bytes", "4000000");
        let producer: FutureProducer = config.create().unwrap();
        let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(topic)
            .partition(partition)
            .key(&b"any"[..]);
        record.payload = payload;
        let sent = producer.send(record, Duration::from_secs(20));
        self.runtime.block_on(sent).unwrap().offset
    }

    /// Publishes a record within a transaction, which is committed or aborted.
    pub fn publish_in_transaction(&self, topic: &str, payload: &str, is_committed: bool) {
        let patience = Duration::from_secs(30);
        let mut config = self.config();
        config.set("transactional.id", format!("t-{:08x}", fastrand::u32(..)));
        let producer: FutureProducer = config.create().unwrap();
        producer.init_transactions(patience).unwrap();
        producer.begin_transaction().unwrap();
        let record: FutureRecord<'_, str, str> =
            FutureRecord::to(topic).partition(0).payload(payload);
        let sent = producer.send(record, patience);
        self.runtime.block_on(sent).unwrap();
        match is_committed {
            true => producer.commit_transaction(patience).unwrap(),
            false => producer.abort_transaction(patience).unwrap(),
        }
    }

    /// Returns the name of the internal topic of slots.
    pub fn slots_topic(&self) -> String {
        format!("{}__sluice.slots", self.setting.topic_prefix)
    }

    /// Returns the name of the internal topic of members.
    pub fn members_topic(&self) -> String {
        format!("{}__sluice.members", self.setting.topic_prefix)
    }

    /// Deletes the topic of the stream.
    pub fn delete_topic(&self) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let topic = self.topic();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
        let deleted = self
            .runtime
            .block_on(admin.delete_topics(&[&topic], &options));
        deleted.unwrap()[0].as_ref().unwrap();
    }
}
