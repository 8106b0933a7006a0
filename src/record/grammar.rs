//! Which texts a record may have, so that Envoy can send them.

use fluent_uri::Uri;

use crate::limits::CORRELATION_ID_BYTES_MAX;

/// Returns whether Envoy takes this for a path with its query: RFC 9112 §3.2.1 in visible ASCII.
/// Envoy refuses a fragment, and some servers take a backslash for a slash.
pub(crate) fn is_path(text: &str) -> bool {
    text.starts_with('/') && is_visible(text) && !text.contains(['#', '\\'])
}

/// Returns whether this is a host, with or without a port (RFC 9110 §7.2, RFC 3986 §3.2), and
/// nothing else.
pub(crate) fn is_authority(text: &str) -> bool {
    let url = format!("http://{text}/");
    let Ok(uri) = Uri::parse(url.as_str()) else {
        return false;
    };
    let Some(authority) = uri.authority() else {
        return false;
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    authority.as_str() == text
        && !authority.has_userinfo()
        && !authority.host().is_empty()
        && authority.port().is_none_or(|port| is_port(port.as_str()))
}

/// Returns whether this is 1 to 256 visible ASCII characters, as ids in fields may be.
pub(crate) fn is_identity(text: &str) -> bool {
    !text.is_empty() && text.len() <= CORRELATION_ID_BYTES_MAX && is_visible(text)
}

pub(crate) fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns whether this is a URL of the web. Its scheme may have any case (RFC 3986 §3.1).
pub(crate) fn is_web_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, rest)| {
        !rest.is_empty()
            && ["http", "https"]
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known))
    })
}
