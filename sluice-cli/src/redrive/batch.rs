//! The calls that go back in one PutMessages, and their marks in another.

use jiff::Timestamp;

use crate::call::Call;
use crate::dead::letter::{Letter, Position};
use crate::dead::marks::Mark;
use crate::limits::{BACKOFF, ENTRY_TRIES_MAX, PUT_BYTES_MAX};
use crate::moment;
use crate::stream::{Outgoing, StreamClient, StreamError};

/// A call that is ready to go back.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) position: Position,
    /// Where it goes.
    pub(super) stream: String,
    /// Method and target, for people.
    pub(super) call: String,
    message: Outgoing,
    /// The letter's mark, but for its time.
    mark: Mark,
}

impl Item {
    /// Prepares a letter whose call goes to `stream`.
    ///
    /// # Errors
    /// Why the call can't go back.
    pub(super) fn prepare(letter: &Letter, stream: &str, now: Timestamp) -> Result<Self, String> {
        let call = Call::parse(&letter.record)?;
        let value = call.redriven(&letter.head.id, &moment::exact(now))?;
        let message = Outgoing {
            key: call.order_key()?,
            value,
        };
        if message.bytes() > PUT_BYTES_MAX {
            return Err("with its key the record is larger than a request may be".to_owned());
        }
        Ok(Self {
            id: letter.head.id.clone(),
            position: letter.position,
            stream: stream.to_owned(),
            call: format!("{} {}", call.method(), call.target()),
            message,
            mark: Mark {
                id: letter.head.id.clone(),
                letter: letter.position,
                dead_at: letter.head.dead_at,
                at: now,
            },
        })
    }
}

/// What happened to the calls of a batch, in order.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) outcomes: Vec<Outcome>,
    /// Why nothing more should be sent.
    pub(super) fatal: Option<StreamError>,
}

/// What happened to one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The call is on its stream, and its letter is marked.
    Redriven,
    /// The call is on its stream, but the mark isn't on the dead stream.
    Unmarked(String),
    /// The call isn't on its stream, or this is unknown.
    Failed(String),
}

/// Calls of one stream, within OCI's limits of a request.
#[derive(Debug, Default)]
pub(super) struct Batch {
    items: Vec<Item>,
    bytes: usize,
}

impl Batch {
    /// Returns whether the call may go with the others.
    pub(super) fn has_room_for(&self, item: &Item, count_max: usize) -> bool {
        let bytes = self.bytes.saturating_add(item.message.bytes());
        let Some(first) = self.items.first() else {
            return true;
        };
        self.items.len() < count_max && bytes <= PUT_BYTES_MAX && first.stream == item.stream
    }

    pub(super) fn add(&mut self, item: Item) {
        self.bytes = self.bytes.saturating_add(item.message.bytes());
        self.items.push(item);
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// Puts the calls back on their stream, and then the marks of the stored ones on the dead
    /// stream. After a crash between the two, the next run puts the calls again.
    pub(super) fn send(&self, client: &StreamClient, dead: &str, now: Timestamp) -> Sent {
        let Some(first) = self.items.first() else {
            return Sent {
                outcomes: Vec::new(),
                fatal: None,
            };
        };
        let calls: Vec<&Outgoing> = self.items.iter().map(|item| &item.message).collect();
        let (stored, mut fatal) = put_with_patience(client, &first.stream, &calls);
        let there = self
            .items
            .iter()
            .zip(&stored)
            .filter(|(_, stored)| stored.is_ok());
        let marks: Vec<Outgoing> = there
            .map(|(item, _)| Outgoing {
                key: None,
                value: Mark {
                    at: now,
                    ..item.mark.clone()
                }
                .json(),
            })
            .collect();
        let marks: Vec<&Outgoing> = marks.iter().collect();
        let (marked, problem) = put_with_patience(client, dead, &marks);
        fatal = fatal.or(problem);
        let mut marked = marked.into_iter();
        let outcome = |stored: Result<(), String>| match stored.map(|()| marked.next()) {
            Err(problem) => Outcome::Failed(problem),
            Ok(Some(Err(problem))) => Outcome::Unmarked(problem),
            Ok(_) => Outcome::Redriven,
        };
        Sent {
            outcomes: stored.into_iter().map(outcome).collect(),
            fatal,
        }
    }
}

/// Puts messages, and puts those again that failed while others succeeded. Nothing later is sent
/// before that, so that calls with one key stay in order.
fn put_with_patience(
    client: &StreamClient,
    stream: &str,
    messages: &[&Outgoing],
) -> (Vec<Result<(), String>>, Option<StreamError>) {
    let mut results: Vec<Result<(), String>> = vec![Err(String::new()); messages.len()];
    for again in 0..ENTRY_TRIES_MAX {
        let pending: Vec<usize> = (0..)
            .zip(&results)
            .filter(|pair| pair.1.is_err())
            .map(|pair| pair.0)
            .collect();
        if pending.is_empty() {
            break;
        }
        if again > 0 {
            std::thread::sleep(BACKOFF.pause(again));
        }
        let chosen: Vec<&Outgoing> = pending
            .iter()
            .filter_map(|place| messages.get(*place).copied())
            .collect();
        match client.put(stream, &chosen) {
            Ok(entries) => {
                for (place, entry) in pending.into_iter().zip(entries) {
                    if let Some(result) = results.get_mut(place) {
                        *result = entry;
                    }
                }
            }
            Err(error) => {
                for result in results.iter_mut().filter(|result| result.is_err()) {
                    *result = Err("the Stream didn't acknowledge it".to_owned());
                }
                return (results, Some(error));
            }
        }
    }
    (results, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead::letter::Entry;

    fn prepare(letter: &str, stream: &str) -> Result<Item, String> {
        let position = Position {
            partition: 0,
            offset: 0,
        };
        let Entry::Letter(letter) = Entry::parse(letter.as_bytes(), position, None) else {
            panic!("something else")
        };
        Item::prepare(&letter, stream, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn what_cannot_go_back_is_said_to() {
        for letter in [
            r#"{"id":"a","recordBase64":"/w=="}"#,
            r#"{"id":"a","call":[]}"#,
            r#"{"id":"a","call":{"orderKey":"a b"}}"#,
        ] {
            assert!(prepare(letter, "x").is_err(), "{letter}");
        }
    }

    #[test]
    fn a_batch_has_one_stream_and_is_bounded() {
        let item = |stream: &str| prepare(r#"{"id":"a","call":{}}"#, stream).unwrap();
        let mut batch = Batch::default();
        assert!(batch.has_room_for(&item("x"), 1));
        batch.add(item("x"));
        assert!(batch.has_room_for(&item("x"), 2));
        assert!(!batch.has_room_for(&item("x"), 1));
        assert!(!batch.has_room_for(&item("y"), 2));
        let body = "x".repeat(PUT_BYTES_MAX - 100);
        let large = format!(r#"{{"id":"a","call":{{"body":"{body}"}}}}"#);
        assert!(!batch.has_room_for(&prepare(&large, "x").unwrap(), 2));
    }
}
