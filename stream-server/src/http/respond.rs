//! Answers: status, JSON body, and the headers that every answer has.

use std::fmt::Write as _;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::answer_body::AnswerBody;
use super::messages_json::MessagesJson;
use crate::api_error::ApiError;
use crate::fronts::HandedBack;

/// An answer on its way to the client.
pub(crate) type Response = hyper::Response<AnswerBody>;

/// There is no answer: the connection has to be closed.
#[derive(Debug, thiserror::Error)]
#[error("told to close the connection")]
pub(crate) struct Dropped;

/// OCI's field for the id of a request.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("opc-request-id");
const NEXT_CURSOR: HeaderName = HeaderName::from_static("opc-next-cursor");
/// Which offsets a read of one partition has gone through: `FROM-NEXT/END`. OCI has no such field.
const OFFSETS: HeaderName = HeaderName::from_static("sluice-offsets");
const NEXT_PAGE: HeaderName = HeaderName::from_static("opc-next-page");
const WORK_REQUEST: HeaderName = HeaderName::from_static("opc-work-request-id");
/// When a client that got 503 may try again (RFC 9110 §10.2.3). What it waits for is quick.
const RETRY_AFTER_SECONDS: &str = "1";
/// Characters of a request id that the server has made.
const OWN_ID_CHARS: usize = 3 * 32 + 2;
/// Characters of a client's request id that are repeated.
const CLIENT_ID_CHARS_MAX: usize = 128;

/// What an operation answers.
pub(crate) struct Reply {
    status: u16,
    body: Content,
    headers: Vec<(HeaderName, String)>,
    ending: Ending,
}

/// The content of an answer.
enum Content {
    Whole(Bytes),
    /// With its part of the room for answers.
    Held(Bytes, Option<OwnedSemaphorePermit>),
    Messages(MessagesJson),
}

impl Content {
    fn into_bytes(self) -> (Bytes, Option<OwnedSemaphorePermit>) {
        match self {
            Self::Whole(bytes) => (bytes, None),
            Self::Held(bytes, room) => (bytes, room),
            Self::Messages(mut json) => {
                let room = json.take_room();
                (json.collect::<Vec<_>>().concat().into(), room)
            }
        }
    }
}

/// How an answer ends.
enum Ending {
    Whole,
    /// The answer ends after so many bytes of its body.
    CutOff(usize),
    /// There is no answer.
    Dropped,
}

impl Reply {
    fn new(status: u16, body: Bytes) -> Self {
        Self {
            status,
            body: Content::Whole(body),
            headers: Vec::new(),
            ending: Ending::Whole,
        }
    }

    pub(crate) fn json(status: u16, body: &impl Serialize) -> Self {
        // The server's own types can always be serialized.
        Self::new(status, serde_json::to_vec(body).unwrap_or_default().into())
    }

    /// Returns a reply with JSON that is already written.
    pub(crate) fn content(json: Vec<u8>) -> Self {
        Self::new(200, json.into())
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self::new(status, Bytes::new())
    }

    pub(crate) fn api_error(api_error: &ApiError) -> Self {
        #[derive(Serialize)]
        struct ErrorBody<'a> {
            code: &'a str,
            message: &'a str,
        }
        let body = ErrorBody {
            code: &api_error.code,
            message: &api_error.message,
        };
        let reply = Self::json(api_error.status, &body);
        match api_error.status {
            503 => reply.with(RETRY_AFTER, Some(RETRY_AFTER_SECONDS.to_owned())),
            _ => reply,
        }
    }

    pub(super) fn messages(
        json: MessagesJson,
        next_cursor: String,
        offsets: Option<String>,
    ) -> Self {
        let reply = Self {
            body: Content::Messages(json),
            ..Self::empty(200)
        };
        let reply = reply.with(NEXT_CURSOR, Some(next_cursor));
        reply.with(OFFSETS, offsets)
    }

    pub(crate) fn with_next_page(self, page: Option<String>) -> Self {
        self.with(NEXT_PAGE, page)
    }

    pub(crate) fn with_etag(self, etag: &str) -> Self {
        self.with(ETAG, Some(etag.to_owned()))
    }

    pub(crate) fn with_work_request(self, id: String) -> Self {
        self.with(WORK_REQUEST, Some(id))
    }

    /// Returns what another front has answered.
    pub(super) fn handed_back(
        status: u16,
        (body, room): (Bytes, Option<OwnedSemaphorePermit>),
        headers: Vec<(HeaderName, String)>,
    ) -> Self {
        Self {
            headers,
            body: Content::Held(body, room),
            ..Self::empty(status)
        }
    }

    fn with(mut self, name: HeaderName, value: Option<String>) -> Self {
        self.headers.extend(value.map(|value| (name, value)));
        self
    }

    /// Returns a reply that closes the connection without an answer.
    pub(crate) fn dropped() -> Self {
        Self {
            ending: Ending::Dropped,
            ..Self::empty(200)
        }
    }

    pub(crate) fn garbage(status: u16, body: String) -> Self {
        Self::new(status, body.into())
    }

    /// Returns the same, cut off after so many bytes of its body.
    pub(crate) fn truncated(self, bytes: usize) -> Self {
        Self {
            ending: Ending::CutOff(bytes),
            ..self
        }
    }

    /// Returns the status, the headers that the operation adds, and the content.
    pub(crate) fn into_parts(self) -> (u16, Vec<(HeaderName, String)>, Bytes) {
        (self.status, self.headers, self.body.into_bytes().0)
    }

    /// Returns the answer as another front takes it.
    pub(super) fn into_handed_back(self) -> HandedBack {
        let (body, room) = self.body.into_bytes();
        let headers = self.headers.into_iter();
        HandedBack {
            status: self.status,
            headers: headers
                .map(|(name, value)| (name.as_str().to_owned(), value))
                .collect(),
            body,
            room,
        }
    }

    pub(crate) fn into_response(self, request_id: &str) -> Result<Response, Dropped> {
        let body = match self.ending {
            Ending::Whole => match self.body {
                Content::Whole(bytes) => AnswerBody::whole(bytes),
                Content::Held(bytes, room) => AnswerBody::held(bytes, room),
                Content::Messages(json) => AnswerBody::messages(json),
            },
            Ending::CutOff(bytes) => AnswerBody::cut_off(&self.body.into_bytes().0, bytes),
            Ending::Dropped => return Err(Dropped),
        };
        let mut response = Response::new(body);
        let unknown_status = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        *response.status_mut() = hyper::StatusCode::from_u16(self.status).unwrap_or(unknown_status);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let own = [(REQUEST_ID, request_id.to_owned())];
        for (name, value) in own.into_iter().chain(self.headers) {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        Ok(response)
    }
}

impl From<Result<Self, ApiError>> for Reply {
    fn from(done: Result<Self, ApiError>) -> Self {
        done.unwrap_or_else(|api_error| Self::api_error(&api_error))
    }
}

/// Returns the id of a request in Oracle's form: the first part of the client's own id, or one of
/// the server's, then two parts of 32 hexadecimal digits.
pub(crate) fn request_id(headers: &HeaderMap) -> String {
    let given = headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let plain = |c: &char| c.is_ascii_graphic() && *c != '/';
    let own = given.chars().take_while(plain).take(CLIENT_ID_CHARS_MAX);
    let mut id = String::with_capacity(OWN_ID_CHARS);
    id.extend(own);
    let random = || fastrand::u128(..);
    // Writing to a string does not fail.
    let _ = match id.is_empty() {
        true => write!(id, "{:032X}/{:032X}/{:032X}", random(), random(), random()),
        false => write!(id, "/{:032X}/{:032X}", random(), random()),
    };
    id
}
