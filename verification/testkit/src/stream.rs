//! The Stream as another client of it sees it: it publishes records that no gateway would write,
//! reads dead letters, and reads how far the group has committed.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use local_gateway::http::{self, Answer};
use serde_json::{Value, json};

use crate::{PATIENCE, wait};

/// The stream of calls.
pub const CALLS: &str = "calls";

/// The stream of dead letters.
pub const DEAD: &str = "calls-dead";

/// The group of all drains.
const GROUP: &str = "sluice";

/// The pause before a request is sent again.
const AGAIN: Duration = Duration::from_millis(200);

/// A message of a stream.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: u64,
    /// What was published.
    pub value: Vec<u8>,
}

impl Record {
    /// Returns the message as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.value).expect("JSON")
    }
}

/// A client of a stream server.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    port: u16,
}

impl Stream {
    /// Returns a client of the stream server on this port.
    #[must_use]
    pub fn at(port: u16) -> Self {
        Self { port }
    }

    /// Publishes records on the stream of calls. Returns partition and offset of each.
    pub fn put(&self, records: &[&[u8]]) -> Vec<(u32, u64)> {
        let messages = records
            .iter()
            .map(|record| json!({ "value": BASE64.encode(record) }));
        let body = json!({ "messages": messages.collect::<Vec<_>>() });
        let answer = self
            .ask(CALLS, "messages", Some(&body))
            .json()
            .expect("JSON");
        assert_eq!(answer["failures"], 0, "{answer}");
        let entries = answer["entries"].as_array().expect("entries").iter();
        entries.map(position).collect()
    }

    /// Returns everything on a stream.
    #[must_use]
    pub fn records(&self, stream: &str) -> Vec<Record> {
        let partitions = 0..self.partitions(stream);
        let records = partitions.flat_map(|partition| self.records_of(stream, partition));
        records.collect()
    }

    /// Returns everything on the stream of dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<Value> {
        self.records(DEAD).iter().map(Record::json).collect()
    }

    /// Returns how far the group has committed: the last offset of each partition, if any.
    #[must_use]
    pub fn committed(&self) -> Vec<(u32, Option<u64>)> {
        self.committed_on(CALLS)
    }

    fn committed_on(&self, stream: &str) -> Vec<(u32, Option<u64>)> {
        let path = format!("groups/{GROUP}");
        let answer = self.request(stream, &path, None);
        if answer.status == 404 {
            return (0..self.partitions(stream)).map(|p| (p, None)).collect();
        }
        assert_eq!(answer.status, 200, "{answer:?}");
        let group = answer.json().expect("JSON");
        let reservations = group["reservations"].as_array().expect("reservations");
        let commit = |reservation: &Value| {
            let partition = reservation["partition"].as_str().expect("partition");
            let committed = reservation["committedOffset"].as_u64();
            (partition.parse().expect("a number"), committed)
        };
        reservations.iter().map(commit).collect()
    }

    /// Returns how many partitions a drain holds at the moment.
    #[must_use]
    pub fn reserved(&self) -> usize {
        self.holders().len()
    }

    /// Returns how many drains hold partitions at the moment.
    #[must_use]
    pub fn drains(&self) -> usize {
        let holders: BTreeSet<String> = self.holders().into_iter().collect();
        holders.len()
    }

    /// Returns the drain of each partition that is held.
    fn holders(&self) -> Vec<String> {
        let group = self
            .ask(CALLS, &format!("groups/{GROUP}"), None)
            .json()
            .expect("JSON");
        let reservations = group["reservations"].as_array().expect("reservations");
        let holder = |one: &Value| one["reservedInstance"].as_str().map(str::to_owned);
        reservations.iter().filter_map(holder).collect()
    }

    /// Returns the calls that the group hasn't committed.
    #[must_use]
    pub fn uncommitted(&self) -> Vec<Record> {
        self.uncommitted_on(CALLS)
    }

    /// Returns the records of a stream, such as a lane, that the group hasn't committed.
    #[must_use]
    pub fn uncommitted_on(&self, stream: &str) -> Vec<Record> {
        let committed = self.committed_on(stream).into_iter();
        let behind = committed.flat_map(|(partition, offset)| {
            let start = match offset {
                Some(offset) => json!({ "type": "AFTER_OFFSET", "offset": offset }),
                None => json!({ "type": "TRIM_HORIZON" }),
            };
            self.read(stream, partition, start)
        });
        behind.collect()
    }

    fn partitions(&self, stream: &str) -> u32 {
        let answer = self.ask(stream, "", None).json().expect("JSON");
        let count = answer["partitions"].as_u64().expect("partitions");
        u32::try_from(count).expect("few")
    }

    fn records_of(&self, stream: &str, partition: u32) -> Vec<Record> {
        self.read(stream, partition, json!({ "type": "TRIM_HORIZON" }))
    }

    fn read(&self, stream: &str, partition: u32, mut start: Value) -> Vec<Record> {
        start["partition"] = json!(partition.to_string());
        let cursor = self
            .ask(stream, "cursors", Some(&start))
            .json()
            .expect("JSON");
        let mut cursor = cursor["value"].as_str().expect("a cursor").to_owned();
        let mut records = Vec::new();
        loop {
            let encoded = cursor.replace('+', "%2B").replace('=', "%3D");
            let path = format!("messages?limit=1000&cursor={encoded}");
            let answer = self.ask(stream, &path, None);
            let page = answer.json().expect("JSON");
            let page = page.as_array().expect("messages");
            if page.is_empty() {
                return records;
            }
            records.extend(page.iter().map(record));
            cursor = answer
                .header("opc-next-cursor")
                .expect("a cursor")
                .to_owned();
        }
    }

    fn ask(&self, stream: &str, path: &str, body: Option<&Value>) -> Answer {
        let answer = self.request(stream, path, body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    /// Asks again while the answer is 503: a group may be about to move to another server.
    fn request(&self, stream: &str, path: &str, body: Option<&Value>) -> Answer {
        let answered = wait::until_some(PATIENCE, AGAIN, || {
            Some(self.request_once(stream, path, body)).filter(|answer| answer.status != 503)
        });
        answered.expect("an answer other than 503")
    }

    fn request_once(&self, stream: &str, path: &str, body: Option<&Value>) -> Answer {
        let port = self.port;
        let url = format!(
            "http://127.0.0.1:{port}/20180418/streams/ocid1.stream.oc1.local.{stream}/{path}"
        );
        let url = url.trim_end_matches('/');
        let json = [("content-type", "application/json")];
        let answer = match body {
            None => http::get_within(PATIENCE, url),
            Some(body) => http::post_within(PATIENCE, url, &json, &body.to_string()),
        };
        answer.expect("an answer")
    }
}

/// Returns the call records in the body of a PutMessages.
#[must_use]
pub fn records_in(body: &[u8]) -> Vec<Value> {
    let body: Value = serde_json::from_slice(body).expect("JSON");
    let messages = body["messages"].as_array().expect("messages").iter();
    let record = |message: &Value| {
        let value = message["value"].as_str().expect("a value");
        serde_json::from_slice(&BASE64.decode(value).expect("base64")).expect("a record")
    };
    messages.map(record).collect()
}

fn position(entry: &Value) -> (u32, u64) {
    let partition = entry["partition"].as_str().expect("a partition");
    let offset = entry["offset"].as_u64().expect("an offset");
    (partition.parse().expect("a number"), offset)
}

fn record(message: &Value) -> Record {
    let (partition, offset) = position(message);
    let value = message["value"].as_str().expect("a value");
    let value = BASE64.decode(value).expect("base64");
    Record {
        partition,
        offset,
        value,
    }
}
