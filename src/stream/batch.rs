//! A batch: the messages that go to a stream in one PutMessages, and what the Stream says of each.
//!
//! Everything that is published goes through [`Batch`]. Its users differ in what they do after a
//! failure: [`crate::accept`] tells its clients, and [`super::put_queue`] puts the messages again.

use crate::http::{CalloutResult, OutgoingRequest};
use crate::stream::StreamClient;
use crate::stream::error::{StreamError, expect_ok};
use crate::stream::put::{PutBody, PutEntry, parse_put_answer};

/// A message that can be put again.
pub(crate) trait Message {
    /// Returns what is stored.
    fn record(&self) -> &[u8];

    /// Returns its key, 1 to 256 bytes, which decides about its partition; `None` if any partition
    /// will do.
    fn key(&self) -> Option<&str>;

    /// Returns its order key. Messages with the same one are stored in their order (G6).
    fn order_key(&self) -> Option<&str>;
}

/// How much one batch may hold. A batch with a single message may always be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchMax {
    /// Messages.
    pub(crate) messages: usize,
    /// Bytes of the records and their keys, before base64.
    pub(crate) bytes: usize,
}

/// Messages that gather for one PutMessages.
#[derive(Debug)]
pub(crate) struct Batch<M> {
    body: PutBody,
    messages: Vec<M>,
}

/// Messages whose PutMessages is not answered yet.
#[derive(Debug)]
pub(crate) struct SentBatch<M>(Vec<M>);

/// A batch whose request has failed, or whose answer can't be read.
pub(crate) struct FailedBatch<M> {
    pub(crate) messages: Vec<M>,
    pub(crate) error: StreamError,
}

impl<M> Default for Batch<M> {
    fn default() -> Self {
        Self {
            body: PutBody::default(),
            messages: Vec::new(),
        }
    }
}

impl<M> Batch<M> {
    /// Returns how many messages the batch has.
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Returns whether the batch has no message.
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Returns the messages, in their order.
    pub(crate) fn messages(&self) -> &[M] {
        &self.messages
    }

    /// Returns whether another message fits. An empty batch takes every message.
    pub(crate) fn has_room(&self, key: Option<&str>, record: &[u8], max: BatchMax) -> bool {
        let bytes = record.len().saturating_add(key.map_or(0, str::len));
        let bytes = self.body.bytes().saturating_add(bytes);
        self.is_empty() || (self.len() < max.messages && bytes <= max.bytes)
    }

    /// Adds a message at the end: `record` is stored, and the key, 1 to 256 bytes long, decides
    /// about its partition.
    pub(crate) fn add(&mut self, message: M, key: Option<&str>, record: &[u8]) {
        self.body.push(key, record);
        self.messages.push(message);
    }

    /// Returns the request that stores the batch, and the sent batch, which waits for its answer.
    pub(crate) fn send(self, client: &StreamClient) -> (OutgoingRequest, SentBatch<M>) {
        (client.put_messages(self.body), SentBatch(self.messages))
    }
}

impl<M: Message> Batch<M> {
    /// Adds a message that knows its own key and record.
    pub(crate) fn add_whole(&mut self, message: M) {
        self.body.push(message.key(), message.record());
        self.messages.push(message);
    }
}

impl<M> SentBatch<M> {
    /// Returns how many messages were sent.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns what the Stream says of each message, in their order.
    ///
    /// # Errors
    /// All messages, if the whole request has failed or if its answer can't be read.
    pub(crate) fn answered(
        self,
        result: CalloutResult,
    ) -> Result<Vec<(M, PutEntry)>, FailedBatch<M>> {
        let Self(messages) = self;
        let entries = expect_ok(result).and_then(|answer| {
            parse_put_answer(&answer.body, messages.len()).map_err(StreamError::Unanswered)
        });
        match entries {
            Ok(entries) => Ok(messages.into_iter().zip(entries).collect()),
            Err(error) => Err(FailedBatch { messages, error }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::IncomingResponse;
    use crate::id::Position;

    const MAX: BatchMax = BatchMax {
        messages: 2,
        bytes: 10,
    };

    fn batch(records: &[&str]) -> Batch<usize> {
        let mut batch = Batch::default();
        for (number, record) in records.iter().enumerate() {
            batch.add(number, None, record.as_bytes());
        }
        batch
    }

    fn answer(body: &str) -> CalloutResult {
        CalloutResult::Answered(IncomingResponse {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
            body_bytes: body.len(),
        })
    }

    #[test]
    fn a_batch_is_full_by_number_or_by_bytes_and_keys_count() {
        assert!(batch(&["12345"]).has_room(None, b"12345", MAX));
        assert!(!batch(&["12345"]).has_room(Some("k"), b"12345", MAX));
        assert!(!batch(&["1", "2"]).has_room(None, b"3", MAX));
    }

    #[test]
    fn a_single_message_is_sent_however_long_it_is() {
        assert!(batch(&[]).has_room(Some("key"), b"much too long for a batch", MAX));
    }

    #[test]
    fn each_message_gets_its_own_entry() {
        let client = StreamClient::new("h", "s");
        let (request, sent) = batch(&["a", "b"]).send(&client);
        assert!(request.body.ends_with(br#"{"value":"Yg=="}]}"#));
        let entries = r#"{"entries":[{"error":"E"},{"partition":"1","offset":2}]}"#;
        let position = Position {
            partition: 1,
            offset: 2,
        };
        let answered = sent.answered(answer(entries)).ok();
        let expected = [
            (0, PutEntry::Failed("E: ".to_owned())),
            (1, PutEntry::Stored(position)),
        ];
        assert_eq!(answered.as_deref(), Some(expected.as_slice()));
    }

    #[test]
    fn a_batch_that_fails_gives_all_of_its_messages_back() {
        let client = StreamClient::new("h", "s");
        for result in [CalloutResult::Lost, answer(r#"{"entries":[]}"#)] {
            let (_, sent) = batch(&["a", "b"]).send(&client);
            let failed = sent.answered(result).err();
            assert_eq!(failed.map(|failed| failed.messages), Some(vec![0, 1]));
        }
    }
}
