//! G7: no target or reply address outside the allow-list is ever called, whoever wrote the record.

use super::{Start, Violation};
use crate::ledger::Ledger;
use crate::world::flight::field;

/// An attempt starts.
///
/// # Errors
/// It goes where nothing may go, or another way than its record says.
pub fn check(ledger: &Ledger, start: &Start<'_>) -> Result<(), Violation> {
    let (host, path) = (
        field(start.callout, ":authority"),
        field(start.callout, ":path"),
    );
    // After a loss a call may have two replies, to two addresses.
    let mut heads = ledger.heads(start.call).map(|(_, head)| head);
    let is_reply = heads.clone().any(|head| head.reply.is_some());
    let is_allowed = match &*start.callout.cluster {
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
    Err(Violation::new("G7", start.call, text))
}
