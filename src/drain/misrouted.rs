//! Calls with an order key that somebody has published under another message key. They are put onto
//! the stream again under their own key before anything else is done with them.
//!
//! Calls with one order key are in order because they are in one partition, which one drain reads
//! (G6). A call in another partition would be made beside them, and a note that tells of it would
//! not come back to its partition. Its place in the order is where the Stream puts it now.

use crate::drain::DrainEngine;
use crate::drain::dead_letter::Reason;
use crate::drain::outbox::{Content, Publication};
use crate::id::{RecordId, StreamName};
use crate::limits::REKEYED_MAX;
use crate::metric::Metric;
use crate::record::hop::{RecordIdentity, with_progress};
use crate::record::progress::Progress;
use crate::time::Now;

/// Returns whether a message has this key.
pub(super) fn is_key(of_message: Option<&[u8]>, key: &str) -> bool {
    of_message == Some(key.as_bytes())
}

impl DrainEngine {
    /// Returns whether a call has an order key that is not the key of its message.
    pub(super) fn is_misrouted(&self, id: RecordId, key: Option<&[u8]>) -> bool {
        let order_key = self.plan(id).and_then(|plan| plan.order_key.as_ref());
        order_key.is_some_and(|order_key| !is_key(key, order_key))
    }

    /// Puts a call onto its stream again, under its order key.
    pub(super) fn put_under_its_key(&mut self, id: RecordId, now: Now) {
        self.parked.something_else();
        let Some((rekeyed, publication)) = self.under_its_key(id) else {
            let detail = "its message key is not its orderKey, and with that it is too large";
            return self.give_up(id, Reason::UnreadableRecord, detail.to_owned(), None, now);
        };
        if rekeyed > REKEYED_MAX {
            let detail = format!(
                "its message key is not its orderKey, although it was put under it {REKEYED_MAX} \
                 times: does the Stream keep the keys of messages?"
            );
            return self.give_up(id, Reason::UnreadableRecord, detail, None, now);
        }
        self.leave(id, vec![(StreamName::Calls, publication)], now);
    }

    fn under_its_key(&self, id: RecordId) -> Option<(u32, Publication)> {
        let tracked = self.window.get(id)?;
        let plan = tracked.plan.as_ref()?;
        let order_key = plan.order_key.as_ref()?;
        let rekeyed = tracked.progress.rekeyed.saturating_add(1);
        let progress = Progress {
            hops: tracked.progress.hops.saturating_add(1),
            rekeyed,
            // It has no place yet among the calls of its key.
            order: None,
            ..tracked.progress.clone()
        };
        let identity = RecordIdentity {
            id: &plan.id,
            accepted_at: &plan.accepted_at,
        };
        let publication = Publication {
            record: id,
            message: with_progress(&tracked.record, &identity, &progress)?,
            key: Some(order_key.to_string()),
            content: Content::Hop,
            metric: Some(Metric::Rekeyed),
        };
        Some((rekeyed, publication))
    }
}
