//! What drains hold of each stream, as far as the wire shows it.

use std::collections::BTreeSet;

use serde_json::Value;
use sluice::http::CalloutResult;

use super::World;
use super::network::Exchange;
use crate::invariants::{Violation, g9_bounds};
use crate::ledger::{Engine, Place};

impl World {
    /// Checks that a drain that asks for records has room for them.
    pub(super) fn check_fetch(&self, by: Engine, path: &str) -> Result<(), Violation> {
        let Some((_, limit)) = path.split_once("&limit=") else {
            return Ok(());
        };
        let limit = limit.parse().unwrap_or(usize::MAX);
        let stream = self.stream_of(path);
        g9_bounds::fetch(&self.ledger, &self.drain, (by, stream), limit)
    }

    /// Notes that an engine learns how a request to the Stream has ended.
    pub(super) fn learn_of_a_session(&mut self, number: u64, result: &CalloutResult) {
        let Some(exchange) = self
            .exchanges
            .get(&number)
            .filter(|exchange| !exchange.is_torn())
        else {
            return;
        };
        let CalloutResult::Answered(response) = result else {
            return;
        };
        let path = exchange.field(":path");
        let session = (exchange.by, self.stream_of(&path));
        if response.status != 200 {
            return;
        }
        // The engine may have given it up before, for example if its gateway was stopped.
        let is_overdue = self.now > exchange.given_up_at;
        if path.ends_with("/groupCursors") {
            self.ledger.fetched.remove(&session);
        } else if !is_overdue && path.contains("/messages?cursor=") {
            let messages: Vec<Value> = serde_json::from_slice(&response.body).unwrap_or_default();
            let places = messages.iter().map(|message| place(session.1, message));
            // A note is not a call, and takes no room.
            let places = places.filter(|place| self.ledger.records.contains_key(place));
            let fetched: BTreeSet<Place> = places.collect();
            self.ledger
                .fetched
                .entry(session)
                .or_default()
                .extend(fetched);
        }
    }

    fn stream_of(&self, path: &str) -> usize {
        let ocid = path.split("/streams/").nth(1).unwrap_or_default();
        self.stream_number(ocid.split('/').next().unwrap_or_default())
    }
}

impl Exchange {
    fn is_torn(&self) -> bool {
        self.network_fault == super::network_fault::NetworkFault::Torn
    }
}

/// Returns the place of a message of GetMessages. There its partition is text.
fn place(stream: usize, message: &Value) -> Place {
    let partition = message.get("partition").and_then(Value::as_str);
    let offset = message.get("offset").and_then(Value::as_u64);
    Place {
        stream,
        partition: partition
            .and_then(|text| text.parse().ok())
            .unwrap_or(u32::MAX),
        offset: offset.unwrap_or(u64::MAX),
    }
}
