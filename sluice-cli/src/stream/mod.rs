//! OCI Streaming's REST protocol (API version 20180418), as far as this tool needs it: GetStream,
//! CreateCursor, GetMessages and PutMessages.
//!
//! Every request goes through `StreamClient::send`, which alone knows the network.

mod messages;
mod reader;

use std::time::Duration;

use serde::Deserialize;
use ureq::http::Request;
use ureq::{Agent, Error};

pub use messages::{Message, Outgoing};
pub use reader::PartitionReader;

use crate::limits::{
    ANSWER_BYTES_MAX, ANSWER_TIMEOUT, CONNECT_TIMEOUT, ERROR_CHARS_MAX, PAUSE_FIRST, PAUSE_MAX,
    STREAM_ID_CHARS_MAX, THROTTLED_TRIES_MAX, TRIES_MAX,
};
use crate::text;

/// What all paths begin with.
const BASE_PATH: &str = "/20180418";

/// Why a request has brought nothing, by what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The request was not sent.
    #[error(
        "cannot reach {endpoint}: {problem}. Start the endpoint, or name another one with \
         --endpoint or SLUICE_ENDPOINT"
    )]
    Unreachable {
        /// As it was given.
        endpoint: String,
        /// What the network says.
        problem: String,
    },
    /// No answer, or 5xx: the request may or may not have been carried out.
    #[error("{operation} at {endpoint} failed: {problem}. Run the command again")]
    Unanswered {
        /// As it was given.
        endpoint: String,
        /// Such as `GetMessages`.
        operation: &'static str,
        /// What is known.
        problem: String,
    },
    /// Any other answer than 200.
    #[error("{operation} was refused with {status}: {problem}. {advice}")]
    Refused {
        /// Such as `GetMessages`.
        operation: &'static str,
        /// Such as 404.
        status: u16,
        /// The endpoint's code and message, fit for a terminal.
        problem: String,
        /// What to change.
        advice: &'static str,
    },
    /// A 200 that OCI Streaming would not give.
    #[error(
        "the answer to {operation} is not what OCI Streaming gives: {problem}. Does --endpoint \
         name a stream endpoint?"
    )]
    Foreign {
        /// Such as `GetMessages`.
        operation: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// One request, before anything that only the network needs is added.
#[derive(Debug)]
struct Call {
    /// For messages.
    operation: &'static str,
    method: &'static str,
    /// With the query, percent-encoded.
    path: String,
    body: Vec<u8>,
}

/// A 200.
#[derive(Debug)]
struct Answer {
    next_cursor: Option<String>,
    body: Vec<u8>,
}

/// A client of one endpoint.
#[derive(Debug)]
pub struct StreamClient {
    agent: Agent,
    endpoint: String,
}

impl StreamClient {
    /// A client of an endpoint, such as `http://127.0.0.1:8090`; nothing is sent yet.
    ///
    /// # Errors
    /// A text that says why this is no endpoint.
    pub fn new(endpoint: &str) -> Result<Self, String> {
        let endpoint = endpoint.trim_end_matches('/');
        if endpoint.starts_with("https://") {
            return Err(format!(
                "{endpoint}: https needs signed requests, which this tool can't make yet. Name a \
                 signing proxy by its http:// address"
            ));
        }
        let uri = endpoint.parse::<ureq::http::Uri>().ok();
        let host = uri.as_ref().and_then(ureq::http::Uri::host);
        if !endpoint.starts_with("http://") || host.is_none_or(str::is_empty) {
            return Err(format!(
                "{endpoint:?} is no endpoint; write a URL such as http://127.0.0.1:8090"
            ));
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // The endpoint is this machine or a signing proxy; one more would break signatures.
            .proxy(None)
            // A redirect would lead a signed request elsewhere.
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(ANSWER_TIMEOUT))
            .build()
            .into();
        let endpoint = endpoint.to_owned();
        Ok(Self { agent, endpoint })
    }

    /// Performs a request, with patience: 429 is obeyed, 5xx and silence are tried again a few
    /// times. Repeating PutMessages after silence may store twice; that is within "at least once".
    fn perform(&self, call: &Call) -> Result<Answer, StreamError> {
        let mut tries = 0;
        let mut pause = PAUSE_FIRST;
        loop {
            tries += 1;
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
                | StreamError::Refused { .. }
                | StreamError::Foreign { .. } => return Err(error),
            };
            std::thread::sleep(wait.min(PAUSE_MAX));
            pause = pause.saturating_mul(2).min(PAUSE_MAX);
        }
    }

    /// The one way by which requests leave. A signature is to be added here: method, path and query
    /// are final, and `host` and `date` are known to nobody before.
    fn send(&self, call: &Call) -> Result<Answer, StreamError> {
        let operation = call.operation;
        let foreign = |problem: String| StreamError::Foreign { operation, problem };
        let request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.endpoint, call.path))
            .header("accept", "application/json")
            .header("content-type", "application/json");
        let sent = if call.method == "GET" {
            let request = request
                .body(())
                .map_err(|error| foreign(error.to_string()))?;
            self.agent.run(request)
        } else {
            let body = call.body.as_slice();
            let request = request
                .body(body)
                .map_err(|error| foreign(error.to_string()))?;
            self.agent.run(request)
        };
        let mut response = sent.map_err(|error| self.failure(operation, &error))?;
        let status = response.status().as_u16();
        let cursor = response.headers().get("opc-next-cursor");
        let next_cursor = cursor
            .and_then(|cursor| cursor.to_str().ok())
            .map(str::to_owned);
        let body = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec();
        let body = body.map_err(|error| self.failure(operation, &error))?;
        if status == 200 {
            return Ok(Answer { next_cursor, body });
        }
        let problem = describe(&body);
        Err(if status >= 500 {
            let (endpoint, problem) = (self.endpoint.clone(), format!("{status} {problem}"));
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
                advice: advice(status),
            }
        })
    }

    fn failure(&self, operation: &'static str, error: &Error) -> StreamError {
        use std::io::ErrorKind;
        let (endpoint, problem) = (self.endpoint.clone(), error.to_string());
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
}

/// Whether a text can be a stream's id. Ids come from letters too, and stand in paths.
#[must_use]
pub fn is_stream_id(id: &str) -> bool {
    let characters = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=STREAM_ID_CHARS_MAX).contains(&id.len())
        && !id.starts_with('.')
        && id.bytes().all(characters)
}

fn advice(status: u16) -> &'static str {
    match status {
        401 | 403 => {
            "This endpoint wants signed requests, which this tool can't make yet: name a signing \
             proxy with --endpoint"
        }
        404 => "Check --dead-stream, --stream and --endpoint",
        429 => "The endpoint was busy for long: run the command again later",
        _ => "Check --endpoint",
    }
}

/// The endpoint's code and message, or the beginning of whatever it said.
fn describe(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct OciError {
        code: String,
        message: String,
    }
    let said = match serde_json::from_slice::<OciError>(body) {
        Ok(error) => format!("{} {}", error.code, error.message),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let said = text::line(said.trim(), ERROR_CHARS_MAX);
    said.trim_end_matches('.').to_owned()
}

/// The wait that OCI states as "next request can be made in N ms".
fn wait_in(problem: &str) -> Option<Duration> {
    let (_, after) = problem.split_once("next request can be made in ")?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_http_urls() {
        for good in [
            "http://127.0.0.1:8090",
            "http://h/prefix/",
            "http://[::1]:1",
        ] {
            assert!(StreamClient::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "127.0.0.1:8090",
            "https://h",
            "ftp://h",
            "http://",
            "http://a b",
        ] {
            assert!(StreamClient::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn stream_ids_cannot_change_the_path() {
        assert!(is_stream_id("ocid1.stream.oc1.local.calls-dead"));
        for bad in ["", "..", ".x", "a/b", "a?b", "a%2fb", "ä", &"x".repeat(257)] {
            assert!(!is_stream_id(bad), "{bad}");
        }
    }

    #[test]
    fn the_endpoint_says_how_long_to_wait() {
        let said = describe(
            br#"{"code":"TooManyRequests","message":"the next request can be made in 120 ms."}"#,
        );
        assert_eq!(wait_in(&said), Some(Duration::from_millis(120)));
        assert_eq!(wait_in("later"), None);
        assert!(describe(&[b'x'; 10_000]).chars().count() <= ERROR_CHARS_MAX + 1);
    }
}
