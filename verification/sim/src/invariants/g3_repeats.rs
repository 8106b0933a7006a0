//! G3: a call is repeated only if its outcome is unknown. An engine knows what it was told. Two
//! records of one call, after a doubtful PutMessages or a death, are two calls to it.

use std::collections::BTreeSet;

use sluice::drain::config::DrainConfig;

use super::{Start, Violation, millis};
use crate::callout::field;
use crate::ledger::{Attempt, End, Ledger, Place, Record};

/// How long a record is remembered whose session was lost (docs/ordering.md: two minutes).
const REMEMBERED_MS: u64 = 120_000;

/// After this time beyond its limit a callout counts as lost, in milliseconds.
pub const GIVEN_UP_MS: u64 = 5_000;

/// Checks the start of an attempt.
///
/// # Errors
/// If the same engine already knows the outcome, or has not heard of its last attempt yet, or has
/// made all attempts that it may make.
pub fn check(ledger: &Ledger, config: &DrainConfig, start: &Start<'_>) -> Result<(), Violation> {
    let broken = |text: String| Err(Violation::new("G3", start.call, text));
    if ledger.is_rolling
        && !has_two_origins(ledger, start)
        && let Some(known) = ledger.attempts_of(start.call).find(has_ended)
    {
        return broken(format!(
            "nothing but the replacement of gateways happened, and its end was known: {known:?}"
        ));
    }
    let own = |attempt: &&Attempt| attempt.by == start.by && !attempt.is_left;
    let mut mine = ledger.attempts_of(start.call).filter(own);
    let is_recent = |at: u64| start.at < at.saturating_add(REMEMBERED_MS);
    let known = mine.clone().find_map(|attempt| match attempt.end {
        // An answer that comes long after its time, as to a gateway that stood still, may find that
        // the callout was already given up.
        Some((at, end @ (End::Delivered | End::Refused))) => {
            let is_in_time = at < attempt.deadline.saturating_add(GIVEN_UP_MS);
            (is_recent(at) && is_in_time).then_some((attempt, end))
        }
        Some((_, End::Again(_) | End::NeverSent)) | None => None,
    });
    // Until the dead letter is stored, another record of the call may still be made.
    let is_certain = |end| end == End::Delivered && !has_two_origins(ledger, start);
    if let Some((known, end)) = known
        && (is_certain(end) || !is_in_doubt(ledger, start))
    {
        return broken(format!("its outcome was known: {known:?}"));
    }
    if is_in_doubt(ledger, start) {
        return Ok(());
    }
    if let Some(open) = mine.find(|attempt| attempt.end.is_none() && start.at < attempt.deadline) {
        return broken(format!("an attempt of it is under way: {open:?}"));
    }
    let asked = ledger
        .heads(start.call)
        .filter_map(|(_, head)| head.retries)
        .next();
    let retries = asked
        .unwrap_or(config.attempt.retries_default)
        .min(config.attempt.retries_max);
    let number = field(start.callout, "async-attempt");
    // A reply doesn't tell which attempt this is.
    let number: u32 = number.parse().unwrap_or(1);
    if number == 0 || number > retries.saturating_add(1) {
        return broken(format!("attempt {number} with {retries} retries"));
    }
    Ok(())
}

fn has_ended(attempt: &&Attempt) -> bool {
    !attempt.is_left && matches!(attempt.end, Some((_, End::Delivered | End::Refused)))
}

/// Returns whether there are two records of the same call that have never hopped. Nobody can tell
/// them from two calls.
fn has_two_origins(ledger: &Ledger, start: &Start<'_>) -> bool {
    let places = ledger.places.get(start.call).into_iter().flatten();
    let heads = places.filter_map(|place| ledger.records.get(place)?.head.as_ref());
    heads.filter(|head| head.progress.hops == 0).count() > 1
}

/// Returns whether two records of the same call may be under way: two that have never hopped, or
/// one for each of two engines, one of which lost its session before it could commit. An engine
/// that reads both makes both until the call has ended in one of them.
fn is_in_doubt(ledger: &Ledger, start: &Start<'_>) -> bool {
    let places = ledger.places.get(start.call).into_iter().flatten();
    let records: Vec<_> = places
        .filter_map(|place| ledger.records.get(place))
        .collect();
    let has_hopped = |record: &&&Record| {
        record
            .head
            .as_ref()
            .is_some_and(|head| head.progress.hops > 0)
    };
    let hopped = records.iter().filter(has_hopped).count();
    let mut later = records.iter().skip(1);
    let mut attempts = ledger.attempts_of(start.call);
    records.len().saturating_sub(hopped) > 1
        || records.len() > 1
            && (later.any(|record| record.by != Some(start.by))
                || attempts.any(|attempt| attempt.by != start.by))
}

/// Checks that a drain leaves attempts in doubt, which are made again. Those that take no longer
/// than `group.leaveMs` have come to their ends before.
///
/// # Errors
/// If it is too early.
pub fn left(config: &DrainConfig, checked_at: u64, now: u64) -> Result<(), Violation> {
    let patience = millis(config.group.lease.saturating_add(config.group.leave));
    let waited = now.saturating_sub(checked_at);
    if waited < patience {
        let text = format!("attempts were left {waited} ms after the last health check");
        return Err(Violation::new("G3", "", text));
    }
    Ok(())
}

/// Checks a stored record: a reply is stored once for each end of its call, and once more for each
/// doubt.
///
/// # Errors
/// If there is one too many.
pub fn stored(ledger: &Ledger, place: Place, id: &str) -> Result<(), Violation> {
    let head = ledger
        .records
        .get(&place)
        .and_then(|record| record.head.as_ref());
    let reply = head.filter(|head| head.progress.hops == 0);
    let Some(reply) = reply.and_then(|head| head.reply.as_ref()) else {
        return Ok(());
    };
    // An engine may have forgotten what it stored longer ago, if its session was lost.
    let now = ledger.records.get(&place).map_or(0, |record| record.at);
    let is_recent = |place: &Place| {
        let record = ledger.records.get(place);
        record.is_some_and(|record| now < record.at.saturating_add(REMEMBERED_MS))
    };
    let replies = ledger.heads(id).filter(|(_, head)| head.progress.hops == 0);
    let replies = replies.filter(|(place, _)| is_recent(place)).count();
    let ended = ledger.attempts_of(&reply.call_id).filter(has_ended).count();
    let places = ledger.places.get(&reply.call_id).into_iter().flatten();
    let dead: usize = places.filter_map(|place| ledger.dead.get(place)).sum();
    let doubts = ledger.doubts.get(id).copied().unwrap_or_default();
    // Each record of a call that another engine has stored may come to an end of its own.
    let engine = ledger.records.get(&place).and_then(|record| record.by);
    let places = ledger
        .places
        .get(&reply.call_id)
        .into_iter()
        .flatten()
        .skip(1);
    let others = places.filter_map(|place| ledger.records.get(place));
    let others = others.filter(|record| record.by != engine).count();
    let places = ledger.places.get(id).into_iter().flatten();
    let publishers = places.filter_map(|place| ledger.records.get(place)?.by);
    let publishers = publishers.collect::<BTreeSet<_>>().len();
    // A call may end without an attempt, and its dead letter may be stored after the reply.
    let losses = ledger.deaths + others + publishers.saturating_sub(1);
    let allowed = ended.max(dead).max(1) + doubts + losses;
    if replies > allowed {
        let text = format!("{replies} replies, and {allowed} reasons for one");
        return Err(Violation::new("G3", reply.call_id.clone(), text));
    }
    Ok(())
}
