//! OCI Streaming's REST protocol, data plane (API version 20180418): codecs, batches and repeated
//! puts.
//!
//! [`StreamClient`] makes requests. The functions of [`put`], [`consume`] and [`error`] read the
//! answers.

pub(crate) mod batch;
pub mod consume;
pub mod error;
pub mod put;
pub mod put_queue;
pub mod signing;

use std::borrow::Cow;
use std::rc::Rc;

use crate::http::OutgoingRequest;
use crate::stream::signing::SigningConfig;

/// The version segment of every path.
const BASE_PATH: &str = "/20180418";

/// How a Stream is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamConfig {
    /// The Envoy cluster of the Stream's messages endpoint.
    pub cluster: String,
    /// The `Host` that the endpoint expects.
    pub authority: String,
    /// The stream's OCID.
    pub stream_id: String,
    /// How requests to it are signed; `None` if the Stream asks for no signature.
    pub signing: Option<SigningConfig>,
}

/// Makes the requests for one stream.
#[derive(Clone, Debug)]
pub struct StreamClient {
    authority: Rc<str>,
    stream_path: String,
}

impl StreamClient {
    /// Returns a client for the stream `stream_id` at the endpoint whose `Host` is `authority`.
    #[must_use]
    pub fn new(authority: &str, stream_id: &str) -> Self {
        Self {
            authority: Rc::from(authority),
            stream_path: format!("{BASE_PATH}/streams/{}", percent_encode(stream_id)),
        }
    }

    /// Returns a request with a JSON body, or without one.
    fn request(&self, method: &'static str, path: &str, body: Vec<u8>) -> OutgoingRequest {
        let mut headers: Vec<(Cow<'static, str>, Cow<'static, [u8]>)> = vec![
            (Cow::Borrowed(":method"), Cow::Borrowed(method.as_bytes())),
            (Cow::Borrowed(":scheme"), Cow::Borrowed(b"http")),
            (
                Cow::Borrowed(":authority"),
                Cow::Owned(self.authority.as_bytes().to_vec()),
            ),
            (
                Cow::Borrowed(":path"),
                Cow::Owned(format!("{}{path}", self.stream_path).into_bytes()),
            ),
            (Cow::Borrowed("accept"), Cow::Borrowed(b"application/json")),
        ];
        if method != "GET" {
            // Signed requests name this field even when there is no body.
            let length = body.len().to_string().into_bytes();
            headers.push((
                Cow::Borrowed("content-type"),
                Cow::Borrowed(b"application/json"),
            ));
            headers.push((Cow::Borrowed("content-length"), Cow::Owned(length)));
        }
        OutgoingRequest {
            headers,
            body: Rc::new(body),
        }
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for nibble in [byte >> 4, byte & 15] {
                encoded.extend(
                    char::from_digit(u32::from(nibble), 16).map(|c| c.to_ascii_uppercase()),
                );
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_encoded_once() {
        assert_eq!(percent_encode("ab-._~9"), "ab-._~9");
        assert_eq!(percent_encode("a=/+ \u{fc}"), "a%3D%2F%2B%20%C3%BC");
    }

    #[test]
    fn every_request_but_get_tells_its_length() {
        let client = StreamClient::new("stream.local", "ocid1.stream.oc1.local.calls");
        let request = client.request("POST", "/commit?cursor=a", Vec::new());
        assert!(
            request
                .headers
                .contains(&("content-length".into(), b"0".to_vec().into()))
        );
        assert!(
            request.headers.contains(&(
                ":path".into(),
                b"/20180418/streams/ocid1.stream.oc1.local.calls/commit?cursor=a"
                    .to_vec()
                    .into()
            ))
        );
    }
}
