//! The answer to GetMessages, written piece by piece: the first piece is sent while the next is
//! made, and the whole answer is never in memory.

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::wire::{TimeText, push_base64};
use crate::limits::ANSWER_PIECE_BYTES;
use crate::storage::Message;
use crate::time::TimeMs;

/// A JSON array of messages. It is written by own code because it is the largest output by far and
/// base64 never needs escapes.
pub(super) struct MessagesJson {
    messages: std::vec::IntoIter<Message>,
    /// A name has only characters that JSON takes as they are.
    stream: String,
    has_begun: bool,
    has_ended: bool,
    times: TimeText,
    /// Its part of the room for answers.
    room: Option<OwnedSemaphorePermit>,
}

impl MessagesJson {
    pub(super) fn new(
        stream: String,
        messages: Vec<Message>,
        room: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            messages: messages.into_iter(),
            stream,
            has_begun: false,
            has_ended: false,
            times: TimeText::default(),
            room,
        }
    }

    /// Takes its part of the room for answers, which the pieces go on to need.
    pub(super) fn take_room(&mut self) -> Option<OwnedSemaphorePermit> {
        self.room.take()
    }

    /// Returns how long all pieces are together, before the first is taken.
    pub(super) fn length(&self) -> usize {
        let messages = self.messages.as_slice();
        let sum = |sum: usize, message| sum.saturating_add(self.message_length(message));
        let commas = messages.len().saturating_sub(1);
        messages.iter().fold("[]".len().saturating_add(commas), sum)
    }

    fn message_length(&self, message: &Message) -> usize {
        const FIXED: usize =
            r#"{"stream":"","partition":"","offset":,"timestamp":"","key":,"value":}"#.len();
        let key = message.key.as_ref();
        [
            self.stream.len(),
            digits(u64::from(message.partition)),
            digits(message.stamp.offset),
            TimeMs::TEXT_BYTES,
            key.map_or("null".len(), |key| quoted_base64_length(key.len())),
            quoted_base64_length(message.value.len()),
        ]
        .into_iter()
        .fold(FIXED, usize::saturating_add)
    }

    fn push(&mut self, json: &mut Vec<u8>, message: &Message) {
        let mut number = itoa::Buffer::new();
        json.extend_from_slice(b"{\"stream\":\"");
        json.extend_from_slice(self.stream.as_bytes());
        json.extend_from_slice(b"\",\"partition\":\"");
        json.extend_from_slice(number.format(message.partition).as_bytes());
        json.extend_from_slice(b"\",\"offset\":");
        json.extend_from_slice(number.format(message.stamp.offset).as_bytes());
        json.extend_from_slice(b",\"timestamp\":\"");
        json.extend_from_slice(self.times.of(message.stamp.time).as_bytes());
        json.extend_from_slice(b"\",\"key\":");
        match &message.key {
            None => json.extend_from_slice(b"null"),
            Some(key) => push_base64(json, key),
        }
        json.extend_from_slice(b",\"value\":");
        push_base64(json, &message.value);
        json.push(b'}');
    }
}

impl Iterator for MessagesJson {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.has_ended {
            return None;
        }
        let room = |message: &Message| {
            self.message_length(message)
                .saturating_add(ANSWER_PIECE_BYTES)
        };
        let mut json = Vec::with_capacity(self.messages.as_slice().first().map_or(2, room));
        while json.len() < ANSWER_PIECE_BYTES {
            let Some(message) = self.messages.next() else {
                json.extend_from_slice(if self.has_begun { b"]" } else { b"[]" });
                self.has_ended = true;
                break;
            };
            json.push(if self.has_begun { b',' } else { b'[' });
            self.has_begun = true;
            self.push(&mut json, &message);
        }
        Some(json.into())
    }
}

/// Returns the number of digits of a number.
fn digits(number: u64) -> usize {
    let more = number.checked_ilog10().unwrap_or(0);
    usize::try_from(more).unwrap_or(0).saturating_add(1)
}

fn quoted_base64_length(bytes: usize) -> usize {
    bytes.div_ceil(3).saturating_mul(4).saturating_add(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition_log::Stamp;

    fn message(offset: u64, key: Option<&'static [u8]>, value: &[u8]) -> Message {
        Message {
            partition: u32::try_from(offset % 13).unwrap(),
            stamp: Stamp {
                offset,
                time: TimeMs(1_780_000_000_000 + offset % 3),
            },
            key: key.map(Bytes::from_static),
            value: Bytes::copy_from_slice(value),
        }
    }

    fn all(messages: Vec<Message>) -> (usize, Vec<Bytes>) {
        let json = MessagesJson::new("orders".to_owned(), messages, None);
        (json.length(), json.collect())
    }

    #[test]
    fn a_message_is_written_as_the_contract_says() {
        let (length, pieces) = all(vec![
            message(5, None, b"five"),
            message(6, Some(b"k"), b"6"),
        ]);
        let expected = "[{\"stream\":\"orders\",\"partition\":\"5\",\"offset\":5,\
             \"timestamp\":\"2026-05-28T20:26:40.002Z\",\"key\":null,\"value\":\"Zml2ZQ==\"},\
             {\"stream\":\"orders\",\"partition\":\"6\",\"offset\":6,\
             \"timestamp\":\"2026-05-28T20:26:40.000Z\",\"key\":\"aw==\",\"value\":\"Ng==\"}]";
        assert_eq!(pieces.concat(), expected.as_bytes());
        assert_eq!(length, expected.len());
        assert_eq!(all(Vec::new()), (2, vec![Bytes::from_static(b"[]")]));
    }

    #[test]
    fn the_length_is_that_of_all_pieces_whatever_they_have() {
        let sizes = [
            1,
            2,
            3,
            4,
            100,
            1_000,
            ANSWER_PIECE_BYTES,
            10 * ANSWER_PIECE_BYTES,
            7,
            70_000,
        ];
        let offsets = [0, 9, 10, 99, 100, 12_345, u64::from(u32::MAX), u64::MAX];
        let message = |place: usize| {
            let (size, offset) = (sizes[place % 10], offsets[place % 8]);
            message(
                offset,
                place.is_multiple_of(2).then_some(b"key"),
                &vec![7; size],
            )
        };
        for count in 0..40 {
            let (length, pieces) = all((0..count).map(message).collect());
            let json = pieces.concat();
            assert_eq!(json.len(), length);
            let parsed: Vec<serde_json::Value> = serde_json::from_slice(&json).unwrap();
            assert_eq!(parsed.len(), count);
            assert!(
                pieces
                    .iter()
                    .rev()
                    .skip(1)
                    .all(|piece| piece.len() >= ANSWER_PIECE_BYTES)
            );
        }
    }
}
