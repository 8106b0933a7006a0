//! Targets: what the receiver of a call does.

use sluice::http::CalloutResult;
use sluice::http::IncomingResponse;

use crate::call::Temper;
use crate::fault_counts::FaultKind;
use crate::ledger::{End, meaning};
use crate::rng::Rng;

/// The field that marks an answer as Envoy's own.
const OWN_ANSWER: &str = "async-local-reply";

/// Words of Envoy that no reply may contain.
pub const ENVOYS_WORDS: &str = "upstream request timeout";

/// What a target does: an answer after so many milliseconds, or nothing.
pub type Reaction = Option<(u64, CalloutResult)>;

/// Returns how a target reacts to a request for this path. `is_calm` means that nothing goes wrong
/// any more.
pub fn react(rng: &mut Rng, path: &str, unusual: u64, is_calm: bool) -> Reaction {
    let after = rng.between(0, 40);
    let unusual = if is_calm { 0 } else { unusual };
    if rng.per_mille(unusual) {
        return fail(rng);
    }
    match Temper::of(path) {
        Temper::Good => Some((after, answer(200, &[], "done"))),
        Temper::Flaky if !is_calm && rng.coin() => fail(rng),
        Temper::Flaky => Some((after, answer(204, &[], ""))),
        Temper::Broken => Some((after, answer(422, &[], "no"))),
        Temper::Failing => Some((after, answer(503, &[], "never"))),
        Temper::Limiting if !is_calm && rng.per_mille(600) => {
            let seconds = rng.between(1, 12).to_string();
            Some((after, answer(429, &[("retry-after", &seconds)], "")))
        }
        Temper::Limiting => Some((after, answer(302, &[("location", "/elsewhere")], ""))),
        Temper::Slow => Some((rng.between(100, 3_000), answer(200, &[], "at last"))),
    }
}

/// Returns what is wrong with a reaction, if anything.
#[must_use]
pub fn trouble(reaction: Option<&(u64, CalloutResult)>) -> Option<FaultKind> {
    let Some((_, result)) = reaction else {
        return Some(FaultKind::TargetHangs);
    };
    let CalloutResult::Answered(response) = result else {
        return Some(FaultKind::TargetBreaks);
    };
    let is_own = response.headers.iter().any(|(name, _)| name == OWN_ANSWER);
    match meaning(result) {
        End::Delivered => None,
        End::Refused if is_own => Some(FaultKind::TargetDenied),
        End::Refused => Some(FaultKind::TargetRefuses),
        End::NeverSent => Some(FaultKind::TargetMissing),
        End::Again(pause) if pause > 0 => Some(FaultKind::TargetLimits),
        End::Again(_) => Some(FaultKind::TargetFails),
    }
}

fn fail(rng: &mut Rng) -> Reaction {
    let after = rng.between(0, 200);
    match rng.below(8) {
        0 => None,
        1 => Some((after, CalloutResult::Lost)),
        2 => Some((
            after,
            answer(503, &[(OWN_ANSWER, "UH no_healthy_upstream")], ""),
        )),
        3 => {
            let denied = [(OWN_ANSWER, "UAEX rbac_access_denied_matched_policy[x]")];
            Some((after, answer(403, &denied, "")))
        }
        4 => Some((
            after,
            answer(500, &[("retry-after", "nonsense")], "\u{0}\u{fffd}"),
        )),
        5 => Some((after, answer(0, &[], ""))),
        6 => Some((after, answer(504, &[], "slow"))),
        // This is from the gateway itself, on the way to its own listener.
        _ => Some((after, of_anybody(504, &[], ENVOYS_WORDS))),
    }
}

/// Returns an answer of a target, with these fields.
#[must_use]
pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> CalloutResult {
    of_anybody(
        status,
        &[headers, &[("async-answered", "true")]].concat(),
        body,
    )
}

fn of_anybody(status: u16, headers: &[(&str, &str)], body: &str) -> CalloutResult {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).into());
    CalloutResult::Answered(IncomingResponse {
        status,
        headers: headers.iter().map(own).collect(),
        body: body.into(),
        body_bytes: body.len(),
    })
}
