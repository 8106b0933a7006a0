//! OCI Streaming's REST protocol (API version 20180418), as far as this tool and `stream-server
//! copy` need it: GetStream, CreateCursor, GetMessages, PutMessages and what moves groups.
//!
//! Every request goes through `StreamClient::send`; nothing else uses the network.

mod endpoint;
mod error;
mod messages;
mod moving;
mod pacing;
mod reader;
mod tls;

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sluice::http::OutgoingRequest;
use sluice::time::Wall;
use ureq::http::Request;
use ureq::tls::TlsConfig;
use ureq::{Agent, Error};

pub use endpoint::Endpoint;
pub use error::StreamError;
pub use messages::{Message, Outgoing, StreamFacts};
pub use moving::{Piece, Placed, Reservation};
pub use reader::{Missed, PartitionReader, ReadOffsets};
pub use tls::read_authorities;

use crate::identity::Signing;
use crate::limits::{
    ANSWER_BYTES_MAX, ANSWER_TIMEOUT, BACKOFF, CONNECT_TIMEOUT, PAUSE_MAX, STREAM_ID_CHARS_MAX,
    THROTTLED_TRIES_MAX, TRIES_MAX,
};
use error::{Signed, advice, describe, wait_in};
use pacing::Pacing;

/// The start of all paths.
const BASE_PATH: &str = "/20180418";

/// A request, before the network's own parts are added.
#[derive(Debug)]
struct Call {
    /// The operation's name, for messages.
    operation: &'static str,
    method: &'static str,
    /// The path with the query, percent-encoded.
    path: String,
    body: Rc<Vec<u8>>,
    /// The kind of requests that share one of OCI's limits with this one.
    paced: Option<String>,
}

/// An answer with 200.
#[derive(Debug)]
struct Answer {
    next_cursor: Option<String>,
    offsets: Option<String>,
    body: Vec<u8>,
}

/// What a GetMessages has given.
#[derive(Debug)]
struct Page {
    messages: Vec<Message>,
    /// The cursor behind them.
    next: String,
    /// Which offsets it has gone through, if the endpoint tells it.
    offsets: Option<ReadOffsets>,
}

/// Signs requests, and sends them no faster than OCI allows.
#[derive(Debug)]
struct SignedTraffic {
    signing: Signing,
    pacing: Pacing,
}

/// A client of one endpoint.
#[derive(Debug)]
pub struct StreamClient {
    agent: Agent,
    endpoint: Endpoint,
    control: Endpoint,
    signed: Option<RefCell<SignedTraffic>>,
}

impl StreamClient {
    /// Returns a client of an endpoint; nothing is sent yet. Requests are signed and paced if there
    /// is a `signing`. `authorities` are trusted instead of the public ones.
    #[must_use]
    pub fn new(
        endpoint: Endpoint,
        signing: Option<Signing>,
        authorities: Option<TlsConfig>,
    ) -> Self {
        // Through TLS a proxy can't change what is signed. Without TLS the endpoint is this machine
        // or a signing proxy, and another proxy would break signatures.
        let is_far = endpoint.is_tls() && !endpoint.is_loopback();
        let proxy = is_far.then(ureq::Proxy::try_from_env).flatten();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(proxy)
            // A redirect would lead a signed request elsewhere.
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(ANSWER_TIMEOUT))
            .tls_config(authorities.unwrap_or_default())
            .build()
            .into();
        let signed = signing.map(|signing| {
            RefCell::new(SignedTraffic {
                signing,
                pacing: Pacing::default(),
            })
        });
        Self {
            agent,
            control: endpoint.control(),
            endpoint,
            signed,
        }
    }

    /// Sends a request, and repeats it if necessary: it waits after 429, and tries again a few
    /// times after 5xx or no answer. If PutMessages is repeated after no answer, messages may be
    /// stored twice, which "at least once" allows.
    fn perform(&self, call: &Call) -> Result<Answer, StreamError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let pause = BACKOFF.pause(tries);
            self.await_turn(call);
            let error = match self.send(call) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let wait = match &error {
                StreamError::Unanswered { .. } if tries < TRIES_MAX => pause,
                StreamError::Refused {
                    status: 429,
                    problem,
                    ..
                } if tries < THROTTLED_TRIES_MAX => wait_in(problem).unwrap_or(pause),
                StreamError::Unanswered { .. }
                | StreamError::Unreachable { .. }
                | StreamError::Insecure { .. }
                | StreamError::Unsigned { .. }
                | StreamError::Refused { .. }
                | StreamError::Foreign { .. } => return Err(error),
            };
            std::thread::sleep(wait.min(PAUSE_MAX));
        }
    }

    /// Waits until OCI's limits allow a request.
    fn await_turn(&self, call: &Call) {
        let (Some(signed), Some(kind)) = (&self.signed, &call.paced) else {
            return;
        };
        let wait = signed.borrow_mut().pacing.wait(kind, Instant::now());
        std::thread::sleep(wait);
    }

    /// Sends a request. All requests leave here.
    fn send(&self, call: &Call) -> Result<Answer, StreamError> {
        let operation = call.operation;
        let endpoint = self.endpoint_of(operation);
        let foreign = |problem: String| StreamError::Foreign { operation, problem };
        let request = self.request(call, endpoint)?;
        let sent = if call.method == "GET" {
            let request = request
                .body(())
                .map_err(|error| foreign(error.to_string()))?;
            self.agent.run(request)
        } else {
            let request = request
                .body(call.body.as_slice())
                .map_err(|error| foreign(error.to_string()))?;
            self.agent.run(request)
        };
        let mut response = sent.map_err(|error| failure(operation, endpoint, &error))?;
        let status = response.status().as_u16();
        let field = |name: &str| {
            let value = response.headers().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let (next_cursor, date) = (field("opc-next-cursor"), field("date"));
        let offsets = field("sluice-offsets");
        let body = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec();
        let body = body.map_err(|error| failure(operation, endpoint, &error))?;
        if status == 200 {
            return Ok(Answer {
                next_cursor,
                offsets,
                body,
            });
        }
        let problem = describe(&body);
        Err(if status >= 500 {
            let endpoint = endpoint.as_str().to_owned();
            let problem = format!("{status} {problem}");
            StreamError::Unanswered {
                endpoint,
                operation,
                problem,
            }
        } else {
            StreamError::Refused {
                operation,
                status,
                problem,
                advice: self.advice(status, date.as_deref()),
            }
        })
    }

    /// Returns the error of a GetMessages whose answers lead nowhere.
    fn unanswered(&self, problem: &str) -> StreamError {
        StreamError::Unanswered {
            endpoint: self.endpoint.as_str().to_owned(),
            operation: "GetMessages",
            problem: problem.to_owned(),
        }
    }

    fn endpoint_of(&self, operation: &str) -> &Endpoint {
        if operation == "GetStream" {
            &self.control
        } else {
            &self.endpoint
        }
    }

    /// Returns the request without its body, signed if there is a signer.
    fn request(
        &self,
        call: &Call,
        endpoint: &Endpoint,
    ) -> Result<ureq::http::request::Builder, StreamError> {
        let path = endpoint.path(&call.path);
        let url = endpoint.url(&path);
        let field = |name: &'static str, value: &str| {
            let value = Cow::Owned(value.as_bytes().to_vec());
            (Cow::Borrowed(name), value)
        };
        let mut outgoing = OutgoingRequest {
            headers: vec![
                field(":method", call.method),
                field(":authority", endpoint.authority()),
                field(":path", &path),
                field("accept", "application/json"),
                field("content-type", "application/json"),
                field("content-length", &call.body.len().to_string()),
            ],
            body: Rc::clone(&call.body),
        };
        if let Some(signed) = &self.signed {
            let mut traffic = signed.borrow_mut();
            let signer = traffic.signing.current(now());
            let done = if call.operation == "PutMessages" {
                signer.sign_put_messages(&mut outgoing, now())
            } else {
                signer.sign(&mut outgoing, now())
            };
            done.map_err(|problem| StreamError::Unsigned {
                operation: call.operation,
                problem,
            })?;
        }
        let request = Request::builder().method(call.method).uri(url);
        let request = request.header("host", endpoint.authority());
        let fields = outgoing.headers.iter().filter(|(name, _)| {
            // The library writes the length itself; a GET has none.
            !name.starts_with(':') && name != "content-length"
        });
        Ok(fields.fold(request, |request, (name, value)| {
            request.header(name.as_ref(), value.as_ref())
        }))
    }

    fn advice(&self, status: u16, date: Option<&str>) -> Cow<'static, str> {
        let Some(signed) = &self.signed else {
            return advice(status, None);
        };
        let mut traffic = signed.borrow_mut();
        let signer = traffic.signing.last();
        if status == 401 {
            signer.forget();
        }
        let key_id = signer.key_id();
        let theirs = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let signed = Signed {
            key_id: &key_id.to_string(),
            is_token: key_id.fingerprint().is_none(),
            theirs: theirs.map(wall),
            ours: now(),
        };
        advice(status, Some(signed))
    }
}

fn now() -> Wall {
    wall(SystemTime::now())
}

fn wall(time: SystemTime) -> Wall {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

fn failure(operation: &'static str, endpoint: &Endpoint, error: &Error) -> StreamError {
    use std::io::ErrorKind;
    let endpoint = endpoint.as_str().to_owned();
    if let Some((problem, advice)) = tls::trouble(error) {
        return StreamError::Insecure {
            endpoint,
            problem,
            advice,
        };
    }
    let problem = error.to_string();
    let refused = |error: &std::io::Error| {
        matches!(
            error.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::AddrNotAvailable
        )
    };
    let unsent = matches!(
        error,
        Error::HostNotFound
            | Error::ConnectionFailed
            | Error::BadUri(_)
            | Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve)
    ) || matches!(error, Error::Io(error) if refused(error));
    if unsent {
        StreamError::Unreachable { endpoint, problem }
    } else if matches!(error, Error::BodyExceedsLimit(_)) {
        StreamError::Foreign { operation, problem }
    } else {
        StreamError::Unanswered {
            endpoint,
            operation,
            problem,
        }
    }
}

/// Returns whether a text can be a stream's id. Ids also come from letters, and are parts of paths.
#[must_use]
pub fn is_stream_id(id: &str) -> bool {
    let characters = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=STREAM_ID_CHARS_MAX).contains(&id.len())
        && !id.starts_with('.')
        && id.bytes().all(characters)
}

/// Reads a stream's id from the command line.
///
/// # Errors
/// What to write.
pub fn stream_id(text: &str) -> Result<String, String> {
    if is_stream_id(text) {
        return Ok(text.to_owned());
    }
    Err("it is not a stream's id; write an OCID such as ocid1.stream.oc1.local.calls".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_ids_cannot_change_the_path() {
        assert!(is_stream_id("ocid1.stream.oc1.local.calls-dead"));
        for bad in ["", "..", ".x", "a/b", "a?b", "a%2fb", "ä", &"x".repeat(257)] {
            assert!(!is_stream_id(bad), "{bad}");
        }
    }
}
