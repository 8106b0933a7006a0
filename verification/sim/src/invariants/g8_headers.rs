//! G8: nobody outside can forge the headers of a dispatched call.

use super::{Start, Violation};
use crate::callout::field;
use crate::ledger::Ledger;
use crate::target::ENVOYS_WORDS;

/// Checks the start of an attempt.
///
/// # Errors
/// If a header is missing, is there twice, or is not the gateway's own.
pub fn check(ledger: &Ledger, start: &Start<'_>) -> Result<(), Violation> {
    let broken = |text: String| Err(Violation::new("G8", start.call, text));
    let fields = &start.callout.request.headers;
    let count = |name: &str| fields.iter().filter(|(field, _)| field == name).count();
    let of_calls = ["async-attempt", "async-accepted-at"];
    let of_replies = ["async-outcome", "async-attempts"];
    let of_both = ["async-call-id", "async-correlation-id"];
    let Some((_, head)) = ledger.heads(start.call).next() else {
        return broken("there is no such call".to_owned());
    };
    let (once, never) = match &head.reply {
        None => (of_calls, of_replies),
        Some(_) => (of_replies, of_calls),
    };
    if let Some(header) = once
        .iter()
        .chain(&of_both)
        .find(|header| count(header) != 1)
    {
        return broken(format!("{header} stands there {} times", count(header)));
    }
    if let Some(header) = never.iter().find(|header| count(header) > 0) {
        return broken(format!("{header} does not belong there"));
    }
    if let Some(reply) = &head.reply {
        // After a loss there may be two replies, which may differ.
        if start.callout.request.body.as_slice() == ENVOYS_WORDS.as_bytes() {
            return broken("its content is not that of a target".to_owned());
        }
        let said = field(start.callout, "async-outcome");
        let mut replies = ledger
            .heads(start.call)
            .filter_map(|(_, head)| head.reply.as_ref());
        let is_own = replies.any(|reply| reply.outcome.as_str() == said);
        if !is_own || reply.call_id != field(start.callout, "async-call-id") {
            return broken("its outcome is not the one of its record".to_owned());
        }
    }
    let foreign = |name: &str| {
        let is_control = name.starts_with("x-envoy-") && name != "x-envoy-external-address";
        is_control || ["connection", "x-hop", "async-delay", "async-order-key"].contains(&name)
    };
    match fields.iter().find(|(name, _)| foreign(name)) {
        Some((name, _)) => broken(format!("it carries {name}")),
        None => Ok(()),
    }
}
