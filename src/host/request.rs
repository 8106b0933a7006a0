//! Reads the request whose callback this is from Envoy, and answers it.

use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, GrpcStatusCode, MapType};

use super::sink::log;
use crate::accept::triggers::RouteMode;
use crate::engine::Level;
use crate::http::OutgoingResponse;

/// Returns the first value of a header.
pub(super) fn request_header(name: &str) -> Option<Vec<u8>> {
    hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, name)
        .ok()
        .flatten()
}

/// Returns the mode in the route's metadata, if a route matched. The first unknown word is logged;
/// a line for each request would be too much.
pub(super) fn route_mode(told_of_unknown: &mut bool) -> RouteMode {
    const MODE: [&str; 5] = ["xds", "route_metadata", "filter_metadata", "sluice", "mode"];
    let value = hostcalls::get_property(MODE.to_vec()).ok().flatten();
    let mode = RouteMode::read(value.as_deref());
    if mode == RouteMode::Unknown && !std::mem::replace(told_of_unknown, true) {
        let value = value.unwrap_or_default().escape_ascii().to_string();
        log(
            Level::Warn,
            &format!(
                "a route's metadata under sluice have the mode \"{value:.64}\", which is none of \
                 always, never and prefer; it counts as prefer"
            ),
        );
    }
    mode
}

/// Returns a property of the route that matched: the cluster that it leads to, or its name. (There
/// is a virtual host even without any route, and an unnamed route without a cluster looks like no
/// route.)
pub(super) fn route_property(property: &str) -> Option<String> {
    let value = hostcalls::get_property(vec!["xds", property])
        .ok()
        .flatten();
    let value = value.filter(|value| !value.is_empty())?;
    Some(String::from_utf8_lossy(&value).into_owned())
}

/// Returns the body, as far as it has come.
pub(super) fn read_body() -> Option<Vec<u8>> {
    hostcalls::get_buffer(BufferType::HttpRequestBody, 0, usize::MAX)
        .ok()
        .flatten()
}

/// Answers the request.
pub(super) fn respond(response: &OutgoingResponse) {
    let body = Some(response.body.as_slice());
    if response.for_grpc {
        let message = std::str::from_utf8(&response.body).ok();
        let _ = hostcalls::send_grpc_response(GrpcStatusCode::Unimplemented, message, Vec::new());
        return;
    }
    let headers = response
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let _ = hostcalls::send_http_response(u32::from(response.status), headers, body);
}
