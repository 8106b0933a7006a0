//! The form of the log: frames of messages, each with its place, its checksums, and the number of
//! the commit that wrote it. Pure: bytes in, bytes out. All numbers are little-endian.
//!
//! A commit is what one synchronisation makes durable: one frame or more, numbered without gaps,
//! and begun only after the one before it was durable. So what stands before a later commit was
//! acknowledged, while an incomplete last commit was not.

use bytes::Bytes;

use crate::partition_log::Stamp;
use crate::time::TimeMs;

/// Bytes of a frame's header.
pub(super) const HEADER_BYTES: usize = 72;
/// Bytes after which the next message begins another frame. A read from the middle of a frame reads
/// all of it.
const FRAME_BYTES_GOAL: usize = 16_384;
/// Begins every frame ("SluF" in ASCII).
pub(super) const MAGIC: [u8; 4] = *b"SluF";
/// Bytes of a record besides its key and value: time, length of the value, length of the key.
const RECORD_BYTES: usize = 14;
/// The length of a missing key. Keys are shorter.
const NO_KEY: u16 = u16::MAX;
/// The part of the header that its own checksum covers.
const CHECKED_FROM: usize = 8;

/// The stream's key and the number of the partition.
pub(super) type Place = (u64, u32);

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) place: Place,
    /// The offset of its first message; the others follow without gaps.
    pub(super) first_offset: u64,
    /// Its messages, at least one.
    pub(super) count: u32,
    /// The time of its last message.
    pub(super) last_time: TimeMs,
    /// The commit that wrote it.
    pub(super) commit: u64,
    /// How many more frames of the same commit follow.
    pub(super) left: u32,
    /// Bytes of the records.
    pub(super) payload_bytes: u32,
    /// CRC-32 (ISO-HDLC) of the records.
    pub(super) payload_crc: u32,
}

impl Header {
    /// Reads a header; `None` if these bytes are not one.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let is_frame = bytes.starts_with(&MAGIC)
            && crc32fast::hash(bytes.get(CHECKED_FROM..)?) == u32_at(bytes, 4)?;
        is_frame.then_some(())?;
        Some(Self {
            payload_crc: u32_at(bytes, 8)?,
            payload_bytes: u32_at(bytes, 12)?,
            count: u32_at(bytes, 16)?,
            place: (u64_at(bytes, 24)?, u32_at(bytes, 20)?),
            first_offset: u64_at(bytes, 32)?,
            last_time: TimeMs(u64_at(bytes, 40)?),
            commit: u64_at(bytes, 48)?,
            left: u32_at(bytes, 56)?,
        })
    }

    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let (stream_key, partition) = self.place;
        let mut put = |at: usize, number: &[u8]| {
            let room = bytes.get_mut(at..).unwrap_or_default();
            room.iter_mut()
                .zip(number)
                .for_each(|(to, from)| *to = *from);
        };
        put(0, &MAGIC);
        put(8, &self.payload_crc.to_le_bytes());
        put(12, &self.payload_bytes.to_le_bytes());
        put(16, &self.count.to_le_bytes());
        put(20, &partition.to_le_bytes());
        put(24, &stream_key.to_le_bytes());
        put(32, &self.first_offset.to_le_bytes());
        put(40, &self.last_time.0.to_le_bytes());
        put(48, &self.commit.to_le_bytes());
        put(56, &self.left.to_le_bytes());
        let crc = crc32fast::hash(bytes.get(CHECKED_FROM..).unwrap_or_default());
        bytes
            .iter_mut()
            .skip(4)
            .zip(crc.to_le_bytes())
            .for_each(|(to, from)| *to = from);
        bytes
    }

    /// Returns the offset after its last message.
    pub(super) fn next_offset(&self) -> u64 {
        self.first_offset.saturating_add(u64::from(self.count))
    }
}

/// A frame of a commit, with its position in the commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Framed {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) header: Header,
}

/// Returns the most bytes that a message with such a key and value takes: those in a frame of its
/// own.
pub(super) fn frame_bytes_max(key_bytes: usize, value_bytes: usize) -> usize {
    (HEADER_BYTES + RECORD_BYTES)
        .saturating_add(key_bytes)
        .saturating_add(value_bytes)
}

/// The bytes of one commit. The buffer is reused, so that only the largest commits cost an
/// allocation.
#[derive(Debug, Default)]
pub(super) struct CommitBuffer {
    bytes: Vec<u8>,
    frames: Vec<Framed>,
}

impl CommitBuffer {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
    }

    /// Frees memory beyond this many bytes.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        self.bytes.shrink_to(bytes);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn frames(&self) -> &[Framed] {
        &self.frames
    }

    /// Adds a message, to the last frame if that can take it.
    pub(super) fn push(&mut self, place: Place, stamp: Stamp, key: Option<&[u8]>, value: &[u8]) {
        let goes_on = self.frames.last().is_some_and(|last| {
            last.header.place == place
                && last.header.next_offset() == stamp.offset
                && self.bytes.len().saturating_sub(last.start) < FRAME_BYTES_GOAL
        });
        if !goes_on {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(&[0; HEADER_BYTES]);
            let header = Header {
                place,
                first_offset: stamp.offset,
                count: 0,
                last_time: stamp.time,
                commit: 0,
                left: 0,
                payload_bytes: 0,
                payload_crc: 0,
            };
            self.frames.push(Framed {
                start,
                end: start,
                header,
            });
        }
        // Requests are much shorter than these limits.
        let value_bytes = u32::try_from(value.len()).unwrap_or(u32::MAX);
        let key_bytes = key.map_or(NO_KEY, |key| u16::try_from(key.len()).unwrap_or(NO_KEY));
        self.bytes.extend_from_slice(&stamp.time.0.to_le_bytes());
        self.bytes.extend_from_slice(&value_bytes.to_le_bytes());
        self.bytes.extend_from_slice(&key_bytes.to_le_bytes());
        self.bytes.extend_from_slice(key.unwrap_or_default());
        self.bytes.extend_from_slice(value);
        if let Some(last) = self.frames.last_mut() {
            last.end = self.bytes.len();
            last.header.count = last.header.count.saturating_add(1);
            last.header.last_time = stamp.time;
        }
    }

    /// Writes the headers, now that all messages are there.
    pub(super) fn finish(&mut self, commit: u64) {
        let lefts = (0..u32::try_from(self.frames.len()).unwrap_or(u32::MAX)).rev();
        for (frame, left) in self.frames.iter_mut().zip(lefts) {
            let whole = self
                .bytes
                .get_mut(frame.start..frame.end)
                .unwrap_or_default();
            let Some((head, payload)) = whole.split_at_mut_checked(HEADER_BYTES) else {
                continue;
            };
            frame.header.commit = commit;
            frame.header.left = left;
            frame.header.payload_bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            frame.header.payload_crc = crc32fast::hash(payload);
            head.copy_from_slice(&frame.header.encode());
        }
    }
}

/// A frame with correct checksums.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) header: Header,
    payload: Bytes,
}

/// A message of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) stamp: Stamp,
    pub(super) key: Option<Bytes>,
    pub(super) value: Bytes,
}

impl Frame {
    /// Returns the frame at the beginning of these bytes, if it is whole.
    pub(super) fn decode(bytes: &Bytes) -> Option<Self> {
        let header = Header::decode(bytes)?;
        let end = HEADER_BYTES.checked_add(usize::try_from(header.payload_bytes).ok()?)?;
        (end <= bytes.len()).then_some(())?;
        let payload = bytes.slice(HEADER_BYTES..end);
        (crc32fast::hash(&payload) == header.payload_crc).then_some(Self { header, payload })
    }

    /// Returns its messages in order. It ends early only if the writer was wrong.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let mut at = 0_usize;
        (0..u64::from(self.header.count)).map_while(move |place| {
            let head = self.payload.get(at..at.checked_add(RECORD_BYTES)?)?;
            let time = TimeMs(u64_at(head, 0)?);
            let value_bytes = usize::try_from(u32_at(head, 8)?).ok()?;
            let key_bytes = u16::from_le_bytes(head.get(12..14)?.try_into().ok()?);
            let key_start = at.checked_add(RECORD_BYTES)?;
            let key_length = usize::from(if key_bytes == NO_KEY { 0 } else { key_bytes });
            let value_start = key_start.checked_add(key_length)?;
            let end = value_start.checked_add(value_bytes)?;
            (end <= self.payload.len()).then_some(())?;
            at = end;
            let offset = self.header.first_offset.checked_add(place)?;
            Some(Record {
                stamp: Stamp { offset, time },
                key: (key_bytes != NO_KEY).then(|| self.payload.slice(key_start..value_start)),
                value: self.payload.slice(value_start..end),
            })
        })
    }
}

/// Returns the number at a position, if there are enough bytes.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let number = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(number.try_into().ok()?))
}

/// Returns the number at a position, if there are enough bytes.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let number = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(number.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(offset: u64) -> Stamp {
        Stamp {
            offset,
            time: TimeMs(1_000 + offset),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut commit = CommitBuffer::default();
        commit.push((1, 0), stamp(5), None, b"five");
        commit.push((1, 0), stamp(6), Some(b"key"), b"six");
        commit.push((1, 3), stamp(0), Some(b""), b"zero");
        commit.finish(9);
        let bytes = Bytes::copy_from_slice(commit.bytes());
        let first = Frame::decode(&bytes).unwrap();
        assert_eq!((first.header.commit, first.header.left), (9, 1));
        let records: Vec<Record> = first.records().collect();
        assert_eq!(records.len(), 2);
        assert_eq!(records[1].stamp, stamp(6));
        assert_eq!(records[1].key.as_deref(), Some(&b"key"[..]));
        let second = Frame::decode(&bytes.slice(commit.frames()[1].start..)).unwrap();
        assert_eq!((second.header.place, second.header.left), ((1, 3), 0));
        let record = second.records().next().unwrap();
        assert_eq!(record.key.as_deref(), Some(&b""[..]));
        assert_eq!(record.value, &b"zero"[..]);
    }

    #[test]
    fn every_flipped_bit_and_every_missing_byte_is_noticed() {
        let mut commit = CommitBuffer::default();
        commit.push((1, 0), stamp(5), Some(b"key"), b"value");
        commit.finish(1);
        let whole = commit.bytes();
        for end in 0..whole.len() {
            let cut = Bytes::copy_from_slice(&whole[..end]);
            assert!(Frame::decode(&cut).is_none(), "{end}");
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::decode(&flipped.into()).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn long_batches_become_several_frames() {
        let mut commit = CommitBuffer::default();
        for offset in 0..10 {
            commit.push((1, 0), stamp(offset), None, &[7; 5_000]);
        }
        commit.finish(1);
        let counts: Vec<u32> = commit.frames().iter().map(|f| f.header.count).collect();
        assert_eq!(counts, [4, 4, 2]);
    }
}
