//! Goes through one partition message by message.

use std::collections::VecDeque;

use sluice_cli::stream::{Message, Missed, PartitionReader, StreamClient};

use super::bound::Bound;
use super::error::CopyError;
use super::job::Job;
use super::side::Side;
use crate::limits::{KEY_BYTES_MAX, REQUEST_BYTES_MAX};
use crate::partition_log::partition_of_key;

/// A place in a partition, with the messages behind it that are already read.
pub(super) struct Walk<'a> {
    side: &'a Side,
    reader: PartitionReader<'a>,
    ahead: VecDeque<Message>,
    /// The last message that was taken.
    taken: Option<u64>,
}

impl<'a> Walk<'a> {
    /// Returns a walk that begins behind the message with the offset `last`, or at the oldest one.
    pub(super) fn new(
        side: &'a Side,
        client: &'a StreamClient,
        (stream, partition): (&'a str, u32),
        last: Option<u64>,
    ) -> Self {
        Self {
            side,
            reader: PartitionReader::after(client, stream, partition, last),
            ahead: VecDeque::new(),
            taken: last,
        }
    }

    /// Returns the next message; `None` at the end, where a later one may come.
    pub(super) fn next(&mut self) -> Result<Option<Message>, CopyError> {
        self.look_ahead()?;
        let message = self.ahead.pop_front();
        if let Some(message) = &message {
            self.taken = Some(message.position.offset);
        }
        Ok(message)
    }

    /// Returns the offset of the next message without taking it.
    pub(super) fn peek(&mut self) -> Result<Option<u64>, CopyError> {
        self.look_ahead()?;
        Ok(self.ahead.front().map(|message| message.position.offset))
    }

    fn look_ahead(&mut self) -> Result<(), CopyError> {
        if self.ahead.is_empty() {
            let read = self.reader.next_messages();
            self.ahead = read.map_err(|error| self.side.error(&error))?.into();
        }
        Ok(())
    }

    /// Forgets the messages that were read and not taken, which may be a mebibyte.
    pub(super) fn forget_ahead(&mut self) {
        if !self.ahead.is_empty() {
            self.ahead.clear();
            self.reader.go_back(self.taken);
        }
    }

    /// Asks with a new cursor next time. Oracle's service promises nowhere that an empty answer is
    /// the end.
    pub(super) fn renew(&mut self) {
        self.reader.renew();
    }

    /// Returns which messages were gone before they were read, and which can't be read.
    pub(super) fn missed(&self) -> Missed {
        self.reader.missed()
    }

    /// Returns the offset that the next message published gets, if the endpoint tells it.
    pub(super) fn end(&self) -> Option<u64> {
        self.reader.end()
    }

    /// Returns the offset behind all that was looked at.
    pub(super) fn reached(&self) -> u64 {
        let taken = self.taken.map_or(0, |taken| taken.saturating_add(1));
        let is_all = self.ahead.is_empty();
        taken.max(self.reader.looked().filter(|_| is_all).unwrap_or(0))
    }
}

/// What is unusual about the source's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Oddities {
    /// Messages that were left out.
    pub(super) left_out: u64,
    /// Messages whose key leads to another partition at the destination.
    pub(super) foreign_keys: u64,
}

/// The source's messages that can be copied.
pub(super) struct Source<'a> {
    pub(super) walk: Walk<'a>,
    job: &'a Job,
    partition: u32,
    partitions: u32,
    /// A message that was taken and put back.
    held: Option<Message>,
    pub(super) oddities: Oddities,
    /// What is bound to its place at the source.
    pub(super) bound: Bound,
}

impl<'a> Source<'a> {
    pub(super) fn new(walk: Walk<'a>, job: &'a Job, partition: u32, partitions: u32) -> Self {
        Self {
            walk,
            job,
            partition,
            partitions,
            held: None,
            oddities: Oddities::default(),
            bound: Bound::default(),
        }
    }

    /// Returns the next message that can be copied; `None` at the end.
    ///
    /// # Errors
    /// [`CopyError::Refused`] for one that can't, unless the command line says what to do with it.
    pub(super) fn next(&mut self) -> Result<Option<Message>, CopyError> {
        if let Some(message) = self.held.take() {
            return Ok(Some(message));
        }
        loop {
            let next = self.walk.next()?;
            self.look_for_holes()?;
            let Some(message) = next else {
                return Ok(None);
            };
            match unfit(&message) {
                None => {
                    self.look_at_key(&message)?;
                    self.bound.look(message.position.offset, &message.value);
                    return Ok(Some(message));
                }
                Some(_) if self.job.leave_out_unfit || self.job.dry_run => {
                    self.oddities.left_out = self.oddities.left_out.saturating_add(1);
                }
                Some(problem) => {
                    return Err(self.refused(
                        &message,
                        &format!("{problem}. Leave such messages out by --leave-out-unfit"),
                    ));
                }
            }
        }
    }

    /// Returns the next message as [`Self::next`] does, but asks twice before there is none.
    pub(super) fn next_surely(&mut self) -> Result<Option<Message>, CopyError> {
        let next = self.next()?;
        if next.is_some() {
            return Ok(next);
        }
        self.walk.renew();
        self.next()
    }

    /// Refuses offsets without a message that can be read.
    fn look_for_holes(&self) -> Result<(), CopyError> {
        let hole = self.walk.missed().last_hole;
        let hole = hole.filter(|_| !self.job.leave_out_unfit && !self.job.dry_run);
        hole.map_or(Ok(()), |offset| {
            Err(CopyError::Refused(format!(
                "the source has no message at offset {offset} of partition {}: its server can't \
                 unpack it, or it is an end of another client's transaction, or Kafka has removed \
                 it. Leave such offsets out by --leave-out-unfit",
                self.partition
            )))
        })
    }

    /// Takes a message back that was taken last.
    pub(super) fn take_back(&mut self, message: Message) {
        self.held = Some(message);
    }

    /// Looks whether later messages with this key come to the same partition of the destination.
    fn look_at_key(&mut self, message: &Message) -> Result<(), CopyError> {
        let key = message.key.as_deref();
        if key.is_none_or(|key| partition_of_key(key, self.partitions) == self.partition) {
            return Ok(());
        }
        self.oddities.foreign_keys = self.oddities.foreign_keys.saturating_add(1);
        if self.job.foreign_keys || self.job.dry_run {
            return Ok(());
        }
        Err(self.refused(
            message,
            "its key leads to another partition at the destination, where later calls with this \
             key come, so that they could overtake this one. Let the source's gateways make the \
             calls with keys first, or copy such messages by --foreign-keys",
        ))
    }

    fn refused(&self, message: &Message, problem: &str) -> CopyError {
        let (partition, offset) = (self.partition, message.position.offset);
        CopyError::Refused(format!(
            "the source's message at offset {offset} of partition {partition}: {problem}"
        ))
    }
}

/// Returns why the destination can't have a message.
fn unfit(message: &Message) -> Option<&'static str> {
    let key_bytes = message.key.as_ref().map_or(0, Vec::len);
    if message.value.is_empty() {
        Some("it has no value")
    } else if key_bytes > KEY_BYTES_MAX {
        Some("its key has more than 256 bytes")
    } else if key_bytes.saturating_add(message.value.len()) > REQUEST_BYTES_MAX {
        Some("it has more than 1 MiB")
    } else {
        None
    }
}
