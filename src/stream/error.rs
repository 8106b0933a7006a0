//! What the Stream's refusals mean for the filter.

use std::time::Duration;

use serde::Deserialize;

use crate::http::{CalloutResult, IncomingResponse, first};
use crate::limits::{ASKED_PAUSE_MAX, LOGGED_ANSWER_BYTES_MAX};
use crate::time::Wall;
use crate::time_text::parse_http_date;

/// Why a request to the Stream has failed, by what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// 400 on a cursor: it has expired, was moved to somebody else, or is broken. Make a new one.
    CursorLost(String),
    /// 400, because what the group has committed is older than what the Stream keeps. The group has
    /// to be moved.
    OutsideRetention(String),
    /// 401: the signature, its date or its key isn't valid.
    Unauthenticated {
        /// What the Stream says.
        text: String,
        /// When the Stream says so, by its own clock.
        date: Option<Wall>,
    },
    /// 429: wait as long as the Stream says, if it does.
    Throttled(Option<Duration>, String),
    /// 413: the Stream doesn't take a message of this size.
    TooLarge(String),
    /// Any other answer: configuration or credentials are wrong, or the Stream is in trouble.
    Refused(String),
    /// No answer: the request may or may not have been carried out.
    Unanswered(String),
}

impl StreamError {
    /// Returns the text for the log.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::CursorLost(text)
            | Self::OutsideRetention(text)
            | Self::Unauthenticated { text, .. }
            | Self::Throttled(_, text)
            | Self::TooLarge(text)
            | Self::Refused(text)
            | Self::Unanswered(text) => text,
        }
    }
}

impl StreamError {
    /// Returns how long the Stream asks to wait; zero if it doesn't.
    #[must_use]
    pub fn asked_pause(&self) -> Duration {
        match self {
            Self::Throttled(asked, _) => asked.unwrap_or_default(),
            Self::CursorLost(_)
            | Self::OutsideRetention(_)
            | Self::Unauthenticated { .. }
            | Self::TooLarge(_)
            | Self::Refused(_)
            | Self::Unanswered(_) => Duration::ZERO,
        }
    }

    /// Returns whether the Stream refuses the messages themselves, so that putting them again
    /// doesn't help.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            // These are answers to PutMessages, which has no cursor.
            Self::CursorLost(_) | Self::OutsideRetention(_) | Self::TooLarge(_) => true,
            Self::Unauthenticated { .. }
            | Self::Throttled(..)
            | Self::Refused(_)
            | Self::Unanswered(_) => false,
        }
    }
}

/// Returns the answer if its status is 200.
///
/// # Errors
/// What any other result means for the next step.
pub fn expect_ok(result: CalloutResult) -> Result<IncomingResponse, StreamError> {
    let response = match result {
        CalloutResult::Answered(response) => response,
        CalloutResult::Lost => {
            let text = "no answer in time, or the connection broke".to_owned();
            return Err(StreamError::Unanswered(text));
        }
        CalloutResult::NotSent => {
            let text = "Envoy could not send the request: is the cluster there and has it \
                        endpoints, and is there a token, if a principal signs?";
            return Err(StreamError::Refused(text.to_owned()));
        }
    };
    // This comes first, because most answers are good, and good answers are large.
    if response.status == 200 {
        return Ok(response);
    }
    let text = describe(&response);
    match response.status {
        400 if text.contains("outside the retention period") => {
            Err(StreamError::OutsideRetention(text))
        }
        400 => Err(StreamError::CursorLost(text)),
        401 => {
            let date = first(&response.headers, "date");
            let date = date.and_then(|date| parse_http_date(&String::from_utf8_lossy(date)));
            Err(StreamError::Unauthenticated { text, date })
        }
        413 => Err(StreamError::TooLarge(text)),
        429 => Err(StreamError::Throttled(wait_in(&text), text)),
        status if status < 500 || never_sent(&response) => Err(StreamError::Refused(text)),
        // The Stream has trouble of its own, or this is Envoy's answer after the connection broke
        // or time ran out.
        _ => Err(StreamError::Unanswered(text)),
    }
}

/// Returns whether this is Envoy's own answer to a request for which it had no connection. A real
/// answer has `x-envoy-upstream-service-time`.
fn never_sent(response: &IncomingResponse) -> bool {
    let own = first(&response.headers, "x-envoy-upstream-service-time").is_none();
    let body = String::from_utf8_lossy(&response.body);
    let causes = [
        "connection failure",
        "no healthy upstream",
        "connection timeout",
        "overflow",
    ];
    own && response.status == 503 && causes.iter().any(|cause| body.contains(cause))
}

/// Returns status, code and message of an answer, cut to a length that fits a log line.
fn describe(response: &IncomingResponse) -> String {
    #[derive(Deserialize)]
    struct Error {
        code: String,
        message: String,
    }
    let said = match serde_json::from_slice::<Error>(&response.body) {
        Ok(error) => format!("{} {}", error.code, error.message),
        Err(_) => String::from_utf8_lossy(&response.body).into_owned(),
    };
    let said: String = said.chars().take(LOGGED_ANSWER_BYTES_MAX).collect();
    format!("{}: {said}", response.status)
}

/// Returns the wait that OCI states as "next request can be made in N ms", in a 429 or for one
/// message.
#[must_use]
pub fn wait_in(text: &str) -> Option<Duration> {
    let (_, after) = text.split_once("next request can be made in ")?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    let wait = digits.parse().ok().map(Duration::from_millis)?;
    Some(wait.min(ASKED_PAUSE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> CalloutResult {
        CalloutResult::Answered(IncomingResponse {
            status,
            headers: Vec::new(),
            body: body.into(),
            body_bytes: body.len(),
        })
    }

    #[test]
    fn refusals_are_told_apart_by_what_to_do() {
        let lost = expect_ok(answered(
            400,
            r#"{"code":"InvalidParameter","message":"expired"}"#,
        ));
        assert_eq!(
            lost,
            Err(StreamError::CursorLost(
                "400: InvalidParameter expired".to_owned()
            ))
        );
        let throttled = expect_ok(answered(429, "next request can be made in 120 ms."));
        assert!(
            matches!(throttled, Err(StreamError::Throttled(Some(wait), _))
            if wait == Duration::from_millis(120))
        );
        assert!(matches!(
            expect_ok(answered(404, "")),
            Err(StreamError::Refused(_))
        ));
        assert!(matches!(
            expect_ok(answered(401, "")),
            Err(StreamError::Unauthenticated { date: None, .. })
        ));
        let outside = "The cursor is outside the retention period and is now invalid.";
        assert!(matches!(
            expect_ok(answered(400, outside)),
            Err(StreamError::OutsideRetention(_))
        ));
        let for_ever = "next request can be made in 99999999999 ms";
        assert_eq!(wait_in(for_ever), Some(ASKED_PAUSE_MAX));
        assert!(matches!(
            expect_ok(CalloutResult::Lost),
            Err(StreamError::Unanswered(_))
        ));
        assert!(matches!(
            expect_ok(CalloutResult::NotSent),
            Err(StreamError::Refused(_))
        ));
        assert!(expect_ok(answered(200, "")).is_ok());
    }

    #[test]
    fn a_broken_connection_leaves_it_open_whether_the_request_was_carried_out() {
        let envoy = "upstream connect error or disconnect/reset before headers. reset reason: ";
        for (cause, sent) in [
            ("remote connection failure", false),
            ("connection termination", true),
        ] {
            let result = expect_ok(answered(503, &format!("{envoy}{cause}")));
            assert_eq!(
                matches!(result, Err(StreamError::Unanswered(_))),
                sent,
                "{cause}"
            );
        }
    }

    #[test]
    fn long_answers_are_cut() {
        let Err(error) = expect_ok(answered(500, &"x".repeat(10_000))) else {
            panic!("no error")
        };
        assert!(error.text().len() < 400);
    }
}
