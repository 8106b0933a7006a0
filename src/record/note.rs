//! A note on the stream of calls tells which calls with an order key are away on lanes. So whoever
//! reads the partition next makes no later call of these keys before them (G6).
//!
//! A note is in the partition of the calls that it tells of. It isn't committed before the next
//! note is stored or nothing is away any more, so it moves with the partition.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::limits::ORDER_KEY_BYTES_MAX;
use crate::record::head::RECORD_VERSION;
use crate::time::Wall;

/// An order key, as notes name it: the first eight bytes of its SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyDigest(u64);

impl KeyDigest {
    /// The digest that comes before all others.
    pub const LOWEST: Self = Self(0);

    /// Returns the digest of this order key.
    #[must_use]
    pub fn of(order_key: &str) -> Self {
        let digest = Sha256::digest(order_key.as_bytes());
        let bytes = digest.iter().take(8);
        Self(bytes.fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    }

    fn hex(self) -> String {
        let mut text = String::with_capacity(16);
        // Writing into a string can't fail.
        let _ = write!(text, "{:016x}", self.0);
        text
    }

    fn parse(hex: &str) -> Option<Self> {
        let is_hex = hex.len() == 16 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| u64::from_str_radix(hex, 16).ok().map(Self))?
    }
}

/// Bytes of a drain's name: a UUID.
const WRITER_BYTES_MAX: usize = 64;

/// The most calls in one note: a drain may have taken over as many as it may have away itself.
const AWAY_MAX: usize = 2 * 8_192;

/// Offsets and times are below these, so that a note of so many calls fits into one message. A
/// partition with a million records a second gets there after 31 years. The time is the end of the
/// year 9999.
const NUMBER_MAX: u64 = 1_000_000_000_000_000;
const BACK_AT_MAX: u64 = 253_402_300_800_000;

/// A call that is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away {
    /// Its order key.
    pub key: KeyDigest,
    /// Its place in the order of its key: the first offset that it had in the partition.
    pub number: u64,
    /// When it comes back.
    pub back_at: Wall,
}

/// The content of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The drain that wrote it.
    pub by: String,
    /// How often that drain had got partitions anew.
    pub epoch: u64,
    /// The drain's number of the note.
    pub serial: u64,
    /// The partition that it tells of.
    pub partition: u32,
    /// An order key of this partition. As message key it leads the next note there.
    pub route: String,
    /// The calls that are away, by key.
    pub away: Vec<Away>,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    version: u32,
    parked: WireParked,
}

#[derive(Serialize, Deserialize)]
struct WireParked {
    by: String,
    epoch: u64,
    serial: u64,
    partition: u32,
    route: String,
    /// For each key its calls, each with its number and when it comes back, in milliseconds since
    /// 1970.
    keys: Vec<(String, Vec<(u64, u64)>)>,
}

impl Note {
    /// Returns the note as the Stream stores it; `None` after an error of the JSON library, which
    /// isn't expected.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut keys: Vec<(String, Vec<(u64, u64)>)> = Vec::new();
        let mut latest = None;
        for away in &self.away {
            let call = (away.number, away.back_at.0);
            match keys.last_mut().filter(|_| latest == Some(away.key)) {
                Some((_, calls)) => calls.push(call),
                None => keys.push((away.key.hex(), vec![call])),
            }
            latest = Some(away.key);
        }
        let parked = WireParked {
            by: self.by.clone(),
            epoch: self.epoch,
            serial: self.serial,
            partition: self.partition,
            route: self.route.clone(),
            keys,
        };
        let version = RECORD_VERSION;
        serde_json::to_vec(&Wire { version, parked }).ok()
    }

    /// Reads a note; `None` if the record is not a valid note.
    #[must_use]
    pub fn decode(record: &[u8]) -> Option<Self> {
        let wire: Wire = serde_json::from_slice(record).ok()?;
        let parked = wire.parked;
        let away = parked.keys.iter().filter_map(|(hex, calls)| {
            let key = KeyDigest::parse(hex)?;
            Some(calls.iter().map(move |(number, back_at)| Away {
                key,
                number: *number,
                back_at: Wall(*back_at),
            }))
        });
        Some(Self {
            by: parked.by.clone(),
            epoch: parked.epoch,
            serial: parked.serial,
            partition: parked.partition,
            route: parked.route.clone(),
            away: away.flatten().collect(),
        })
        .filter(|note| wire.version == RECORD_VERSION && note.can_be_ours())
    }

    /// Returns whether a drain may have written the note, and another note could say the same.
    /// Anybody may have written this one.
    fn can_be_ours(&self) -> bool {
        let is_text = |text: &str, bytes_max| {
            let mut bytes = text.bytes();
            (1..=bytes_max).contains(&text.len()) && bytes.all(|byte| (b' '..=b'~').contains(&byte))
        };
        is_text(&self.by, WRITER_BYTES_MAX)
            && is_text(&self.route, ORDER_KEY_BYTES_MAX)
            && self.away.len() <= AWAY_MAX
            && self
                .away
                .iter()
                .all(|away| away.number < NUMBER_MAX && away.back_at.0 < BACK_AT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_says_what_was_written() {
        let away = |key: &str, number| Away {
            key: KeyDigest::of(key),
            number,
            back_at: Wall(1_795_408_560_000),
        };
        let note = Note {
            by: "a drain".to_owned(),
            epoch: 1,
            serial: 2,
            partition: 3,
            route: "a".to_owned(),
            away: vec![away("a", 7), away("a", 9), away("b", 8)],
        };
        let bytes = note.encode().unwrap();
        assert_eq!(Note::decode(&bytes), Some(note));
        let text = String::from_utf8(bytes).unwrap();
        let by = r#"{"version":1,"parked":{"by":"a drain","epoch":1,"serial":2,"#;
        let start = format!(r#"{by}"partition":3,"route":"a","keys":[["ca97"#);
        assert!(text.starts_with(&start), "{text}");
    }

    #[test]
    fn what_is_no_note_is_none() {
        let by_route = |version: u32, route: &str, keys: &str| {
            let by = r#""by":"x","epoch":0,"serial":0,"partition":0,"route":"#;
            let parked = format!(r#"{{{by}"{route}","keys":{keys}}}"#);
            let record = format!(r#"{{"version":{version},"parked":{parked}}}"#);
            Note::decode(record.as_bytes()).map(|note| note.away)
        };
        let note = |version: u32, keys: &str| by_route(version, "r", keys);
        assert_eq!(Note::decode(b"{"), None);
        assert_eq!(Note::decode(br#"{"version":1,"path":"/"}"#), None);
        assert_eq!(note(1, "[]"), Some(Vec::new()));
        assert_eq!(note(2, "[]"), None, "another version");
        assert_eq!(note(1, "7"), None);
        // The next note of this drain could not say these.
        assert_eq!(by_route(1, "", "[]"), None);
        assert_eq!(by_route(1, &"r".repeat(257), "[]"), None);
        for call in ["[0,18446744073709551615]", "[1000000000000000,1]"] {
            let keys = format!(r#"[["0000000000000001",[{call}]]]"#);
            assert_eq!(note(1, &keys), None, "{call}");
        }
        assert_eq!(note(1, r#"[["x",[[1,2]]]]"#), Some(Vec::new()), "no digest");
    }
}
