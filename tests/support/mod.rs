//! What behaviour tests share: configurations, a clock, and short names for what engines say.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part"
)]

pub mod asking;
pub mod lab;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sluice::accept::admission::RequestHead;
use sluice::accept::config::AcceptConfig;
use sluice::accept::{AcceptEngine, Input as AcceptInput};
use sluice::caller::{CallerIdentity, CallerRules};
use sluice::config::Document;
use sluice::drain::config::DrainConfig;
use sluice::drain::route::ReplySecrets;
use sluice::drain::{DrainEngine, Input as DrainInput};
use sluice::engine::{Callout, Output};
use sluice::http::CalloutResult;
use sluice::http::{Fields, IncomingResponse};
use sluice::id::{Entropy, RequestId, Ticket};
use sluice::metric::Metric;
use sluice::time::{Now, Steady, Wall};

/// Returns a moment, in milliseconds after the start of the test.
pub fn at(millis: u64) -> Now {
    Now {
        steady: Steady(1_000 + millis),
        wall: Wall(1_795_408_560_000 + millis),
    }
}

/// Returns the answer of a server, as the gateway's listeners let it through.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> CalloutResult {
    let headers = headers
        .iter()
        .chain([&("async-answered", "true")])
        .map(|(n, v)| ((*n).to_owned(), (*v).into()))
        .collect();
    CalloutResult::Answered(IncomingResponse {
        status,
        headers,
        body: body.into(),
        body_bytes: body.len(),
    })
}

/// Returns a field of a callout as text.
pub fn field(callout: &Callout, name: &str) -> String {
    let value = callout
        .request
        .headers
        .iter()
        .find(|(field, _)| field == name);
    value
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .unwrap_or_default()
}

/// Method and path of a callout, the path without the stream's prefix.
pub fn target(callout: &Callout) -> String {
    let path = field(callout, ":path");
    let path = path.split("/streams/").last().unwrap_or_default();
    format!("{} {path}", field(callout, ":method"))
}

pub fn accept_engine(extra: &str) -> AcceptEngine {
    let stream = r#""stream":{"cluster":"stream","authority":"s","streamId":"calls"}"#;
    let config = AcceptConfig::from_json(format!("{{{stream}{extra}}}").as_bytes()).unwrap();
    AcceptEngine::new(config, Entropy::from_seed([1; 32]))
}

pub fn drain_engine(dispatch: &str, extra: &str) -> DrainEngine {
    let fixed = r#""stream":{"cluster":"stream","authority":"s","streamId":"calls"},
        "deadLetters":{"streamId":"dead"}"#;
    let dispatch = format!(r#","dispatch":{{"cluster":"dispatch"{dispatch}}}"#);
    let config = format!("{{{fixed}{dispatch}{extra}}}");
    let config = DrainConfig::from_json(config.as_bytes()).unwrap();
    DrainEngine::new(config, ReplySecrets::default(), Entropy::from_seed([2; 32]))
}

/// The outputs that matter to a test, in order; log lines and unasked counters are left out.
#[derive(Debug, Default)]
pub struct Said {
    pub callouts: Vec<Callout>,
    pub responses: Vec<(RequestId, u16, String)>,
    pub wakes: usize,
    pub drain_wakes: usize,
    pub counts: std::collections::BTreeMap<Metric, i64>,
    pub logs: Vec<String>,
    pub unsigned: Vec<Ticket>,
}

impl Said {
    fn take(&mut self, output: Output) -> Option<RequestId> {
        match output {
            Output::Wake => self.wakes += 1,
            Output::WakeDrain => self.drain_wakes += 1,
            Output::ReadBody(request) => return Some(request),
            Output::Callout(callout) => self.callouts.push(callout),
            Output::Respond(request, response) => {
                let body = String::from_utf8_lossy(&response.body).into_owned();
                self.responses.push((request, response.status, body));
            }
            Output::Observe(..) | Output::ReleaseKey(_) => {}
            Output::Unsigned(ticket) => self.unsigned.push(ticket),
            Output::ReadSlot(_) | Output::WriteSlot { .. } => panic!("no request has a key"),
            Output::Count(metric, by) => *self.counts.entry(metric).or_default() += by,
            Output::Log(_, line) => self.logs.push(line),
        }
        None
    }

    /// Returns how often something was counted.
    pub fn counted(&self, metric: Metric) -> i64 {
        self.counts.get(&metric).copied().unwrap_or_default()
    }

    /// Method and path of each callout.
    pub fn targets(&self) -> Vec<String> {
        self.callouts.iter().map(target).collect()
    }
}

/// Passes an input to the accept engine; every body that it reads is `body`.
pub fn accept(engine: &mut AcceptEngine, input: AcceptInput, now: Now, body: &[u8]) -> Said {
    let mut said = Said::default();
    engine.handle(input, now);
    while let Some(output) = engine.poll_output() {
        if let Some(request) = said.take(output) {
            engine.handle(AcceptInput::Body(request, Some(body.to_vec())), now);
        }
    }
    said
}

/// Passes an input to the drain.
pub fn drain(engine: &mut DrainEngine, input: DrainInput, now: Now) -> Said {
    let mut said = Said::default();
    engine.handle(input, now);
    engine.check_invariants().unwrap();
    while let Some(output) = engine.poll_output() {
        assert!(said.take(output).is_none(), "the drain has no requests");
    }
    said
}

/// Returns a marked request without a body.
pub fn request(number: u32, extra: &[(&str, &str)]) -> AcceptInput {
    request_head(number, extra, true)
}

/// Returns the head of a marked request that has more to come.
pub fn open_request(number: u32) -> AcceptInput {
    request_head(number, &[], false)
}

/// Returns the head of a caller's marked request that has more to come.
pub fn open_request_of(caller: &str, number: u32) -> AcceptInput {
    request_head(number, &[("authorization", caller)], false)
}

fn request_head(number: u32, extra: &[(&str, &str)], end_of_stream: bool) -> AcceptInput {
    let fixed = [
        (":method", "POST"),
        (":path", "/orders"),
        (":authority", "example.com"),
        (":scheme", "http"),
        ("prefer", "respond-async"),
    ];
    let fields = fixed
        .iter()
        .chain(extra)
        .map(|(n, v)| ((*n).to_owned(), (*v).into()));
    let fields: Fields = fields.collect();
    AcceptInput::RequestHead {
        request: RequestId(number),
        head: RequestHead {
            caller: sender(&fields),
            fields,
            has_route: true,
            ..RequestHead::default()
        },
        end_of_stream,
    }
}

/// Returns the ids of these records of calls.
pub fn ids(calls: &[serde_json::Value]) -> Vec<&str> {
    calls
        .iter()
        .map(|call| call["id"].as_str().unwrap())
        .collect()
}

/// Returns what distinguishes the sender of these fields, who comes from the one address that there
/// is.
pub fn sender(fields: &Fields) -> Option<CallerIdentity> {
    let rules = CallerRules {
        headers: vec!["authorization".to_owned()],
        metadata: None,
    };
    CallerIdentity::find(&rules, fields, |path| {
        (path == ["source", "address"]).then(|| b"192.0.2.1:1".to_vec())
    })
}

/// Returns the records in a PutMessages request.
pub fn records(callout: &Callout) -> Vec<serde_json::Value> {
    let body: serde_json::Value = serde_json::from_slice(&callout.request.body).unwrap();
    let messages = body["messages"].as_array().unwrap();
    let record = |message: &serde_json::Value| {
        let value = BASE64.decode(message["value"].as_str().unwrap()).unwrap();
        serde_json::from_slice(&value).unwrap()
    };
    messages.iter().map(record).collect()
}

/// Returns the answer of a Stream that stores everything, from this offset on.
pub fn stored(callout: &Callout, offset: usize) -> CalloutResult {
    let entries: Vec<String> = (0..records(callout).len())
        .map(|index| format!(r#"{{"partition":"0","offset":{}}}"#, offset + index))
        .collect();
    answer(
        200,
        &[],
        &format!(r#"{{"failures":0,"entries":[{}]}}"#, entries.join(",")),
    )
}

/// Returns an answer to GetMessages: these records, from this offset on.
pub fn messages(offset: usize, records: &[&str]) -> CalloutResult {
    messages_stored_at("2026-11-23T04:36:00.000Z", offset, records)
}

/// Returns the same, stored at another time.
pub fn messages_stored_at(stored_at: &str, offset: usize, records: &[&str]) -> CalloutResult {
    let keys: Vec<Option<String>> = records.iter().map(|record| own_key(record)).collect();
    messages_with_keys(stored_at, offset, records, &keys)
}

/// Returns the message key under which a record belongs.
fn own_key(record: &str) -> Option<String> {
    let record: serde_json::Value = serde_json::from_str(record).ok()?;
    let key = record.get("orderKey").or(record.pointer("/parked/route"));
    key?.as_str().map(str::to_owned)
}

/// Returns the same with these message keys.
pub fn messages_with_keys(
    stored_at: &str,
    offset: usize,
    records: &[&str],
    keys: &[Option<String>],
) -> CalloutResult {
    let messages: Vec<String> = records
        .iter()
        .zip(keys)
        .enumerate()
        .map(|(index, (record, key))| {
            let (offset, value) = (offset + index, BASE64.encode(record));
            let key = key.as_ref().map(|key| BASE64.encode(key));
            let key = serde_json::Value::from(key);
            format!(
                r#"{{"stream":"calls","partition":"0","key":{key},"value":"{value}",
                    "offset":{offset},"timestamp":"{stored_at}"}}"#
            )
        })
        .collect();
    let next = format!("after-{}", offset + records.len());
    answer(
        200,
        &[("opc-next-cursor", &next)],
        &format!("[{}]", messages.join(",")),
    )
}
