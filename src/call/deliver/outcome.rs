//! Step 2b: what the result of an attempt means.

use std::time::Duration;

use crate::engine::CalloutResult;
use crate::http::{IncomingResponse, first};
use crate::time::Wall;

/// What becomes of a call after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target has taken it: 2xx or 3xx; redirects are not followed.
    Delivered,
    /// It may work another time.
    Retryable {
        /// The status, where there was one.
        status: Option<u16>,
        /// How long the target asks us to wait.
        retry_after: Option<Duration>,
    },
    /// The target refuses it for good.
    Rejected {
        /// The status.
        status: u16,
    },
    /// Nothing was sent: the gateway itself could not. It counts as no attempt.
    NotSent,
}

/// Statuses that say "not now" (RFC 9110 §15, RFC 8470 §5.2, RFC 6585 §4).
const RETRYABLE_STATUSES: [u16; 8] = [0, 408, 425, 429, 500, 502, 503, 504];

/// Classifies a result. Time-outs and broken connections are retryable.
#[must_use]
pub fn classify(result: &CalloutResult, now: Wall) -> Outcome {
    match result {
        CalloutResult::NotSent => Outcome::NotSent,
        CalloutResult::Lost => Outcome::Retryable {
            status: None,
            retry_after: None,
        },
        CalloutResult::Answered(response) => match response.status {
            200..=399 => Outcome::Delivered,
            status if RETRYABLE_STATUSES.contains(&status) => Outcome::Retryable {
                status: Some(status),
                retry_after: retry_after(response, now),
            },
            status => Outcome::Rejected { status },
        },
    }
}

/// `Retry-After` in either form (RFC 9110 §10.2.3); nonsense counts as absent.
fn retry_after(response: &IncomingResponse, now: Wall) -> Option<Duration> {
    let text = std::str::from_utf8(first(&response.headers, "retry-after")?)
        .ok()?
        .trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(u64::from(seconds)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let date = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(date.saturating_sub(Duration::from_millis(now.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, retry_after: Option<&str>) -> CalloutResult {
        let headers = retry_after
            .map(|value| ("retry-after".to_owned(), value.into()))
            .into_iter()
            .collect();
        CalloutResult::Answered(IncomingResponse {
            status,
            headers,
            body: Vec::new(),
        })
    }

    #[test]
    fn every_status_has_its_meaning() {
        for status in 200..600 {
            let outcome = classify(&answered(status, None), Wall(0));
            let expected = match status {
                ..400 => Outcome::Delivered,
                408 | 425 | 429 | 500 | 502 | 503 | 504 => Outcome::Retryable {
                    status: Some(status),
                    retry_after: None,
                },
                _ => Outcome::Rejected { status },
            };
            assert_eq!(outcome, expected, "{status}");
        }
        let lost = Outcome::Retryable {
            status: None,
            retry_after: None,
        };
        assert_eq!(classify(&CalloutResult::Lost, Wall(0)), lost);
        assert_eq!(classify(&CalloutResult::NotSent, Wall(0)), Outcome::NotSent);
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let seconds = |text| match classify(&answered(503, Some(text)), Wall(784_111_777_000)) {
            Outcome::Retryable { retry_after, .. } => retry_after.map(|wait| wait.as_secs()),
            other @ (Outcome::Delivered | Outcome::Rejected { .. } | Outcome::NotSent) => {
                panic!("{other:?}")
            }
        };
        assert_eq!(seconds("7"), Some(7));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(seconds("soon"), None);
        assert_eq!(seconds("-1"), None);
    }
}
