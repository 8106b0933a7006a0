//! G7: no target or reply address outside the allow-list is ever called, whoever wrote the record.
//! G12: on this gateway, replies go only to allowed paths, and only by the gateway's own host.

use super::{Start, Violation};
use crate::callout::field;
use crate::ledger::Ledger;

/// Checks the start of an attempt.
///
/// # Errors
/// If it goes to a forbidden place, or another way than its record says.
pub fn check(ledger: &Ledger, start: &Start<'_>) -> Result<(), Violation> {
    let (host, path) = (
        field(start.callout, ":authority"),
        field(start.callout, ":path"),
    );
    // After a loss a call may have two replies, to two addresses.
    let mut heads = ledger.heads(start.call).map(|(_, head)| head);
    let is_reply = heads.clone().any(|head| head.reply.is_some());
    let is_allowed = match &*start.callout.cluster {
        "dispatch" if is_reply => host == "sluice.invalid" && is_for_replies(&path),
        "dispatch" => heads.any(|head| head.target.is_none()),
        "egress-https" if is_reply => host == "replies.test",
        "egress-https" => host.ends_with(".allowed.test"),
        "egress-http" => {
            host == "plain.test" && (path == "/t" || path.starts_with("/t/")) && !is_reply
        }
        _ => false,
    };
    if is_allowed {
        return Ok(());
    }
    let text = format!("it goes to {host}{path} by {}", start.callout.cluster);
    let is_ours = is_reply && &*start.callout.cluster == "dispatch";
    let guarantee = if is_ours { "G12" } else { "G7" };
    Err(Violation::new(guarantee, start.call, text))
}

/// Returns whether a path is below one that replies may have, and doesn't climb out of it.
fn is_for_replies(path: &str) -> bool {
    let below = ["/inbox/", "/failures/"]
        .iter()
        .any(|prefix| path.starts_with(prefix));
    below && !path.contains("..")
}
