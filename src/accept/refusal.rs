//! Every way in which a marked request is refused. Each refusal says what to change.

use std::time::Duration;

use serde::Serialize;

use crate::http::OutgoingResponse;
use crate::metric::Metric;

/// Why a marked request gets no `202`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An option header is wrong.
    BadOption {
        /// The header's name, as the configuration writes it.
        header: String,
        /// What is wrong with its value and what is allowed.
        detail: String,
    },
    /// The operator does not allow a target or a reply address.
    NotAllowed {
        /// The header's name.
        header: String,
        /// Which part of it no rule allows.
        detail: String,
    },
    /// The gateway has no route for the request.
    NoRoute,
    /// The body, or the record that it becomes, is too large.
    TooLarge {
        /// What was measured.
        what: &'static str,
        /// How much is allowed.
        limit_bytes: usize,
    },
    /// A part of the head can't be sent: its name in a call record, and what is allowed there.
    BadHead(String),
    /// The head has too much of something.
    HeadTooLarge {
        /// `headers` (with the request line) or `trailers`.
        member: &'static str,
        /// What was counted.
        unit: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// Another request has already used this idempotency key.
    KeyReused,
    /// Too many requests are already waiting.
    TooManyWaiting,
    /// So many requests of this caller wait that others would find no room.
    CallerWaits,
    /// The caller already has as many deferred calls as one caller may have.
    TooManyDeferred {
        /// How many.
        limit: usize,
        /// How long until one of them is due.
        soonest: Duration,
    },
    /// This kind of request can't be a call.
    NotAsynchronous(String),
    /// A gRPC stream can't be a call. The client is told in gRPC's way.
    GrpcStream,
    /// The Stream has not stored the call.
    StreamUnavailable {
        /// What the Stream said, if anything.
        detail: String,
        /// Whether the call may have been stored all the same.
        stored: Stored,
    },
}

/// What is known of a call whose publication failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is not on the Stream.
    No,
    /// The answer was lost. The call may be stored, and then it will be made.
    Unknown,
}

/// A problem detail (RFC 9457).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<&'static str>,
}

impl Refusal {
    /// Returns the counter of this reason.
    #[must_use]
    pub const fn metric(&self) -> Metric {
        match self {
            Self::BadOption { .. } => Metric::RefusedBadOption,
            Self::NotAllowed { .. } => Metric::RefusedNotAllowed,
            Self::NoRoute => Metric::RefusedNoRoute,
            Self::TooLarge { .. } => Metric::RefusedTooLarge,
            Self::BadHead(_) | Self::HeadTooLarge { .. } => Metric::RefusedBadHead,
            Self::KeyReused => Metric::RefusedKeyReused,
            Self::TooManyWaiting | Self::CallerWaits => Metric::RefusedTooManyWaiting,
            Self::TooManyDeferred { .. } => Metric::RefusedTooManyDeferred,
            Self::NotAsynchronous(_) | Self::GrpcStream => Metric::RefusedNotAsynchronous,
            Self::StreamUnavailable { .. } => Metric::RefusedStreamUnavailable,
        }
    }

    /// Returns the answer: `application/problem+json`, and `Retry-After` where waiting helps.
    #[must_use]
    pub fn response(&self, retry_after: Duration) -> OutgoingResponse {
        let problem = self.problem();
        if matches!(self, Self::GrpcStream) {
            let body = problem.detail.into_bytes();
            return OutgoingResponse {
                status: 501,
                headers: vec![],
                body,
                for_grpc: true,
            };
        }
        let mut headers = vec![("content-type", "application/problem+json".to_owned())];
        let pause = match self {
            Self::TooManyWaiting | Self::CallerWaits | Self::StreamUnavailable { .. } => {
                Some(retry_after)
            }
            Self::TooManyDeferred { soonest, .. } => Some(retry_after.max(*soonest)),
            Self::BadOption { .. }
            | Self::NotAllowed { .. }
            | Self::NoRoute
            | Self::TooLarge { .. }
            | Self::BadHead(_)
            | Self::HeadTooLarge { .. }
            | Self::KeyReused
            | Self::NotAsynchronous(_)
            | Self::GrpcStream => None,
        };
        if let Some(pause) = pause {
            headers.push(("retry-after", pause.as_secs().max(1).to_string()));
        }
        // Cannot fail: there are only strings and numbers in it.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        OutgoingResponse {
            status: problem.status,
            headers,
            body,
            for_grpc: false,
        }
    }

    fn problem(&self) -> Problem<'_> {
        match self {
            Self::BadOption { header, detail } => Problem {
                header: Some(header),
                ..problem(400, "urn:sluice:bad-option", "Bad option", detail.clone())
            },
            Self::NotAllowed { header, detail } => Problem {
                header: Some(header),
                ..problem(403, "urn:sluice:not-allowed", "Not allowed", detail.clone())
            },
            Self::NoRoute => problem(
                404,
                "urn:sluice:no-route",
                "No such route",
                "This gateway has no route for the request, so there is nothing to call."
                    .to_owned(),
            ),
            Self::TooLarge { what, limit_bytes } => Problem {
                limit_bytes: Some(*limit_bytes),
                ..problem(
                    413,
                    "urn:sluice:too-large",
                    "Too large",
                    format!("{what} of an asynchronous call may have at most {limit_bytes} bytes."),
                )
            },
            Self::BadHead(detail) => problem(
                400,
                "urn:sluice:bad-head",
                "Can't be sent",
                format!("{detail}."),
            ),
            Self::HeadTooLarge {
                member,
                unit,
                limit,
            } => head_too_large(member, unit, *limit),
            Self::KeyReused => problem(
                422,
                "urn:sluice:key-reused",
                "Idempotency key reused",
                "This idempotency key stands for another request already. Send the same request \
                 again, or give this one a key of its own."
                    .to_owned(),
            ),
            Self::TooManyWaiting => too_many_waiting("Too many calls wait to be stored."),
            Self::CallerWaits => too_many_waiting(
                "So many calls of this caller wait to be stored that others would find no room.",
            ),
            Self::TooManyDeferred { limit, .. } => too_many_deferred(*limit),
            Self::NotAsynchronous(detail) => not_asynchronous(detail.clone()),
            Self::GrpcStream => not_asynchronous(
                "A gRPC stream can't be made asynchronously; send it without the mark.".to_owned(),
            ),
            Self::StreamUnavailable { detail, stored } => stream_unavailable(detail, *stored),
        }
    }
}

fn head_too_large(member: &str, unit: &str, limit: usize) -> Problem<'static> {
    Problem {
        limit: Some(limit),
        ..problem(
            431,
            "urn:sluice:head-too-large",
            "Head too large",
            format!(
                "The {member} of an asynchronous call may have at most {limit} {unit}, counting \
                 the request line and 4 bytes for each field."
            ),
        )
    }
}

fn too_many_waiting(what: &str) -> Problem<'static> {
    problem(
        429,
        "urn:sluice:too-many-waiting",
        "Too many calls waiting",
        format!("{what} Nothing was stored; try again later."),
    )
}

fn too_many_deferred(limit: usize) -> Problem<'static> {
    Problem {
        limit: Some(limit),
        ..problem(
            429,
            "urn:sluice:too-many-deferred",
            "Too many deferred calls",
            format!(
                "This caller has {limit} calls that aren't due yet, as many as one may have. \
                 Nothing was stored; try again when some of them are due."
            ),
        )
    }
}

fn not_asynchronous(detail: String) -> Problem<'static> {
    problem(
        501,
        "urn:sluice:not-asynchronous",
        "Can't be asynchronous",
        detail,
    )
}

fn stream_unavailable(detail: &str, stored: Stored) -> Problem<'static> {
    let (known, advice) = match stored {
        Stored::No => ("no", "Nothing was stored; try again later."),
        Stored::Unknown => (
            "unknown",
            "Whether the call was stored is unknown: it may be made, and made again if you try \
             again.",
        ),
    };
    let detail = format!("{detail} {advice}");
    Problem {
        stored: Some(known),
        ..problem(
            503,
            "urn:sluice:stream-unavailable",
            "The Stream is unavailable",
            detail,
        )
    }
}

fn problem<'a>(
    status: u16,
    r#type: &'static str,
    title: &'static str,
    detail: String,
) -> Problem<'a> {
    Problem {
        r#type,
        title,
        status,
        detail,
        header: None,
        limit_bytes: None,
        limit: None,
        stored: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_problem_that_says_what_to_change() {
        let refusal = Refusal::TooLarge {
            what: "The body",
            limit_bytes: 10,
        };
        let response = refusal.response(Duration::from_secs(2));
        assert_eq!(response.status, 413);
        assert_eq!(
            response.headers,
            [("content-type", "application/problem+json".to_owned())]
        );
        let problem: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(problem["limitBytes"], 10);
        assert_eq!(problem["status"], 413);
        assert_eq!(
            problem["detail"],
            "The body of an asynchronous call may have at most 10 bytes."
        );
    }

    #[test]
    fn waiting_is_advised_where_it_helps() {
        let unavailable = |stored| Refusal::StreamUnavailable {
            detail: "x".to_owned(),
            stored,
        };
        for refusal in [
            Refusal::TooManyWaiting,
            Refusal::CallerWaits,
            unavailable(Stored::No),
            unavailable(Stored::Unknown),
        ] {
            let response = refusal.response(Duration::from_millis(1));
            assert!(response.headers.contains(&("retry-after", "1".to_owned())));
        }
        let soonest = Duration::from_secs(90);
        let refusal = Refusal::TooManyDeferred { limit: 7, soonest };
        let response = refusal.response(Duration::from_secs(2));
        assert!(response.headers.contains(&("retry-after", "90".to_owned())));
        let problem: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(
            (&problem["status"], &problem["limit"]),
            (&429.into(), &7.into())
        );
    }
}
