//! Messages that the Stream refuses for good: each becomes something that it takes, so that none
//! holds up others.
//!
//! | what | becomes |
//! |---|---|
//! | a hop | a dead letter of its call, and the failure reply |
//! | a reply | a dead letter of the reply |
//! | a dead letter | the same without the record, then the whole again, until one is stored |
//! | a note | nothing: the next one says the same; until then a crash may cost the order |

use std::rc::Rc;

use crate::drain::DrainEngine;
use crate::drain::dead_letter::{DeadLetter, Reason, without_record};
use crate::drain::lifecycle::state::{State, Transition};
use crate::drain::outbox::{Content, Publication};
use crate::engine::Level;
use crate::id::{RecordId, StreamName};
use crate::metric::Metric;
use crate::record;
use crate::stream::put_queue::Refused;
use crate::time::Now;

impl DrainEngine {
    /// Handles a message that the Stream refuses for good.
    pub(super) fn refused(&mut self, refused: Refused<Publication>, to: StreamName, now: Now) {
        let Refused {
            message,
            why,
            takes_others,
        } = refused;
        let id = message.record;
        let what = match &message.content {
            Content::Hop => "hop",
            Content::Reply => "reply",
            Content::Letter { .. } => "dead_letter",
            Content::Note => "note",
        };
        let name = self.plan(id).map(|plan| plan.id.to_string());
        let name = name.unwrap_or_default();
        let (partition, offset) = (id.position.partition, id.position.offset);
        let line = format!(
            "event=unstorable message={what} call_id={name:?} source={:?} partition={partition} \
             offset={offset} detail={why:?}",
            id.source
        );
        self.outputs.count(Metric::Unstorable, 1);
        self.outputs.log(Level::Error, line);
        match message.content {
            Content::Hop => self.bury_hop(id, message.message, &why, now),
            Content::Reply => self.bury_reply(id, &message.message, &why, now),
            Content::Note => self.note_refused(partition, now),
            Content::Letter { .. } => self.shorten(message, to, &why, takes_others, now),
        }
    }

    /// Ends a call whose hop is refused.
    fn bury_hop(&mut self, id: RecordId, message: Vec<u8>, why: &str, now: Now) {
        let Some(State::Leaving { messages }) = self.window.state(id) else {
            return;
        };
        // With its progress so far, because the message is all that is left of its record.
        if let Some(tracked) = self.window.get_mut(id) {
            tracked.record = Rc::new(message);
        }
        // Later calls of its key wait for its end here, and no longer for its return.
        if let Some((key, number)) = self.place(id).filter(|_| id.source == StreamName::Calls)
            && self.parked.absent.is_known(key, number)
        {
            self.parked.came_back(key, number);
            self.window.stand_in_order(id, now.steady);
        }
        let detail = format!("the Stream refuses to store it again: {why}");
        self.give_up(id, Reason::Unstorable, detail, None, now);
        self.leave_with_more(id, messages.saturating_sub(1), now);
    }

    /// Makes a dead letter of a reply that can't be stored, besides the call that has ended.
    fn bury_reply(&mut self, id: RecordId, message: &[u8], why: &str, now: Now) {
        let head = record::decode(message).map(|call| call.head);
        let reply_id = head.ok().and_then(|head| head.id).map(|id| id.0);
        let detail = format!("the Stream refuses to store this reply: {why}");
        let letter = DeadLetter {
            id: reply_id.as_deref().unwrap_or("reply"),
            reason: Reason::Unstorable,
            detail: &detail,
            dead_at: &now.wall.to_string(),
            stream_id: &self.stream_id(id.source),
            source: id.position,
            attempts: &[],
            record: message,
        };
        let messages = letter.messages();
        let more = u8::try_from(messages.len()).unwrap_or(u8::MAX);
        for message in messages {
            let publication = Publication {
                record: id,
                message,
                key: None,
                content: Content::Letter { whole: None },
                metric: None,
            };
            self.outbox.add(StreamName::Dead, publication);
        }
        self.outputs.count(Metric::DeadUnstorable, 1);
        self.leave_with_more(id, more.saturating_sub(1), now);
    }

    /// Stores a dead letter without the record in it, if the Stream takes that.
    fn shorten(
        &mut self,
        mut letter: Publication,
        to: StreamName,
        why: &str,
        takes_others: bool,
        now: Now,
    ) {
        let Content::Letter { whole } = &mut letter.content else {
            return;
        };
        match whole.take() {
            None => match without_record(&letter.message, why) {
                Some(short) => *whole = Some(std::mem::replace(&mut letter.message, short)),
                None => return self.message_stored(letter.record, now),
            },
            // The Stream takes other letters, so this one is lost. The log has said so.
            Some(_) if takes_others => return self.message_stored(letter.record, now),
            Some(message) => letter.message = message,
        }
        self.outbox.add(to, letter);
    }

    /// Adds messages that have to be stored before a record is settled.
    fn leave_with_more(&mut self, id: RecordId, more: u8, now: Now) {
        if let Some(State::Leaving { .. }) = self.window.state(id) {
            let add = Transition::AddMessages { more };
            self.window.apply(id, add, now.steady);
        }
    }
}
