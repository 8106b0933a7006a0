//! Callouts: the engine's tickets and Envoy's tokens.

use std::collections::BTreeMap;

use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, MapType};

use super::bytes::as_header_text;
use crate::engine::Callout;
use crate::http::{CalloutResult, Fields, IncomingResponse};
use crate::id::Ticket;
use crate::limits::EXCERPT_BYTES_MAX;

/// The callouts that Envoy hasn't answered.
#[derive(Default)]
pub(super) struct Callouts(BTreeMap<u32, (Ticket, usize)>);

impl Callouts {
    /// Sends a callout. After an error no answer comes.
    pub(super) fn send(&mut self, callout: &Callout) -> Result<(), ()> {
        let headers = callout
            .request
            .headers
            .iter()
            .map(|(name, value)| (name.as_ref(), as_header_text(value)))
            .collect();
        let body = callout.request.body.as_slice();
        let body = (!body.is_empty()).then_some(body);
        hostcalls::dispatch_http_call(&callout.cluster, headers, body, Vec::new(), callout.timeout)
            .map(|token| {
                self.0
                    .insert(token, (callout.ticket, callout.answer_bytes_max));
            })
            .map_err(|_| ())
    }

    /// Reads the answer in the callback that brings it; `None` if this worker never asked.
    pub(super) fn take(
        &mut self,
        token: u32,
        headers: usize,
        body_bytes: usize,
    ) -> Option<(Ticket, CalloutResult)> {
        let (ticket, bytes_max) = self.0.remove(&token)?;
        if headers == 0 {
            // The SDK panics if it is asked for headers that aren't there.
            return Some((ticket, CalloutResult::Lost));
        }
        let status = status();
        let is_success = (200..400).contains(&status);
        let headers = if bytes_max == 0 && is_success {
            // Nobody needs them, and a hostcall that brings data costs a microsecond.
            Fields::new()
        } else {
            hostcalls::get_map_bytes(MapType::HttpCallResponseHeaders).unwrap_or_default()
        };
        let wanted = if is_success {
            bytes_max
        } else {
            bytes_max.max(EXCERPT_BYTES_MAX)
        };
        let response = IncomingResponse {
            status,
            headers,
            body: read_body(body_bytes.min(wanted)),
            body_bytes,
        };
        Some((ticket, CalloutResult::Answered(response)))
    }
}

/// Returns the status of the answer; 0 where there is none.
fn status() -> u16 {
    hostcalls::get_map_value_bytes(MapType::HttpCallResponseHeaders, ":status")
        .ok()
        .flatten()
        .and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok())
        .unwrap_or(0)
}

fn read_body(bytes: usize) -> Vec<u8> {
    if bytes == 0 {
        return Vec::new();
    }
    hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, bytes)
        .ok()
        .flatten()
        .unwrap_or_default()
}
