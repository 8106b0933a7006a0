//! The dead stream. It is read twice, so that memory doesn't grow with it.
//!
//! The first pass, [`Survey::take`], notes which letters are redriven, where the parts of large
//! letters are, and where each partition ends. The second, [`Survey::visit`], goes through the
//! letters one by one, up to those ends. What is published meanwhile, such as marks or calls that
//! died again, is left for the next run.

pub mod filter;
pub mod letter;
pub mod marks;
pub mod parts;
pub mod position;

use jiff::Timestamp;

use crate::failure::Failure;
use crate::limits::VALUE_BYTES_MAX;
use crate::progress::Progress;
use crate::stream::{PartitionReader, StreamClient, StreamError};
use crate::text;
use letter::{Entry, Letter, Part, Position};
use marks::Marks;
use parts::{Incomplete, PartSets};

/// The dead stream at its endpoint.
#[derive(Debug)]
pub struct DeadStream<'a> {
    /// The endpoint.
    pub client: &'a StreamClient,
    /// The stream's OCID.
    pub id: &'a str,
}

/// What the first pass has found.
#[derive(Debug, Default)]
pub struct Survey {
    marks: Marks,
    sets: PartSets,
    /// The last offset of each partition.
    ends: Vec<Option<u64>>,
    messages: u64,
}

/// What the second pass meets.
#[derive(Debug)]
pub enum Found {
    /// A whole letter.
    Letter(Letter),
    /// A message that does not belong to any letter, or a letter that can't be put together.
    Unreadable(Position, String),
}

impl Survey {
    /// Makes the first pass.
    ///
    /// # Errors
    /// [`StreamError`] says what to do.
    pub fn take(dead: &DeadStream<'_>, progress: &mut Progress) -> Result<Self, StreamError> {
        let mut survey = Self::default();
        for partition in 0..dead.client.partitions(dead.id)? {
            let mut reader = PartitionReader::new(dead.client, dead.id, partition);
            let mut end = None;
            loop {
                let messages = reader.next_messages()?;
                let Some(last) = messages.last() else { break };
                end = Some(last.position.offset);
                for message in &messages {
                    survey.messages = survey.messages.saturating_add(1);
                    match Entry::parse(&message.value, message.position, message.stored_at) {
                        Entry::Mark(mark) => survey.marks.note(mark),
                        Entry::Part(part) => survey.sets.note(&part, message.position),
                        Entry::Letter(_) | Entry::Unreadable(_) => {}
                    }
                }
                progress.show(|| {
                    let messages = text::count(survey.messages, "message", "messages");
                    format!("reading the dead stream: {messages}")
                });
            }
            survey.ends.push(end);
        }
        Ok(survey)
    }

    /// Returns when this letter was redriven; `None` if it wasn't.
    #[must_use]
    pub fn redriven_at(&self, letter: &Letter) -> Option<Timestamp> {
        let head = &letter.head;
        self.marks
            .redriven_at(&head.id, letter.position, head.dead_at)
    }

    /// Returns the letters some of whose messages are missing.
    pub fn incomplete(&self) -> impl Iterator<Item = Incomplete> {
        self.sets.incomplete()
    }

    /// Returns how many messages of large letters are left out because there are too many such
    /// letters.
    #[must_use]
    pub fn beyond(&self) -> u64 {
        self.sets.beyond()
    }

    /// Makes the second pass: partition by partition, in the order of their offsets. A letter in
    /// several messages comes at the place of its first one.
    ///
    /// # Errors
    /// The error of the Stream or of `on_found`.
    pub fn visit(
        &self,
        dead: &DeadStream<'_>,
        on_found: &mut dyn FnMut(Found) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        for (partition, end) in (0..).zip(&self.ends) {
            let Some(end) = *end else { continue };
            let mut reader = PartitionReader::new(dead.client, dead.id, partition);
            let mut reached = false;
            while !reached {
                let messages = reader.next_messages()?;
                reached = messages
                    .last()
                    .is_none_or(|last| last.position.offset >= end);
                for message in messages {
                    let position = message.position;
                    if position.offset > end {
                        break;
                    }
                    match Entry::parse(&message.value, position, message.stored_at) {
                        Entry::Letter(letter) => on_found(Found::Letter(letter))?,
                        Entry::Unreadable(problem) => {
                            on_found(Found::Unreadable(position, problem))?
                        }
                        Entry::Part(part) => {
                            if let Some(others) = self.sets.others(&part, position) {
                                on_found(put_together(dead, part, position, &others)?)?;
                            }
                        }
                        Entry::Mark(_) => {}
                    }
                }
            }
        }
        Ok(())
    }
}

/// Reads the other parts of a letter, of which this is the first.
fn put_together(
    dead: &DeadStream<'_>,
    first: Part,
    position: Position,
    others: &[Position],
) -> Result<Found, StreamError> {
    let mut record = first.bytes;
    for place in others {
        let part = match dead.client.message_at(dead.id, *place)? {
            Some(message) => Entry::parse(&message.value, *place, message.stored_at),
            None => Entry::Unreadable(String::new()),
        };
        let Entry::Part(part) = part else {
            let problem = format!("a part of the letter is gone: {place}");
            return Ok(Found::Unreadable(position, problem));
        };
        record.extend_from_slice(&part.bytes);
        if record.len() > VALUE_BYTES_MAX {
            let problem = "its parts are more than any record can be".to_owned();
            return Ok(Found::Unreadable(position, problem));
        }
    }
    let (head, parts) = (first.head, first.parts);
    Ok(Found::Letter(Letter {
        head,
        position,
        parts,
        record,
    }))
}
