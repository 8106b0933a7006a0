//! How the Stream handles a request, and what the ledger learns from it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use sluice::http::CalloutResult;
use sluice::http::{Fields, IncomingResponse};
use sluice::record::note::Note;
use stream_server::protocol::Answer;
use stream_server::storage::Message;

use super::network::Exchange;
use super::network_fault::NetworkFault;
use super::{EPOCH_MS, World};
use crate::fault_counts::FaultKind;
use crate::invariants::{self, Violation};
use crate::ledger::{DEAD, Engine, Place};
use crate::stream::incoming;
use crate::target;

impl World {
    /// Returns the Stream's answer to a request.
    pub(super) fn at_the_stream(
        &mut self,
        exchange: &mut Exchange,
    ) -> Result<Option<CalloutResult>, Violation> {
        if self.now < self.stream_away_until {
            self.count_fault(FaultKind::StreamAway);
            return Ok(None);
        }
        if let Some(refusal) = self.unauthenticated(exchange) {
            return Ok(Some(refusal));
        }
        let (method, path) = (exchange.field(":method"), exchange.field(":path"));
        let mut body = exchange.callout.request.body.as_ref().clone();
        if let Some(refusal) = self.refusal(exchange.network_fault) {
            return Ok(Some(refusal));
        }
        let mut failing = Vec::new();
        if exchange.network_fault == NetworkFault::Partial {
            (body, failing) = self.without_some(&body);
            if failing.contains(&true) && failing.contains(&false) {
                self.count_fault(FaultKind::StoredInPart);
            }
        }
        let now = (
            EPOCH_MS.saturating_add(self.now),
            EPOCH_MS.saturating_add(self.now),
        );
        let is_empty = body.is_empty() && !failing.is_empty();
        let answer = match is_empty {
            true => None,
            false => self.stream.answer(&method, &path, &body, now),
        };
        self.learn(Some(exchange))?;
        let mut response = match answer {
            Some(answer) => {
                self.note_stream(exchange, &path, &answer);
                if answer.status == 400 && path.contains("cursor=") {
                    self.count_fault(FaultKind::CursorExpired);
                }
                incoming(&answer)
            }
            None => IncomingResponse {
                status: 200,
                headers: Fields::new(),
                body: br#"{"failures":0,"entries":[]}"#.to_vec(),
                body_bytes: 0,
            },
        };
        if !failing.is_empty() {
            response.body = with_failures(&response.body, &failing);
        }
        if exchange.network_fault == NetworkFault::Torn && response.status == 200 {
            response.body = self.tear(response.body);
            self.count_fault(FaultKind::AnswerTorn);
            if self.rng.coin() {
                response.headers.clear();
            }
        }
        response.body_bytes = response.body.len();
        Ok(Some(CalloutResult::Answered(response)))
    }

    fn note_stream(&mut self, exchange: &Exchange, path: &str, answer: &Answer) {
        let is_idle = answer.status == 200 && (answer.body.len() < 3 || path.contains("heartbeat"));
        if !is_idle {
            let short = path
                .rsplit("streams/ocid1.stream.oc1.local.")
                .next()
                .unwrap_or_default();
            let short: String = short.chars().take(24).collect();
            let who = self.name(exchange.by.worker);
            let network_fault = exchange.network_fault;
            self.note(
                "stream",
                format!("{} to {who} for {short} {network_fault:?}", answer.status),
            );
        }
    }

    fn refusal(&mut self, network_fault: NetworkFault) -> Option<CalloutResult> {
        let refusal = |status, code: &str, message: &str| {
            let body = json!({ "code": code, "message": message }).to_string();
            Some(target::answer(status, &[], &body))
        };
        if network_fault == NetworkFault::CursorRefused {
            self.count_fault(FaultKind::CursorRefused);
            return refusal(400, "InvalidParameter", "The cursor is invalid");
        }
        if network_fault != NetworkFault::Refused {
            return None;
        }
        let kind = self.rng.below(4);
        self.count_fault(match kind {
            0 => FaultKind::StreamThrottled,
            1 | 2 => FaultKind::StreamFailed,
            _ => FaultKind::StreamUnauthenticated,
        });
        match kind {
            0 => {
                let wait = self.rng.below(3_000);
                let message = format!("next request can be made in {wait} ms");
                refusal(429, "TooManyRequests", &message)
            }
            1 => refusal(500, "InternalServerError", "x"),
            2 => refusal(503, "ServiceUnavailable", "x"),
            _ => refusal(401, "NotAuthenticated", "x"),
        }
    }

    /// Takes some messages out of a PutMessages. Returns the places of those that fail.
    fn without_some(&mut self, body: &[u8]) -> (Vec<u8>, Vec<bool>) {
        let details: Value = serde_json::from_slice(body).unwrap_or_default();
        let messages = details.get("messages").and_then(Value::as_array);
        let messages = messages.cloned().unwrap_or_default();
        let failing: Vec<bool> = messages.iter().map(|_| self.rng.coin()).collect();
        let kept = messages
            .into_iter()
            .zip(&failing)
            .filter(|(_, fails)| !**fails);
        let kept: Vec<Value> = kept.map(|(message, _)| message).collect();
        let body = match kept.is_empty() {
            true => Vec::new(),
            false => json!({ "messages": kept }).to_string().into_bytes(),
        };
        (body, failing)
    }

    fn tear(&mut self, mut body: Vec<u8>) -> Vec<u8> {
        match self.rng.below(4) {
            0 => b"<html>".to_vec(),
            1 => br#"{"value":7,"entries":{},"failures":-1}"#.to_vec(),
            2 => Vec::new(),
            _ => {
                let length = u64::try_from(body.len()).unwrap_or_default();
                // Never all of it: then nothing would be torn.
                body.truncate(usize::try_from(self.rng.below(length)).unwrap_or_default());
                body
            }
        }
    }

    /// Notes what the Stream has stored and committed.
    fn learn(&mut self, mut exchange: Option<&mut Exchange>) -> Result<(), Violation> {
        let (appended, committed) = self.stream.memory.news();
        for new in appended {
            let place = Place {
                stream: self.stream_number(&new.stream),
                partition: new.message.partition,
                offset: new.message.stamp.offset,
            };
            let by = exchange.as_ref().map(|exchange| exchange.by);
            // An engine that was already told an end won't hear of this one.
            let is_late = exchange
                .as_ref()
                .is_some_and(|f| f.has_ended || !self.is_alive(f.by));
            let id = self.store(place, &new.message, by, is_late)?;
            if let Some(exchange) = &mut exchange {
                exchange.stored.push(id);
            }
        }
        for commit in committed {
            let stream = self.stream_number(&commit.stream);
            let what = format!(
                "committed {} {}: {}..{}",
                commit.stream, commit.partition, commit.from, commit.until
            );
            self.note("everybody", what);
            let places = (commit.from..commit.until).map(|offset| Place {
                stream,
                partition: commit.partition,
                offset,
            });
            invariants::g4_commit::check(&self.ledger, places.clone())?;
            self.ledger.committed(places);
            let partition = (stream, commit.partition);
            let by = exchange.as_ref().map(|exchange| exchange.by);
            let before = by.and_then(|by| self.ledger.committers.insert(partition, by));
            if before.is_some() && before != by {
                self.count_fault(FaultKind::PartitionMoved);
            }
        }
        Ok(())
    }

    fn store(
        &mut self,
        place: Place,
        message: &Message,
        by: Option<Engine>,
        is_late: bool,
    ) -> Result<String, Violation> {
        let value: &[u8] = &message.value;
        let Place {
            stream,
            partition,
            offset,
        } = place;
        if stream == DEAD {
            let letter: Value = serde_json::from_slice(value).unwrap_or_default();
            let text = |name: &str| letter.get(name).and_then(Value::as_str).unwrap_or_default();
            let source = Place {
                stream: self.stream_number(text("streamId")),
                partition: text("partition").parse().unwrap_or_default(),
                offset: letter
                    .get("offset")
                    .and_then(Value::as_u64)
                    .unwrap_or_default(),
            };
            let id = text("id").to_owned();
            self.note(
                "stream",
                format!("call {id} is dead: {} {}", text("reason"), text("detail")),
            );
            invariants::expiry::check(&self.ledger, &self.drain, source, &letter)?;
            let dead = self.ledger.dead.entry(source).or_default();
            *dead = dead.saturating_add(1);
            self.ledger.ended_at.insert(id.clone(), self.now);
            return Ok(id);
        }
        let key = message.key.as_deref();
        let note = Note::decode(value);
        if let Some(note) = note.filter(|note| key == Some(note.route.as_bytes())) {
            let what = format!(
                "note stored on {partition}:{offset} by {}: {:?}",
                note.by, note.away
            );
            self.note("stream", what);
            return Ok(String::new());
        }
        let id = self.ledger.stored(place, message, by, self.now);
        let head = self
            .ledger
            .records
            .get(&place)
            .and_then(|record| record.head.as_ref());
        let hops = head.map_or(0, |head| head.progress.hops);
        let reply = head.and_then(|head| head.reply.as_ref());
        let of = reply.map_or_else(String::new, |reply| format!(", reply to {}", reply.call_id));
        let publisher = by;
        let by = by.map_or_else(|| "somebody".to_owned(), |by| self.name(by.worker));
        let what =
            format!("call {id} stored on {stream}, {partition}:{offset} by {by}, hops {hops}{of}");
        self.note("stream", what);
        if is_late {
            self.doubt(std::slice::from_ref(&id));
        } else if let Some(by) = publisher {
            self.keys
                .stored(&self.ledger, place, self.process(by.worker))?;
        }
        invariants::g3_repeats::stored(&self.ledger, place, &id)?;
        Ok(id)
    }

    /// Publishes a record past the gateway.
    pub(super) fn publish_past_the_gateway(
        &mut self,
        record: &[u8],
        key: Option<&str>,
    ) -> Result<(), Violation> {
        let path = format!(
            "/20180418/streams/{}/messages",
            crate::stream::ocid("calls")
        );
        let call = sluice::record::decode(record);
        let order_key = call.as_ref().ok().and_then(|c| c.head.order_key.as_deref());
        if order_key.is_some() && order_key != key {
            self.count_fault(FaultKind::CallMisrouted);
        }
        let key = key.map(|key| BASE64.encode(key));
        match call {
            Err(_) if Note::decode(record).is_some() => self.count_fault(FaultKind::NoteMisrouted),
            Err(_) => self.count_fault(FaultKind::RecordBad),
            Ok(call) if call.head.target.as_deref().is_some_and(is_forbidden) => {
                self.count_fault(FaultKind::TargetForbidden);
            }
            Ok(_) => {}
        }
        let message = json!({ "key": key, "value": BASE64.encode(record) });
        let body = json!({ "messages": [message] }).to_string();
        let now = (
            EPOCH_MS.saturating_add(self.now),
            EPOCH_MS.saturating_add(self.now),
        );
        let _ = self.stream.answer("POST", &path, body.as_bytes(), now);
        self.learn(None)
    }
}

/// Returns whether nobody may call this address, of those that [`crate::call`] draws for other
/// publishers.
fn is_forbidden(target: &str) -> bool {
    target != "https://a.allowed.test/t/flaky"
}

/// Puts failed entries between the stored ones.
fn with_failures(body: &[u8], failing: &[bool]) -> Vec<u8> {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let entries = answer.get("entries").and_then(Value::as_array);
    let mut stored = entries.cloned().unwrap_or_default().into_iter();
    let failed = json!({ "error": "ThrottledError", "errorMessage": "x" });
    let entries: Vec<Value> = failing
        .iter()
        .filter_map(|fails| {
            if *fails {
                Some(failed.clone())
            } else {
                stored.next()
            }
        })
        .collect();
    let failures = failing.iter().filter(|fails| **fails).count();
    json!({ "failures": failures, "entries": entries })
        .to_string()
        .into_bytes()
}
