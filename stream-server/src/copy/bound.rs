//! What messages say that holds only at their old places.
//!
//! Messages are copied as they are, but their offsets and times may be new. A call with an order
//! key that has been on a lane names its place in the order by an offset, and so do the notes of
//! calls that wait on lanes. A call without an id gets one that is made of its place.

use sluice::record::decode;
use sluice::record::note::Note;

use super::job::Job;

/// The last of a partition's messages that are bound to their places. Messages that the group has
/// committed don't matter any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bound {
    /// A call with an order key that has been on a lane, or a note of such calls.
    pub(super) ordered: Option<u64>,
    /// A call without an id.
    pub(super) unnamed: Option<u64>,
}

impl Bound {
    /// Looks at the next message. Whatever isn't ours is bound to nothing.
    pub(super) fn look(&mut self, offset: u64, value: &[u8]) {
        match decode(value) {
            Ok(call) => {
                if call.head.progress.order.is_some() {
                    self.ordered = Some(offset);
                }
                if call.head.id.is_none() {
                    self.unnamed = Some(offset);
                }
            }
            Err(_) => {
                if Note::decode(value).is_some_and(|note| !note.away.is_empty()) {
                    self.ordered = Some(offset);
                }
            }
        }
    }

    /// Returns why a group that has committed everything before `next` can't go on elsewhere.
    /// `keeps` tells whether a message has the same offset there.
    pub(super) fn problem(
        &self,
        job: &Job,
        next: u64,
        keeps: impl Fn(u64) -> bool,
    ) -> Option<String> {
        let is_left = |offset: &u64| *offset >= next;
        let ordered = self.ordered.filter(is_left).filter(|_| !job.lose_order);
        let unnamed = self.unnamed.filter(is_left).filter(|_| !job.new_ids);
        if let Some(offset) = ordered {
            return Some(format!(
                "the message at offset {offset} belongs to calls with an order key that wait on \
                 lanes, or have. Their order holds only at the source: later calls with their keys \
                 would overtake them. Let the source's gateways finish these calls first, or copy \
                 them by --lose-order"
            ));
        }
        let offset = unnamed.filter(|offset| !keeps(*offset))?;
        Some(format!(
            "the call at offset {offset} has no id, so that its id is made of its place, which is \
             another one at the destination: its target can't know it again, and may take it for \
             another call. Let the source's gateways make such calls first, or copy them by \
             --new-ids"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_ours_is_bound() {
        let bound = |value: &str| {
            let mut bound = Bound::default();
            bound.look(7, value.as_bytes());
            (bound.ordered.is_some(), bound.unnamed.is_some())
        };
        let note = |keys: &str| {
            let by = r#""by":"x","epoch":0,"serial":0,"partition":0,"route":"r""#;
            format!(r#"{{"version":1,"parked":{{{by},"keys":{keys}}}}}"#)
        };
        assert_eq!(bound(r#"{"id":"a","path":"/"}"#), (false, false));
        assert_eq!(bound(r#"{"path":"/"}"#), (false, true));
        let order = r#""progress":{"order":{"partition":0,"offset":3}}"#;
        let call = format!(r#"{{"id":"a","path":"/",{order}}}"#);
        assert_eq!(bound(&call), (true, false));
        assert_eq!(bound(&note("[]")), (false, false));
        let away = r#"[["00000000000000ff",[[3,1700000000000]]]]"#;
        assert_eq!(bound(&note(away)), (true, false));
        // A letter holds its record inside, and a redrive makes its progress anew.
        let letter = format!(r#"{{"version":1,"id":"a","call":{call}}}"#);
        for other in [letter.as_str(), "", "parked", "[]"] {
            assert_eq!(bound(other), (false, false), "{other}");
        }
    }
}
