//! Reads one partition from its oldest message to its end.

use std::fmt;
use std::str::FromStr;

use super::messages::{Message, Start};
use super::{Page, StreamClient, StreamError};
use crate::limits::{BACKOFF, GET_MESSAGES_MAX, TRIES_MAX};

/// Which offsets a read has gone through, as stream servers of ours tell it
/// (`sluice-offsets: FROM-NEXT/END`). OCI Streaming doesn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOffsets {
    /// The first one.
    pub from: u64,
    /// The one to go on with, at least `from`.
    pub next: u64,
    /// The one that the partition's next message got when the read began.
    pub end: u64,
}

impl FromStr for ReadOffsets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (range, end) = text.split_once('/')?;
            let (from, next) = range.split_once('-')?;
            let number = |text: &str| text.parse::<u64>().ok();
            let (from, next, end) = (number(from)?, number(next)?, number(end)?);
            (from <= next).then_some(Self { from, next, end })
        };
        read().ok_or_else(|| "its sluice-offsets are not FROM-NEXT/END".to_owned())
    }
}

/// What a reader has not got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// How often retention has removed messages before they were read.
    pub gaps: u64,
    /// Those were before this offset.
    pub gone_before: Option<u64>,
    /// Offsets without a message that can be read; known of stream servers of ours.
    pub holes: u64,
    /// The last such offset.
    pub last_hole: Option<u64>,
}

/// A place in a partition. It outlives its cursors, which expire after five minutes.
pub struct PartitionReader<'a> {
    client: &'a StreamClient,
    stream: &'a str,
    partition: u32,
    cursor: Option<String>,
    place: Place,
}

/// How far a partition was read, and what was missing.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// The last message.
    last: Option<u64>,
    /// The offset that comes next, as far as it is known.
    next: Option<u64>,
    /// Offsets before this one were looked at for holes.
    looked: u64,
    /// The end of the partition, if the endpoint tells it.
    end: Option<u64>,
    /// There was no cursor behind the last message, so that the oldest one comes next.
    is_restarted: bool,
    missed: Missed,
}

impl fmt::Debug for PartitionReader<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(formatter)
    }
}

impl<'a> PartitionReader<'a> {
    /// Returns a reader before the oldest message; nothing is sent yet.
    #[must_use]
    pub fn new(client: &'a StreamClient, stream: &'a str, partition: u32) -> Self {
        Self::after(client, stream, partition, None)
    }

    /// Returns a reader behind the message with the offset `last`, or before the oldest one;
    /// nothing is sent yet.
    #[must_use]
    pub fn after(
        client: &'a StreamClient,
        stream: &'a str,
        partition: u32,
        last: Option<u64>,
    ) -> Self {
        Self {
            client,
            stream,
            partition,
            cursor: None,
            place: Place::after(last),
        }
    }

    /// Goes to behind the message with the offset `last`, which it has read. What was missing stays
    /// known.
    pub fn go_back(&mut self, last: Option<u64>) {
        self.cursor = None;
        let Place { looked, missed, .. } = self.place;
        self.place = Place {
            looked,
            missed,
            ..Place::after(last)
        };
    }

    /// Takes a new cursor for the next read, at the same place.
    pub fn renew(&mut self) {
        self.cursor = None;
    }

    /// Returns the next messages; empty at the end.
    ///
    /// # Errors
    /// [`StreamError`] says what to do.
    pub fn next_messages(&mut self) -> Result<Vec<Message>, StreamError> {
        let (mut in_vain, mut latest) = (0, None);
        loop {
            let page = self.read_on()?;
            self.cursor = Some(page.next);
            let (mut messages, before) = (page.messages, self.place.next);
            self.place
                .note(page.offsets, &messages)
                .map_err(|problem| self.foreign(problem))?;
            let newest = messages.last().map(|message| message.position.offset);
            // A new cursor at the oldest message may repeat messages that were read before.
            let last = self.place.last;
            messages.retain(|message| last.is_none_or(|last| message.position.offset > last));
            if let Some(message) = messages.last() {
                self.place.last = Some(message.position.offset);
                return Ok(messages);
            }
            if newest.is_some() {
                if newest <= latest {
                    return Err(self.foreign("it repeats messages for ever".to_owned()));
                }
                latest = newest;
                continue;
            }
            // An empty answer may come in the middle of a partition: before records that nobody
            // can unpack, and behind them.
            let is_behind = page.offsets.is_some_and(|read| read.next < read.end);
            if !is_behind {
                return Ok(messages);
            }
            if self.place.next > before {
                in_vain = 0;
                continue;
            }
            in_vain += 1;
            if in_vain >= TRIES_MAX {
                return Err(self
                    .client
                    .unanswered("it is not at the end, and gives nothing"));
            }
            std::thread::sleep(BACKOFF.pause(in_vain));
        }
    }

    /// Returns what was missing so far.
    #[must_use]
    pub fn missed(&self) -> Missed {
        self.place.missed
    }

    /// Returns the offset that the partition's next message gets, as the latest read has told; only
    /// stream servers of ours do.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        self.place.end
    }

    /// Returns the offset behind all that was read, as the endpoint tells it; only stream servers
    /// of ours do.
    #[must_use]
    pub fn looked(&self) -> Option<u64> {
        self.place.end.map(|_| self.place.looked)
    }

    fn foreign(&self, problem: String) -> StreamError {
        let operation = "GetMessages";
        StreamError::Foreign { operation, problem }
    }

    fn read_on(&mut self) -> Result<Page, StreamError> {
        let cursor = match self.cursor.take() {
            Some(cursor) => cursor,
            None => self.new_cursor()?,
        };
        match self.read(&cursor) {
            // The cursor has expired while the earlier messages were used.
            Err(StreamError::Refused { status: 400, .. }) => {
                let cursor = self.new_cursor()?;
                self.read(&cursor)
            }
            other => other,
        }
    }

    fn read(&self, cursor: &str) -> Result<Page, StreamError> {
        self.client
            .messages(self.stream, self.partition, cursor, GET_MESSAGES_MAX)
    }

    fn new_cursor(&mut self) -> Result<String, StreamError> {
        let (client, stream, partition) = (self.client, self.stream, self.partition);
        let create = |start| client.cursor(stream, partition, start);
        let Some(last) = self.place.last else {
            return create(Start::TrimHorizon);
        };
        match create(Start::AfterOffset(last)) {
            // Retention has removed the last message, and the oldest one left comes after it.
            Err(StreamError::Refused { status: 400, .. }) => {
                self.place.is_restarted = true;
                create(Start::TrimHorizon)
            }
            other => other,
        }
    }
}

impl Place {
    fn after(last: Option<u64>) -> Self {
        Self {
            last,
            next: last.map(|last| last.saturating_add(1)),
            ..Self::default()
        }
    }

    /// Notes what a read has given, and what was missing.
    fn note(&mut self, read: Option<ReadOffsets>, messages: &[Message]) -> Result<(), String> {
        let offsets = || messages.iter().map(|message| message.position.offset);
        let first = match read {
            Some(read) => Some(read.from),
            // Only after a restart: offsets needn't be dense.
            None => offsets().next().filter(|_| self.is_restarted),
        };
        if let (Some(first), Some(next)) = (first, self.next)
            && first > next
        {
            self.missed.gaps = self.missed.gaps.saturating_add(1);
            self.missed.gone_before = Some(first);
        }
        if first.is_some() {
            self.is_restarted = false;
        }
        if let Some(read) = read {
            if offsets().any(|offset| !(read.from..read.next).contains(&offset)) {
                return Err("its sluice-offsets are not those of its messages".to_owned());
            }
            self.look_for_holes(read, offsets());
            self.end = Some(read.end);
        }
        let after = |offset: u64| offset.saturating_add(1);
        let next = read.map(|read| read.next);
        self.next = self.next.max(next.or(offsets().next_back().map(after)));
        Ok(())
    }

    fn look_for_holes(&mut self, read: ReadOffsets, offsets: impl Iterator<Item = u64>) {
        let mut expected = read.from.max(self.looked);
        for offset in offsets.chain([read.next]) {
            if offset > expected {
                let holes = offset.saturating_sub(expected);
                self.missed.holes = self.missed.holes.saturating_add(holes);
                self.missed.last_hole = offset.checked_sub(1);
            }
            expected = expected.max(offset.saturating_add(1));
        }
        self.looked = self.looked.max(read.next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead::letter::Position;

    fn messages(offsets: &[u64]) -> Vec<Message> {
        let message = |offset: &u64| Message {
            position: Position {
                partition: 0,
                offset: *offset,
            },
            key: None,
            stored_at: None,
            value: Vec::new(),
        };
        offsets.iter().map(message).collect()
    }

    #[test]
    fn offsets_say_what_was_missing() {
        let mut place = Place::default();
        let mut read = |text: &str, offsets: &[u64]| {
            place.note(text.parse().ok(), &messages(offsets)).unwrap();
            (
                place.missed.holes,
                place.missed.last_hole,
                place.missed.gaps,
            )
        };
        assert_eq!(read("5-8/20", &[5, 6, 7]), (0, None, 0));
        assert_eq!(read("8-10/20", &[]), (2, Some(9), 0));
        // A new cursor behind the last message sees them again.
        assert_eq!(read("8-13/20", &[11, 12]), (3, Some(10), 0));
        assert_eq!(read("15-16/20", &[15]), (3, Some(10), 1));
        assert_eq!((place.end, place.missed.gone_before), (Some(20), Some(15)));
        for bad in ["", "1-2", "2-1/3", "1-x/3", "-1/3"] {
            assert!(bad.parse::<ReadOffsets>().is_err(), "{bad}");
        }
        assert!(
            place
                .note("16-17/20".parse().ok(), &messages(&[17]))
                .is_err()
        );
    }

    #[test]
    fn elsewhere_only_a_restart_behind_missing_messages_is_a_gap() {
        let mut place = Place::after(Some(4));
        place.note(None, &messages(&[7])).unwrap();
        assert_eq!(place.missed, Missed::default());
        place.is_restarted = true;
        place.note(None, &messages(&[8])).unwrap();
        assert_eq!(place.missed, Missed::default());
        place.is_restarted = true;
        place.note(None, &messages(&[10])).unwrap();
        assert_eq!((place.missed.gaps, place.missed.gone_before), (1, Some(10)));
    }
}
