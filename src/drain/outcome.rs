//! Step 2b: what the result of an attempt means.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::headers::ANSWER_CUT;
use crate::http::{CalloutResult, IncomingResponse, first};
use crate::time::Wall;

/// What becomes of a call after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target has taken it; redirects are not followed.
    Delivered {
        /// The status.
        status: u16,
    },
    /// It may work another time.
    Retryable {
        /// The status, if there was one.
        status: Option<u16>,
        /// How long the target asks us to wait.
        retry_after: Option<Duration>,
    },
    /// The target refuses it for good, or the gateway does.
    Rejected {
        /// The status.
        status: u16,
    },
    /// The gateway itself could not make the call. Its target never saw it, and it doesn't count as
    /// an attempt.
    GatewayFault {
        /// What Envoy says of it.
        what: String,
    },
    /// The gateway refuses to make the call: its name leads to an address that must not be reached.
    Denied {
        /// What Envoy says of it.
        what: String,
    },
}

/// The field that the dispatch listeners add to answers that Envoy itself has made, by their
/// `local_reply_config`: response flags, a space, and response code details. They remove it from
/// the answers of targets.
pub const LOCAL_REPLY: &str = "async-local-reply";

/// The field that the dispatch listeners add to every answer that passes through them. The way to
/// these listeners is also within Envoy: if it breaks, or the callout's time is over, there is an
/// answer without this field. A target may set the field too, which changes nothing.
pub const ANSWERED: &str = "async-answered";

/// Statuses that an answer without that field may have: it comes from the gateway, between the
/// drain and its listeners.
const ON_THE_WAY: RangeInclusive<u16> = 502..=504;

/// The start of Envoy's response code details if a route itself is the answer.
const BY_ROUTE: &str = "direct_response";

/// Envoy's response flags that say "it was not sent, and that is not the target's fault": no
/// healthy host, a full circuit breaker, no route or cluster, an overloaded or ending Envoy.
const GATEWAY_FAULTS: [&str; 7] = ["UH", "UO", "NR", "NC", "OM", "DO", "NFCF"];

/// What Envoy says if the connection to a target was closed before its answer began: the response
/// flag and the start of the response code details.
const CLOSED_EARLY: &[u8] = b"UC upstream_reset_before_response_started{connection_termination";

/// The start of Envoy's response code details if its RBAC filter refuses a request.
const DENIED: &str = "rbac_access_denied";

/// A set of statuses from 100 to 599, with 0 for "Envoy gave none".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusSet(Vec<(u16, u16)>);

impl StatusSet {
    /// Reads statuses such as `503` and classes such as `5xx`.
    ///
    /// # Errors
    /// The first text that is neither, with what is allowed.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        let range = |text: &String| {
            let (class, rest) = text.split_at_checked(1).unwrap_or_default();
            let class = class.parse::<u16>().ok();
            let range = match (class, rest) {
                (Some(class @ 1..=5), "xx") => Some((class * 100, class * 100 + 99)),
                _ => text.parse().ok().map(|status: u16| (status, status)),
            };
            range
                .filter(|(first, _)| (100..600).contains(first))
                .ok_or_else(|| {
                    format!("{text:?} is neither a status from 100 to 599 nor a class such as 5xx")
                })
        };
        texts.iter().map(range).collect::<Result<_, _>>().map(Self)
    }

    /// Returns whether the set holds this status.
    #[must_use]
    pub fn has(&self, status: u16) -> bool {
        let mut ranges = self.0.iter();
        ranges.any(|(first, last)| (*first..=*last).contains(&status))
    }
}

/// The operator's table of outcomes. A status in neither set is refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeTable {
    /// The target has taken the call.
    pub delivered: StatusSet,
    /// It may work another time.
    pub retried: StatusSet,
}

impl OutcomeTable {
    /// Classifies a result. Time-outs and broken connections are retryable.
    #[must_use]
    pub fn classify(&self, result: &CalloutResult, now: Wall) -> Outcome {
        let response = match result {
            CalloutResult::NotSent => {
                return Outcome::GatewayFault {
                    what: "Envoy could not send it: no healthy host, or a circuit breaker is open"
                        .to_owned(),
                };
            }
            CalloutResult::Lost => {
                return Outcome::Retryable {
                    status: None,
                    retry_after: None,
                };
            }
            CalloutResult::Answered(response) => response,
        };
        if let Some(outcome) = local_fault(response) {
            return outcome;
        }
        if of_gateway(response).is_some() {
            return match response.status {
                status if status >= 500 || self.retried.has(status) => Outcome::Retryable {
                    status: None,
                    retry_after: None,
                },
                status => Outcome::Rejected { status },
            };
        }
        match response.status {
            status if self.delivered.has(status) => Outcome::Delivered { status },
            0 => Outcome::Retryable {
                status: None,
                retry_after: None,
            },
            status if self.retried.has(status) => Outcome::Retryable {
                status: Some(status),
                retry_after: retry_after(response, now),
            },
            status => Outcome::Rejected { status },
        }
    }
}

/// Returns what the gateway says if an answer is its own and not the target's: a connection that
/// failed, time that ran out, a request that it can't send. Such an answer is never told as the
/// target's status. Returns `None` if the target has answered, or a route that is an answer itself.
#[must_use]
pub fn of_gateway(response: &IncomingResponse) -> Option<String> {
    let has = |name| first(&response.headers, name).is_some();
    if has(ANSWER_CUT) || response.status < 400 {
        return None;
    }
    let status = response.status;
    let Some(said) = first(&response.headers, LOCAL_REPLY) else {
        let is_on_the_way = !has(ANSWERED) && ON_THE_WAY.contains(&status);
        return is_on_the_way.then(|| status.to_string());
    };
    let said = String::from_utf8_lossy(said);
    let (_, details) = said.split_once(' ').unwrap_or_default();
    (!details.starts_with(BY_ROUTE)).then(|| format!("{status} {said}"))
}

/// Returns whether the target's connection was closed before any part of an answer came. It may be
/// a kept connection that the target closed in the moment when it was used again; then the target
/// never saw the call (RFC 9112 §9.5).
#[must_use]
pub fn is_closed_early(result: &CalloutResult) -> bool {
    let CalloutResult::Answered(response) = result else {
        return false;
    };
    let said = first(&response.headers, LOCAL_REPLY).unwrap_or_default();
    first(&response.headers, ANSWER_CUT).is_none() && said.starts_with(CLOSED_EARLY)
}

/// Returns what an answer of Envoy's own means, unless it is about the target. A connection that
/// failed or broke, and time that ran out, are about the target: they count as attempts.
fn local_fault(response: &IncomingResponse) -> Option<Outcome> {
    // The target's answer, which the gateway has cut. Envoy marks it as an answer of its own.
    if first(&response.headers, ANSWER_CUT).is_some() {
        return None;
    }
    let said = String::from_utf8_lossy(first(&response.headers, LOCAL_REPLY)?).into_owned();
    let (flags, details) = said.split_once(' ').unwrap_or((said.as_str(), ""));
    if details.starts_with(DENIED) {
        return Some(Outcome::Denied { what: said });
    }
    let is_fault = flags.split(',').any(|flag| GATEWAY_FAULTS.contains(&flag));
    is_fault.then_some(Outcome::GatewayFault { what: said })
}

/// Returns the value of `Retry-After` in either form (RFC 9110 §10.2.3). An invalid value counts as
/// absent.
fn retry_after(response: &IncomingResponse, now: Wall) -> Option<Duration> {
    let text = std::str::from_utf8(first(&response.headers, "retry-after")?)
        .ok()?
        .trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit mean a long time, and are not invalid.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let date = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(date.saturating_sub(Duration::from_millis(now.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> Result<StatusSet, String> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        StatusSet::parse(&texts)
    }

    fn table() -> OutcomeTable {
        OutcomeTable {
            delivered: set(&["2xx", "3xx"]).unwrap(),
            retried: set(&["408", "425", "429", "500", "502", "503", "504"]).unwrap(),
        }
    }

    fn classify(result: &CalloutResult, now: Wall) -> Outcome {
        table().classify(result, now)
    }

    /// Returns an answer of the target.
    fn of_target(status: u16, headers: &[(&str, &str)]) -> CalloutResult {
        answered(status, &[headers, &[(ANSWERED, "true")]].concat())
    }

    fn answered(status: u16, headers: &[(&str, &str)]) -> CalloutResult {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).into()))
            .collect();
        CalloutResult::Answered(IncomingResponse {
            status,
            headers,
            body: Vec::new(),
            body_bytes: 0,
        })
    }

    #[test]
    fn every_status_has_its_meaning() {
        for status in 200..600 {
            let outcome = classify(&of_target(status, &[]), Wall(0));
            let expected = match status {
                ..400 => Outcome::Delivered { status },
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
        assert_eq!(classify(&answered(0, &[]), Wall(0)), lost);
    }

    #[test]
    fn the_table_is_the_operators() {
        let table = OutcomeTable {
            delivered: set(&["200", "409"]).unwrap(),
            retried: set(&["4xx"]).unwrap(),
        };
        let outcome = |status| table.classify(&answered(status, &[]), Wall(0));
        assert_eq!(outcome(409), Outcome::Delivered { status: 409 });
        assert!(matches!(outcome(404), Outcome::Retryable { .. }));
        assert_eq!(outcome(201), Outcome::Rejected { status: 201 });
        for bad in ["", "5", "5xy", "6xx", "0xx", "99", "600", "2 00", "-1", "é"] {
            let error = set(&["200", bad]).unwrap_err();
            assert!(error.contains("a class such as 5xx"), "{error}");
        }
    }

    #[test]
    fn the_gateways_own_faults_are_not_the_targets() {
        let local = |status, said| classify(&answered(status, &[(LOCAL_REPLY, said)]), Wall(0));
        for (status, said) in [
            (503, "UH no_healthy_upstream"),
            (503, "UO overflow"),
            (404, "NR route_not_found"),
            (503, "NC cluster_not_found"),
            (503, "UF,UO x"),
            (503, "OM"),
        ] {
            assert!(
                matches!(local(status, said), Outcome::GatewayFault { .. }),
                "{said}"
            );
        }
        for said in [
            "UF upstream_reset_before_response_started{remote_connection_failure}",
            "UT",
            "UC x",
        ] {
            assert!(
                matches!(local(503, said), Outcome::Retryable { .. }),
                "{said}"
            );
        }
        assert!(matches!(
            local(403, "- rbac_access_denied_matched_policy[private]"),
            Outcome::Denied { .. }
        ));
        assert!(matches!(
            classify(&CalloutResult::NotSent, Wall(0)),
            Outcome::GatewayFault { .. }
        ));
    }

    #[test]
    fn what_the_gateway_says_is_not_the_targets_status() {
        let refused = "UF upstream_reset_before_response_started{remote_connection_failure}";
        for (status, fields) in [
            (503, &[(LOCAL_REPLY, refused), (ANSWERED, "true")][..]),
            (504, &[(LOCAL_REPLY, "UT response_timeout")]),
            (504, &[]),
            (503, &[]),
            (502, &[("retry-after", "9")]),
        ] {
            let table = OutcomeTable {
                delivered: set(&["2xx", "5xx"]).unwrap(),
                retried: set(&[]).unwrap(),
            };
            let result = answered(status, fields);
            let lost = Outcome::Retryable {
                status: None,
                retry_after: None,
            };
            assert_eq!(table.classify(&result, Wall(0)), lost, "{fields:?}");
            let CalloutResult::Answered(response) = &result else {
                panic!("it is one")
            };
            let said = of_gateway(response).unwrap();
            assert!(said.starts_with(&status.to_string()), "{said}");
        }
        let too_large = answered(413, &[(LOCAL_REPLY, "- request_payload_too_large")]);
        let outcome = classify(&too_large, Wall(0));
        assert_eq!(outcome, Outcome::Rejected { status: 413 });
        for (status, fields) in [
            (503, &[(ANSWERED, "true")][..]),
            (503, &[(ANSWER_CUT, "true"), (LOCAL_REPLY, "- x")]),
            (
                501,
                &[(LOCAL_REPLY, "- direct_response"), (ANSWERED, "true")],
            ),
            (500, &[]),
            (200, &[(LOCAL_REPLY, "- health_check_ok")]),
        ] {
            let CalloutResult::Answered(response) = answered(status, fields) else {
                panic!("it is one")
            };
            assert_eq!(of_gateway(&response), None, "{fields:?}");
        }
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let seconds = |text| {
            let result = of_target(503, &[("retry-after", text)]);
            let outcome = classify(&result, Wall(784_111_777_000));
            let Outcome::Retryable { retry_after, .. } = outcome else {
                panic!("{outcome:?}")
            };
            retry_after.map(|wait| wait.as_secs())
        };
        assert_eq!(seconds("7"), Some(7));
        assert_eq!(seconds("99999999999999999999999"), Some(u64::MAX));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(seconds("soon"), None);
        assert_eq!(seconds("-1"), None);
        assert_eq!(seconds("+5"), None);
        assert_eq!(seconds(""), None);
    }
}
