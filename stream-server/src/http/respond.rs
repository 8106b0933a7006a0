//! Answers: status, JSON body, and the headers that every answer has.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

use crate::refusal::Refusal;

/// An answer on its way to the client.
pub(crate) type Response = hyper::Response<Full<Bytes>>;

const REQUEST_ID: HeaderName = HeaderName::from_static("opc-request-id");
const NEXT_CURSOR: HeaderName = HeaderName::from_static("opc-next-cursor");
const NEXT_PAGE: HeaderName = HeaderName::from_static("opc-next-page");
/// Characters of a client's request id that are repeated.
const CLIENT_ID_CHARS_MAX: usize = 128;

/// What an operation answers.
pub(crate) struct Reply {
    status: u16,
    body: Bytes,
    header: Option<(HeaderName, String)>,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &impl Serialize) -> Self {
        // Our own types always serialize.
        let body = serde_json::to_vec(body).unwrap_or_default();
        Self {
            status,
            body: body.into(),
            header: None,
        }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            body: Bytes::new(),
            header: None,
        }
    }

    pub(crate) fn refusal(refusal: &Refusal) -> Self {
        #[derive(Serialize)]
        struct ErrorBody<'a> {
            code: &'a str,
            message: &'a str,
        }
        let body = ErrorBody {
            code: refusal.code,
            message: &refusal.message,
        };
        Self::json(refusal.status, &body)
    }

    pub(crate) fn messages(body: Bytes, next_cursor: String) -> Self {
        Self {
            status: 200,
            body,
            header: Some((NEXT_CURSOR, next_cursor)),
        }
    }

    pub(crate) fn with_next_page(self, page: Option<String>) -> Self {
        Self {
            header: page.map(|page| (NEXT_PAGE, page)),
            ..self
        }
    }

    /// Status, the header that the operation adds, and content.
    pub(crate) fn into_parts(self) -> (u16, Option<(HeaderName, String)>, Bytes) {
        (self.status, self.header, self.body)
    }

    pub(crate) fn into_response(self, request_id: &str) -> Response {
        let mut response = Response::new(Full::new(self.body));
        let unknown_status = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        *response.status_mut() = hyper::StatusCode::from_u16(self.status).unwrap_or(unknown_status);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let own = [Some((REQUEST_ID, request_id.to_owned())), self.header];
        for (name, value) in own.into_iter().flatten() {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// The id of a request, as Oracle makes it: the first part of the client's own, or one of ours,
/// then two parts of 32 hexadecimal digits.
pub(crate) fn request_id(headers: &HeaderMap) -> String {
    let random = || format!("{:032X}", fastrand::u128(..));
    let given = headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let plain = |c: &char| c.is_ascii_graphic() && *c != '/';
    let first: String = given
        .chars()
        .take_while(plain)
        .take(CLIENT_ID_CHARS_MAX)
        .collect();
    let first = if first.is_empty() { random() } else { first };
    format!("{first}/{}/{}", random(), random())
}
