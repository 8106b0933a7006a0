//! Why a request has failed, in words that lead to the cause.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use sluice::stream::signing::clock_trouble;
use sluice::time::Wall;

use crate::limits::ERROR_CHARS_MAX;
use crate::text;

/// Why a request has failed, by what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The request was not sent.
    #[error(
        "cannot reach {endpoint}: {problem}. Start the endpoint, or name another one with \
         --endpoint or SLUICE_ENDPOINT"
    )]
    Unreachable {
        /// The URL as it was given.
        endpoint: String,
        /// What the network says.
        problem: String,
    },
    /// The endpoint's certificate isn't trusted, or the endpoint doesn't speak TLS.
    #[error("no secure connection to {endpoint}: {problem}. {advice}")]
    Insecure {
        /// The URL as it was given.
        endpoint: String,
        /// What is wrong with the certificate or the handshake.
        problem: String,
        /// What to change.
        advice: &'static str,
    },
    /// The request could not be signed.
    #[error("{operation} was not sent: {problem}")]
    Unsigned {
        /// Such as `GetMessages`.
        operation: &'static str,
        /// Why.
        problem: String,
    },
    /// No answer, or 5xx: the request may or may not have been carried out.
    #[error("{operation} at {endpoint} failed: {problem}. Run the command again")]
    Unanswered {
        /// The URL as it was given.
        endpoint: String,
        /// Such as `GetMessages`.
        operation: &'static str,
        /// What is known.
        problem: String,
    },
    /// An answer other than 200.
    #[error("{operation} was refused with {status}: {problem}. {advice}")]
    Refused {
        /// Such as `GetMessages`.
        operation: &'static str,
        /// Such as 404.
        status: u16,
        /// The endpoint's code and message, fit for a terminal.
        problem: String,
        /// What to change.
        advice: Cow<'static, str>,
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

/// Who signed a request, and the time on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'a> {
    /// The key id, fit for a terminal.
    pub(super) key_id: &'a str,
    /// Whether it is a security token's.
    pub(super) is_token: bool,
    /// The date of the answer.
    pub(super) theirs: Option<Wall>,
    /// When the answer came.
    pub(super) ours: Wall,
}

/// Returns what to do about a status; `signed` is `None` if the request wasn't signed.
pub(super) fn advice(status: u16, signed: Option<Signed<'_>>) -> Cow<'static, str> {
    match (status, signed) {
        (401 | 403, None) => {
            "This endpoint wants signed requests: give --profile, or --key-id and \
             --key-file"
                .into()
        }
        (401, Some(signed)) => refused_signature(signed).into(),
        (403, Some(signed)) => {
            format!("{} may not do this: check its policies", signed.key_id).into()
        }
        (404, None) => "Check --dead-stream, --stream and --endpoint".into(),
        (404, Some(signed)) => format!(
            "Check --dead-stream, --stream and --endpoint, and the policies of {}: OCI answers 404 \
             where one is missing, too (read streams, use stream-pull, use stream-push)",
            signed.key_id
        )
        .into(),
        (429, _) => "The endpoint was busy for long: run the command again later".into(),
        _ => "Check --endpoint".into(),
    }
}

fn refused_signature(signed: Signed<'_>) -> String {
    if let Some(trouble) = signed
        .theirs
        .and_then(|theirs| clock_trouble(theirs, signed.ours))
    {
        return format!("Most likely {trouble}");
    }
    let key_id = signed.key_id;
    let key = if signed.is_token {
        "that the security token has not expired (`oci session refresh` renews it) and belongs to \
         the key file"
    } else {
        "that the API key with this fingerprint is listed for this user, and that user and tenancy \
         are right"
    };
    format!(
        "It was signed as {key_id}. Check {key}, and that nothing on the way rewrites host or path"
    )
}

/// Returns the endpoint's code and message, or the beginning of whatever it said.
pub(super) fn describe(body: &[u8]) -> String {
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

/// Returns the wait that OCI states as "next request can be made in N ms".
pub(super) fn wait_in(problem: &str) -> Option<Duration> {
    let (_, after) = problem.split_once("next request can be made in ")?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_says_how_long_to_wait() {
        let said = describe(
            br#"{"code":"TooManyRequests","message":"the next request can be made in 120 ms."}"#,
        );
        assert_eq!(wait_in(&said), Some(Duration::from_millis(120)));
        assert_eq!(wait_in("later"), None);
        assert!(describe(&[b'x'; 10_000]).chars().count() <= ERROR_CHARS_MAX + 1);
    }

    #[test]
    fn a_refused_signature_leads_to_its_cause() {
        let signed = |theirs, is_token| Signed {
            key_id: "t/u/f",
            is_token,
            theirs,
            ours: Wall(1_000_000),
        };
        let said = |theirs, is_token| advice(401, Some(signed(theirs, is_token))).into_owned();
        assert!(said(Some(Wall(400_000)), false).contains("600 s ahead of"));
        assert!(said(Some(Wall(1_001_000)), false).contains("listed for this user"));
        assert!(said(None, true).contains("oci session refresh"));
        assert!(advice(401, None).contains("--profile"));
        assert!(advice(404, Some(signed(None, false))).contains("policies of t/u/f"));
    }
}
