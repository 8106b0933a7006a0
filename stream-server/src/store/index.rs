//! Where the frames of a segment are. The index of the active segment is in memory, that of a
//! sealed one in a file beside it. The file is made from the segment, and made again if it is
//! missing or damaged.

use std::collections::BTreeMap;

use super::frame::{Header, Place, u32_at, u64_at};
use crate::time::TimeMs;

/// Begins every file of this kind, with its version.
const MAGIC: [u8; 8] = *b"SluIdx\x00\x01";
/// Bytes of the file before the places.
const HEAD_BYTES: usize = 40;
const PLACE_BYTES: usize = 16;
const ENTRY_BYTES: usize = 28;

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) first_offset: u64,
    /// The time of its last message. Times never fall within a partition.
    pub(super) last_time: TimeMs,
    pub(super) count: u32,
    /// Where it begins in its segment.
    pub(super) position: u32,
    /// Its bytes, with its header.
    pub(super) bytes: u32,
}

impl Entry {
    pub(super) fn new(header: &Header, position: u32, bytes: u32) -> Self {
        Self {
            first_offset: header.first_offset,
            last_time: header.last_time,
            count: header.count,
            position,
            bytes,
        }
    }

    /// Returns the offset after its last message.
    pub(super) fn next_offset(&self) -> u64 {
        self.first_offset.saturating_add(u64::from(self.count))
    }

    /// Returns the position after it.
    pub(super) fn end(&self) -> u32 {
        self.position.saturating_add(self.bytes)
    }
}

/// The part of one partition in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first_offset: u64,
    pub(super) next_offset: u64,
    /// The time of the last message.
    pub(super) last_time: TimeMs,
}

impl Span {
    pub(super) fn of(entries: &[Entry]) -> Option<Self> {
        let (first, last) = (entries.first()?, entries.last()?);
        Some(Self {
            first_offset: first.first_offset,
            next_offset: last.next_offset(),
            last_time: last.last_time,
        })
    }
}

/// All frames of one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// The commit of its first frame, even if that is still to come.
    pub(super) first_commit: u64,
    /// The commit after its last one.
    pub(super) next_commit: u64,
    /// The position after the last frame.
    pub(super) end: u32,
    pub(super) places: BTreeMap<Place, Vec<Entry>>,
}

impl Contents {
    pub(super) fn spans(&self) -> BTreeMap<Place, Span> {
        let span = |(place, entries): (&Place, &Vec<Entry>)| Some((*place, Span::of(entries)?));
        self.places.iter().filter_map(span).collect()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
        body.extend_from_slice(&self.first_commit.to_le_bytes());
        body.extend_from_slice(&self.next_commit.to_le_bytes());
        body.extend_from_slice(&self.end.to_le_bytes());
        body.extend_from_slice(&count(self.places.len()));
        for ((stream_key, partition), entries) in &self.places {
            body.extend_from_slice(&stream_key.to_le_bytes());
            body.extend_from_slice(&partition.to_le_bytes());
            body.extend_from_slice(&count(entries.len()));
            for entry in entries {
                body.extend_from_slice(&entry.first_offset.to_le_bytes());
                body.extend_from_slice(&entry.last_time.0.to_le_bytes());
                body.extend_from_slice(&entry.count.to_le_bytes());
                body.extend_from_slice(&entry.position.to_le_bytes());
                body.extend_from_slice(&entry.bytes.to_le_bytes());
            }
        }
        let crc = crc32fast::hash(&body).to_le_bytes();
        [&MAGIC[..], &crc, &[0; 4], &body].concat()
    }

    /// Reads a whole file; `None` if it is not one that [`Contents::encode`] wrote.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let body = bytes.strip_prefix(&MAGIC)?.get(8..)?;
        (crc32fast::hash(body) == u32_at(bytes, 8)?).then_some(())?;
        let mut contents = Self {
            first_commit: u64_at(bytes, 16)?,
            next_commit: u64_at(bytes, 24)?,
            end: u32_at(bytes, 32)?,
            places: BTreeMap::new(),
        };
        let mut rest = bytes.get(HEAD_BYTES..)?;
        for _ in 0..u32_at(bytes, 36)? {
            let place = (u64_at(rest, 0)?, u32_at(rest, 8)?);
            let count = usize::try_from(u32_at(rest, 12)?).ok()?;
            let bytes = count.checked_mul(ENTRY_BYTES)?;
            let (entries, more) = rest.get(PLACE_BYTES..)?.split_at_checked(bytes)?;
            let entry = |bytes: &[u8]| {
                Some(Entry {
                    first_offset: u64_at(bytes, 0)?,
                    last_time: TimeMs(u64_at(bytes, 8)?),
                    count: u32_at(bytes, 16)?,
                    position: u32_at(bytes, 20)?,
                    bytes: u32_at(bytes, 24)?,
                })
            };
            let entries: Option<Vec<Entry>> =
                entries.chunks_exact(ENTRY_BYTES).map(entry).collect();
            contents.places.insert(place, entries?);
            rest = more;
        }
        rest.is_empty().then_some(contents)
    }
}

/// A span of a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SealedSpan {
    pub(super) segment: u64,
    pub(super) span: Span,
}

/// Where one partition's messages are, without those whose segments were deleted.
#[derive(Debug, Default)]
pub(super) struct PartitionIndex {
    /// By first offset.
    sealed: BTreeMap<u64, SealedSpan>,
    active: Vec<Entry>,
    /// The number of the active segment.
    active_segment: u64,
}

/// Where reading goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// In this sealed segment.
    Sealed(u64),
    /// In these frames of the active segment, which has this number.
    Active(u64, Vec<Entry>),
    Nowhere,
}

impl PartitionIndex {
    /// Adds frames of the active segment, which has this number.
    pub(super) fn push(&mut self, segment: u64, entries: impl IntoIterator<Item = Entry>) {
        self.active_segment = segment;
        self.active.extend(entries);
    }

    pub(super) fn active(&self) -> &[Entry] {
        &self.active
    }

    /// Adds the frames of a sealed segment.
    pub(super) fn add_sealed(&mut self, segment: u64, span: Span) {
        let sealed = SealedSpan { segment, span };
        self.sealed.insert(span.first_offset, sealed);
    }

    /// Notes that the active segment, which has this number, is sealed.
    pub(super) fn seal(&mut self, segment: u64) {
        if let Some(span) = Span::of(&self.active) {
            self.add_sealed(segment, span);
        }
        self.active = Vec::new();
    }

    /// Forgets a segment that is deleted.
    pub(super) fn forget(&mut self, segment: u64) {
        self.sealed.retain(|_, sealed| sealed.segment != segment);
    }

    /// Returns all spans, from the oldest to the newest.
    pub(super) fn spans(&self) -> impl Iterator<Item = Span> + '_ {
        let sealed = self.sealed.values().map(|sealed| sealed.span);
        sealed.chain(Span::of(&self.active))
    }

    /// Returns where the first message from an offset on is, with at most so many frames.
    pub(super) fn find(&self, offset: u64, frames_max: usize) -> Found {
        let before = self.sealed.range(..=offset).next_back();
        let has_it = |sealed: &SealedSpan| offset < sealed.span.next_offset;
        if let Some((_, sealed)) = before.filter(|(_, sealed)| has_it(sealed)) {
            return Found::Sealed(sealed.segment);
        }
        if let Some((_, sealed)) = self.sealed.range(offset..).next() {
            return Found::Sealed(sealed.segment);
        }
        match frames_from(&self.active, offset, frames_max) {
            [] => Found::Nowhere,
            entries => Found::Active(self.active_segment, entries.to_vec()),
        }
    }

    /// Returns the frames that may have the first message with at least this time.
    pub(super) fn find_time(&self, time: TimeMs) -> Option<FoundTime> {
        let mut sealed = self.sealed.values();
        if let Some(sealed) = sealed.find(|sealed| sealed.span.last_time >= time) {
            return Some(FoundTime::Sealed(sealed.segment));
        }
        let found = |entry| FoundTime::Active(self.active_segment, entry);
        frame_at(&self.active, time).map(found)
    }
}

/// Where the first message with at least some time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FoundTime {
    /// In this sealed segment.
    Sealed(u64),
    /// In this frame of the active one, which has this number.
    Active(u64, Entry),
}

/// Returns the frames from the one with the first message at or after an offset.
pub(super) fn frames_from(entries: &[Entry], offset: u64, frames_max: usize) -> &[Entry] {
    let start = entries.partition_point(|entry| entry.next_offset() <= offset);
    let end = start.saturating_add(frames_max).min(entries.len());
    entries.get(start..end).unwrap_or_default()
}

/// Returns the frame that has the first message with at least this time.
pub(super) fn frame_at(entries: &[Entry], time: TimeMs) -> Option<Entry> {
    let place = entries.partition_point(|entry| entry.last_time < time);
    entries.get(place).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(first_offset: u64, count: u32) -> Entry {
        Entry {
            first_offset,
            last_time: TimeMs(first_offset + u64::from(count)),
            count,
            position: 0,
            bytes: 1,
        }
    }

    #[test]
    fn contents_survive_their_file_and_damage_shows() {
        let contents = Contents {
            first_commit: 3,
            next_commit: 9,
            end: 77,
            places: BTreeMap::from([((1, 0), vec![entry(0, 5), entry(5, 1)]), ((2, 7), vec![])]),
        };
        let bytes = contents.encode();
        assert_eq!(Contents::decode(&bytes), Some(contents));
        for end in 0..bytes.len() {
            assert_eq!(Contents::decode(&bytes[..end]), None);
        }
    }

    #[test]
    fn offsets_and_times_are_found_in_sealed_and_active_segments() {
        let mut index = PartitionIndex::default();
        index.push(1, [entry(0, 10), entry(10, 10)]);
        index.seal(1);
        index.push(2, [entry(20, 10), entry(30, 10)]);
        assert_eq!(index.find(0, 9), Found::Sealed(1));
        assert_eq!(index.find(19, 9), Found::Sealed(1));
        assert_eq!(index.find(25, 1), Found::Active(2, vec![entry(20, 10)]));
        assert_eq!(index.find(40, 9), Found::Nowhere);
        assert_eq!(index.find_time(TimeMs(20)), Some(FoundTime::Sealed(1)));
        let active = FoundTime::Active(2, entry(20, 10));
        assert_eq!(index.find_time(TimeMs(21)), Some(active));
        assert_eq!(index.find_time(TimeMs(41)), None);
        index.forget(1);
        assert_eq!(index.find(0, 1), Found::Active(2, vec![entry(20, 10)]));
    }
}
