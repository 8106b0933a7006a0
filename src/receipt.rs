//! The receipt: the `202` that a client gets once the Stream has its call.

use serde::{Deserialize, Serialize};

use crate::http::OutgoingResponse;
use crate::id::Position;

/// What a client learns about its accepted call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The call id.
    pub id: String,
    /// The caller's conversation id, or the call id.
    pub correlation_id: String,
    /// When the gateway accepted the call, RFC 3339.
    pub accepted_at: String,
    /// The earliest time at which it is made, RFC 3339.
    pub deliver_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    id: &'a str,
    correlation_id: &'a str,
    accepted_at: &'a str,
    deliver_at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
}

impl Receipt {
    /// Returns the answer for a call at `position`, or for one that isn't stored yet.
    #[must_use]
    pub fn response(&self, position: Option<Position>) -> OutgoingResponse {
        let body = Body {
            id: &self.id,
            correlation_id: &self.correlation_id,
            accepted_at: &self.accepted_at,
            deliver_at: &self.deliver_at,
            partition: position.map(|position| position.partition.to_string()),
            offset: position.map(|position| position.offset),
        };
        OutgoingResponse {
            status: 202,
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("preference-applied", "respond-async".to_owned()),
                ("async-call-id", self.id.clone()),
                ("async-correlation-id", self.correlation_id.clone()),
            ],
            // This can't fail: there are only strings and a number in it.
            body: serde_json::to_vec(&body).unwrap_or_default(),
            for_grpc: false,
        }
    }
}
