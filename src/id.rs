//! Identities: small types that cannot be mixed up.

use std::fmt;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::time::Wall;

/// A call's identity: a `UUIDv7` if this gateway accepted it; any printable text if another client
/// published the record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub String);

impl fmt::Display for CallId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The host's number of an HTTP exchange. Unique for as long as the exchange lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u32);

/// The engine's own number of a callout. Unlike the host's tokens it is never reused within an
/// engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// The place of a record on its Stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The partition; the protocol writes it as a decimal string.
    pub partition: u32,
    /// Strictly increasing within a partition, not dense.
    pub offset: u64,
}

/// The number of a lane, counted from the shortest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneNumber(pub u16);

/// The streams of a gateway. A drain reads the calls and the lanes, and never dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamName {
    /// Calls to be made.
    Calls,
    /// Calls that wait.
    Lane(LaneNumber),
    /// Dead letters.
    Dead,
}

/// A record's identity. Offsets start again if a stream is deleted and made anew, so the time at
/// which the record was stored is a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordId {
    /// The stream.
    pub source: StreamName,
    /// The place on that stream.
    pub position: Position,
    /// The digits of its timestamp, as one number.
    stored: u64,
}

impl RecordId {
    /// Returns the id that stands for the drain's own notes to a partition of the calls, where an
    /// id of a record is needed.
    #[must_use]
    pub const fn of_notes(partition: u32) -> Self {
        Self {
            source: StreamName::Calls,
            position: Position {
                partition,
                offset: u64::MAX,
            },
            stored: 0,
        }
    }

    /// Returns whether it stands for the notes of its partition.
    #[must_use]
    pub fn is_of_notes(&self) -> bool {
        *self == Self::of_notes(self.position.partition)
    }

    /// Returns the id of a record that was stored at this time (RFC 3339).
    #[must_use]
    pub fn new(source: StreamName, position: Position, stored_at: &str) -> Self {
        let digits = stored_at.bytes().filter(u8::is_ascii_digit);
        let stored = digits.fold(0_u64, |number, digit| {
            number
                .wrapping_mul(10)
                .wrapping_add(u64::from(digit - b'0'))
        });
        Self {
            source,
            position,
            stored,
        }
    }
}

/// The randomness of one engine: seeded once by the host, deterministic from there.
pub struct Entropy(ChaCha8Rng);

impl Entropy {
    /// Starts from 32 bytes that nobody outside can guess.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// Returns a new call id that sorts by `now` (RFC 9562 §5.7).
    pub fn call_id(&mut self, now: Wall) -> CallId {
        let mut random = [0; 10];
        self.0.fill_bytes(&mut random);
        let id = uuid::Builder::from_unix_timestamp_millis(now.0, &random).into_uuid();
        CallId(id.hyphenated().to_string())
    }

    /// Returns a random UUID (RFC 9562 §5.4) as text.
    pub fn uuid(&mut self) -> String {
        let mut random = [0; 16];
        self.0.fill_bytes(&mut random);
        uuid::Builder::from_random_bytes(random)
            .into_uuid()
            .hyphenated()
            .to_string()
    }

    /// Fills `bytes` with random bytes that nobody outside can guess.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// Returns a separate generator, for a part that draws at other times.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        Self::from_seed(seed)
    }

    /// Returns a number in `0..=limit`; the bias is below one part in 2^32 for every limit used
    /// here.
    pub fn up_to(&mut self, limit: u64) -> u64 {
        match limit.checked_add(1) {
            Some(span) => self.0.next_u64() % span,
            None => self.0.next_u64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_ids_are_version_7_and_sort_by_time() {
        let mut entropy = Entropy::from_seed([7; 32]);
        let first = entropy.call_id(Wall(1_000));
        let second = entropy.call_id(Wall(2_000));
        assert!(first < second);
        assert_eq!(first.0.as_bytes()[14], b'7');
        assert_eq!(first.0.len(), 36);
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let numbers = |seed| {
            let mut entropy = Entropy::from_seed([seed; 32]);
            (0..20).map(|_| entropy.up_to(9)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
        assert!(numbers(3).iter().all(|number| *number <= 9));
    }
}
