//! What only the engine on Kafka has: foreign records, unfit topics, fronts that come and go.
#![cfg(feature = "kafka")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::{Client, encode, text, value, wait_until};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};
use stream_server::server::{Server, StartError};
use stream_server::settings::{EngineSetting, KafkaSetting, Settings};
use tokio::runtime::Runtime;

/// A cluster that the test may use, with topics that begin with a name of their own.
struct Cluster {
    runtime: Runtime,
    setting: KafkaSetting,
}

impl Cluster {
    /// Returns `None` where no brokers are named.
    fn find() -> Option<Self> {
        let Ok(brokers) = std::env::var("SLUICE_KAFKA_BROKERS") else {
            eprintln!("SKIPPED: SLUICE_KAFKA_BROKERS names no brokers");
            return None;
        };
        let prefix = format!("test-{:08x}.", fastrand::u32(..));
        let setting = KafkaSetting {
            topic_prefix: prefix,
            slots: 4,
            ..KafkaSetting::local(brokers)
        };
        let runtime = Runtime::new().unwrap();
        Some(Self { runtime, setting })
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.setting.brokers);
        config
    }

    fn try_start(&self, partitions: u32) -> Result<Server, StartError> {
        let engine = EngineSetting::Kafka(Box::new(self.setting.clone()));
        let settings = Settings::of(engine).with_stream("calls", partitions);
        self.runtime.block_on(Server::start(settings))
    }

    fn start(&self, partitions: u32) -> Server {
        self.try_start(partitions).unwrap()
    }

    fn stop(&self, server: Server) {
        self.runtime.block_on(server.stop());
    }

    fn topic(&self) -> String {
        format!("{}calls", self.setting.topic_prefix)
    }

    /// Publishes a record as any client of Kafka can; returns its offset.
    fn publish(&self, key: Option<&str>, payload: Option<&str>) -> i64 {
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

    fn create_topic(&self, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().unwrap();
        let topic = self.topic();
        let mut new = NewTopic::new(&topic, 1, TopicReplication::Fixed(3));
        for (name, value) in settings {
            new = new.set(name, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
        let created = self.runtime.block_on(admin.create_topics([&new], &options));
        created.unwrap()[0].as_ref().unwrap();
    }
}

fn client(server: &Server) -> Client {
    Client::connect(server.address())
}

#[test]
fn records_of_any_client_are_read_as_they_are() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let server = cluster.start(1);
    let mut client = client(&server);
    let long_key = "k".repeat(10_000);
    client.put(Some("own"), &["first"]);
    cluster.publish(None, None);
    cluster.publish(Some(&long_key), Some("long key"));
    cluster.publish(Some(""), Some("\u{0}\u{1f} not JSON"));
    client.put(None, &["last"]);
    let cursor = client.cursor(&json!({ "partition": "0", "type": "TRIM_HORIZON" }));
    let batch = client.get(&cursor, 10);
    let expected = ["first", "", "long key", "\u{0}\u{1f} not JSON", "last"];
    assert_eq!(batch.values(), expected);
    assert_eq!(text(&batch.messages[2]["key"]), long_key);
    assert_eq!(batch.messages[1]["key"], Value::Null);
    assert_eq!(client.get(&batch.next, 10).values(), Vec::<String>::new());
    cluster.stop(server);
}

#[test]
fn names_of_internal_topics_are_nobodys_streams() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let server = cluster.start(1);
    let mut client = client(&server);
    for name in ["__sluice.slots", "__consumer_offsets"] {
        let body = json!({ "name": name, "partitions": 1, "compartmentId": "ocid1.compartment.a" });
        let answer = client.request("POST", "/20180418/streams", &body.to_string());
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    // A topic that is there isn't taken by a client's request.
    let taken = json!({ "name": "calls", "partitions": 1, "compartmentId": "ocid1.compartment.a" });
    let answer = client.request("POST", "/20180418/streams", &taken.to_string());
    answer.refused(409, "NotAuthorizedOrResourceAlreadyExists");
    cluster.stop(server);
}

#[test]
fn an_unfit_topic_is_refused_with_what_to_change() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    cluster.create_topic(&[
        ("min.insync.replicas", "1"),
        ("message.timestamp.type", "CreateTime"),
    ]);
    let Err(error) = cluster.try_start(1) else {
        panic!("it has started");
    };
    let error = error.to_string();
    assert!(error.contains("min.insync.replicas is 1"), "{error}");
    assert!(
        error.contains("message.timestamp.type is CreateTime"),
        "{error}"
    );
}

#[test]
fn a_topic_that_is_there_becomes_the_stream_that_the_operator_names() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    cluster.create_topic(&[
        ("min.insync.replicas", "2"),
        ("message.timestamp.type", "LogAppendTime"),
    ]);
    cluster.publish(None, Some("before"));
    let server = cluster.start(1);
    let mut client = client(&server);
    let cursor = client.cursor(&json!({ "partition": "0", "type": "TRIM_HORIZON" }));
    assert_eq!(client.get(&cursor, 10).values(), ["before"]);
    cluster.stop(server);
}

#[test]
fn groups_go_on_when_the_front_that_serves_them_ends() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let first = cluster.start(2);
    let second = cluster.start(2);
    let (mut one, mut other) = (client(&first), client(&second));
    one.put(Some("k"), &["a", "b"]);
    // Whoever serves the group, both fronts answer for it.
    let cursor = other.join("i", &json!({}));
    let batch = one.get(&cursor, 10);
    assert_eq!(batch.values(), ["a", "b"]);
    let next = other.commit(&batch.next);
    assert_eq!(one.committed(), other.committed());
    one.put(Some("k"), &["c"]);
    cluster.stop(first);
    // The cursor is good if the second front has always served the group, and is invalid after it
    // has taken it over.
    let mut cursor = next;
    let mut values = Vec::new();
    wait_until("the second front serves the group", || {
        let answer = other.try_get(&cursor, 10);
        match answer.status {
            200 => values = answer.json().as_array().unwrap().clone(),
            400 => cursor = value(join(&mut other)),
            503 => {}
            status => panic!("{status}"),
        }
        !values.is_empty()
    });
    let values: Vec<String> = values.iter().map(|one| text(&one["value"])).collect();
    assert_eq!(values, ["c"]);
    cluster.stop(second);
}

fn join(client: &mut Client) -> common::Answer {
    let details = json!({ "groupName": "g", "type": "TRIM_HORIZON", "instanceName": "i" });
    client.on_stream("POST", "groupCursors", &details)
}

#[test]
fn what_one_front_creates_the_others_have_at_once() {
    let Some(cluster) = Cluster::find() else {
        return;
    };
    let (first, second) = (cluster.start(1), cluster.start(1));
    let (mut creator, mut user) = (client(&first), client(&second));
    let details = json!({ "name": "new", "partitions": 2, "compartmentId": "ocid1.compartment.a" });
    let created = creator.request("POST", "/20180418/streams", &details.to_string());
    let id = created.ok()["id"].as_str().unwrap().to_owned();
    let messages = format!("/20180418/streams/{id}/messages");
    let body = json!({ "messages": [{ "value": encode("x") }] }).to_string();
    let put = user.request("POST", &messages, &body);
    assert_eq!(put.ok()["failures"], 0);
    let deleted = user.request("DELETE", &format!("/20180418/streams/{id}"), "");
    assert_eq!(deleted.status, 204, "{deleted:?}");
    wait_until("the stream is gone", || {
        creator.request("POST", &messages, &body).status == 404
    });
    cluster.stop(first);
    cluster.stop(second);
}
