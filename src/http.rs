//! The few HTTP terms that the core needs (RFC 9110, 9113, 9457).

use std::borrow::Cow;
use std::rc::Rc;

/// Header fields in the order and with the repetitions in which they came: lower-case names, values
/// as bytes, because a value need not be text (RFC 9110 §5.5).
pub type Fields = Vec<(String, Vec<u8>)>;

/// Returns the first value of a field, if it is there.
#[must_use]
pub fn first<'a>(fields: &'a [(String, Vec<u8>)], name: &str) -> Option<&'a [u8]> {
    fields
        .iter()
        .find(|(field, _)| field == name)
        .map(|(_, value)| value.as_slice())
}

/// Returns the size of a list of fields in bytes, as HTTP/2 counts it: names, values, and 32 for
/// each field (RFC 9113 §6.5.2). Keeping a field takes about as much memory.
#[must_use]
pub fn list_bytes(fields: &[(String, Vec<u8>)]) -> usize {
    const FIELD_BYTES: usize = 32;
    fields.iter().fold(0, |sum, (name, value)| {
        sum.saturating_add(name.len())
            .saturating_add(value.len())
            .saturating_add(FIELD_BYTES)
    })
}

/// Returns every value of a field, in order.
pub fn all<'a>(
    fields: &'a [(String, Vec<u8>)],
    name: &'a str,
) -> impl Iterator<Item = &'a [u8]> + 'a {
    fields
        .iter()
        .filter(move |(field, _)| field == name)
        .map(|(_, value)| value.as_slice())
}

/// Returns the elements of a comma-separated list over several field lines (RFC 9110 §5.6.1),
/// trimmed, without the empty ones. Quoted strings may contain commas.
pub fn list_elements<'a>(
    values: impl Iterator<Item = &'a [u8]> + 'a,
) -> impl Iterator<Item = &'a [u8]> + 'a {
    values
        .flat_map(|value| {
            let (mut quoted, mut escaped) = (false, false);
            value.split(move |byte| {
                let separates = *byte == b',' && !quoted;
                match byte {
                    b'"' if !escaped => quoted = !quoted,
                    _ => {}
                }
                escaped = quoted && !escaped && *byte == b'\\';
                separates
            })
        })
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// Returns whether this is a token (RFC 9110 §5.6.2).
#[must_use]
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Returns whether a message may have this field value (RFC 9110 §5.5): no CR, LF, NUL or other
/// control character.
#[must_use]
pub fn is_field_value(value: &[u8]) -> bool {
    value
        .iter()
        .all(|byte| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f))
}

/// Returns whether a request with this method may be made twice (RFC 9110 §9.2.2).
#[must_use]
pub fn is_idempotent(method: &str) -> bool {
    ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"].contains(&method)
}

/// Cuts a text between two characters if it is longer.
pub fn cut(text: &mut String, bytes_max: usize) {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

/// Connection-level fields that never belong to a stored request (RFC 9110 §7.6.1), and fields that
/// the gateway has handled itself (`expect`, §10.1.1). `content-length` is not among them.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Returns whether a field concerns one connection only, by its name or because `Connection` names
/// it.
#[must_use]
pub fn is_hop_by_hop(name: &str, named_by_connection: &[String]) -> bool {
    HOP_BY_HOP.contains(&name) || named_by_connection.iter().any(|named| named == name)
}

/// Returns the names that a message's `Connection` fields list, in lower case.
#[must_use]
pub fn named_by_connection(fields: &[(String, Vec<u8>)]) -> Vec<String> {
    list_elements(all(fields, "connection"))
        .map(|name| String::from_utf8_lossy(name).to_ascii_lowercase())
        .collect()
}

/// A request that Envoy has to make for the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingRequest {
    /// Fields, with the pseudo header fields of RFC 9113 §8.3.1 first.
    pub headers: Vec<(Cow<'static, str>, Cow<'static, [u8]>)>,
    /// The content; shared, because a repeated attempt sends the same.
    pub body: Rc<Vec<u8>>,
}

/// An answer that the filter got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncomingResponse {
    /// The status code, 100 to 599; 0 if the host gave none.
    pub status: u16,
    /// Without pseudo header fields.
    pub headers: Fields,
    /// The content, as far as it was asked for.
    pub body: Vec<u8>,
    /// Bytes of the whole content.
    pub body_bytes: usize,
}

/// An answer that the filter gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingResponse {
    /// The status code.
    pub status: u16,
    /// Fields, all of them text.
    pub headers: Vec<(&'static str, String)>,
    /// The content.
    pub body: Vec<u8>,
    /// Whether the client speaks gRPC: it gets the status UNIMPLEMENTED in gRPC's way, and the
    /// content as the message.
    pub for_grpc: bool,
}

/// How a callout ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CalloutResult {
    /// There was an answer: from the other side or, if that could not be reached, from Envoy
    /// itself.
    Answered(IncomingResponse),
    /// The connection broke or the time ran out after the request was sent.
    Lost,
    /// Envoy refused to send it at all.
    NotSent,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(lines: &[&str]) -> Vec<String> {
        list_elements(lines.iter().map(|line| line.as_bytes()))
            .map(|element| String::from_utf8_lossy(element).into_owned())
            .collect()
    }

    #[test]
    fn lists_merge_lines_and_respect_quotes() {
        assert_eq!(elements(&["a, b", " ,c,, "]), ["a", "b", "c"]);
        assert_eq!(elements(&[r#"x="1,2", y"#]), [r#"x="1,2""#, "y"]);
        assert_eq!(elements(&[r#"x="\",", y"#]), [r#"x="\",""#, "y"]);
        assert_eq!(elements(&[r#"x="\\", y"#]), [r#"x="\\""#, "y"]);
        assert_eq!(elements(&[""]), Vec::<String>::new());
    }

    #[test]
    fn connection_names_its_own_fields() {
        let fields = vec![("connection".to_owned(), b"close, X-Hop".to_vec())];
        let named = named_by_connection(&fields);
        assert!(is_hop_by_hop("x-hop", &named));
        assert!(is_hop_by_hop("te", &named));
        assert!(!is_hop_by_hop("content-length", &named));
    }

    #[test]
    fn controls_are_no_field_value() {
        assert!(is_field_value(b"a\tb \xff"));
        for bad in [&b"a\r\nb"[..], b"a\nb", b"\0", b"\x7f"] {
            assert!(!is_field_value(bad));
        }
    }
}
