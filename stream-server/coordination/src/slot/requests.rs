//! Changes that clients want of a slot, and those that the coordination itself wants.

use super::{Around, Slot};
use crate::admission;
use crate::fold::SlotFold;
use crate::io::{Answer, WhyNotDone};
use crate::outbox::Outbox;
use crate::record::Change;
use crate::writer::Origin;

impl Slot {
    /// Takes a change that a client wants.
    pub(crate) fn request(
        &mut self,
        request: u64,
        change: Change,
        around: Around<'_>,
        out: &mut Outbox,
    ) {
        let deadline_ms = around.now_ms.saturating_add(around.config.times.answer_ms);
        let origin = Origin::Request {
            request,
            deadline_ms,
        };
        if let Err(why) = admission::check(self.number, &change) {
            return out.answer(request, Answer::Refused(why));
        }
        let (Some(folded), Some(own)) = (
            self.fold.as_ref().and_then(SlotFold::known),
            self.ownership.as_mut().filter(|own| !own.is_ending),
        ) else {
            return out.answer(request, Answer::NotDone(WhyNotDone::NotOwner));
        };
        if let Err(why) = admission::check_streams(&folded.state, &change, around.config) {
            return out.answer(request, Answer::Refused(why));
        }
        if let Err(why) = own.writer.add(origin, change) {
            out.answer(request, Answer::NotDone(why));
        }
    }

    /// Notes that a stream may have been deleted.
    pub(crate) fn note_orphans(&mut self) {
        if let Some(own) = &mut self.ownership {
            own.may_have_orphans = true;
        }
    }

    /// Returns whether this front has to look for groups of deleted streams.
    pub(crate) fn may_have_orphans(&self) -> bool {
        let own = self.ownership.as_ref();
        own.is_some_and(|own| own.may_have_orphans && !own.is_ending)
    }

    /// Forgets these groups, which are all that there are if they are few.
    pub(crate) fn forget_orphans(&mut self, groups: Vec<u64>) {
        let Some(own) = &mut self.ownership else {
            return;
        };
        own.may_have_orphans = false;
        let unused_since_ms = u64::MAX;
        let change = Change::ForgetGroups {
            groups: groups.clone(),
            unused_since_ms,
        };
        if !groups.is_empty() && own.writer.add(Origin::Own, change).is_err() {
            own.may_have_orphans = true;
        }
    }
}
