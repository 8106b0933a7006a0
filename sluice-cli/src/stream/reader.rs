//! Reads one partition from its oldest message to its end.

use super::messages::{Message, Start};
use super::{StreamClient, StreamError};
use crate::limits::GET_MESSAGES_MAX;

/// A place in a partition. It outlives its cursors, which expire after five minutes.
#[derive(Debug)]
pub struct PartitionReader<'a> {
    client: &'a StreamClient,
    stream: &'a str,
    partition: u32,
    cursor: Option<String>,
    last: Option<u64>,
    /// How often messages were gone before they were read.
    gaps: u64,
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
            last,
            gaps: 0,
        }
    }

    /// Returns the next messages; empty at the end.
    ///
    /// # Errors
    /// [`StreamError`] says what to do.
    pub fn next_messages(&mut self) -> Result<Vec<Message>, StreamError> {
        loop {
            let (mut messages, next) = self.read_on()?;
            self.cursor = Some(next);
            let at_end = messages.is_empty();
            // A new cursor at the oldest message may repeat messages that were read before.
            messages.retain(|message| self.last.is_none_or(|last| message.position.offset > last));
            if let Some(message) = messages.last() {
                self.last = Some(message.position.offset);
            }
            if at_end || !messages.is_empty() {
                return Ok(messages);
            }
        }
    }

    /// Returns how often retention has removed messages before they were read.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    fn read_on(&mut self) -> Result<(Vec<Message>, String), StreamError> {
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

    fn read(&self, cursor: &str) -> Result<(Vec<Message>, String), StreamError> {
        self.client
            .messages(self.stream, self.partition, cursor, GET_MESSAGES_MAX)
    }

    fn new_cursor(&mut self) -> Result<String, StreamError> {
        let (client, stream, partition) = (self.client, self.stream, self.partition);
        let create = |start| client.cursor(stream, partition, start);
        let Some(last) = self.last else {
            return create(Start::TrimHorizon);
        };
        match create(Start::AfterOffset(last)) {
            // Retention has removed the last message, and the oldest one left comes after it.
            Err(StreamError::Refused { status: 400, .. }) => {
                self.gaps = self.gaps.saturating_add(1);
                create(Start::TrimHorizon)
            }
            other => other,
        }
    }
}
