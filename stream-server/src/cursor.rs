//! Cursors as clients see them: opaque text, authenticated, bound to their stream, at most five
//! minutes old.
//!
//! Layout before base64url: version, kind, stream, expiry, the kind's fields, and the first 16
//! bytes of an HMAC-SHA256 over all of that. Numbers are LEB128. A group's cursor has at most 64
//! positions, so that the longest one keeps the contract's limit of 1024 characters.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::group::GroupCursor;
use crate::limits::{CURSOR_CHARS_MAX, CURSOR_LIFE_MS, CURSOR_POSITIONS_MAX};
use crate::partition_log::Position;
use crate::time::TimeMs;

const VERSION: u64 = 1;
const KIND_OFFSET: u64 = 1;
const KIND_TIME: u64 = 2;
const KIND_GROUP: u64 = 3;
const MAC_BYTES: usize = 16;

/// The content of a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// An individual cursor (CreateCursor). Valid across restarts of the server.
    Partition {
        /// The partition it reads.
        partition: u32,
        /// Where it reads on.
        position: Position,
    },
    /// A group's cursor (CreateGroupCursor). Invalid after a restart of the server, because
    /// membership is in memory.
    Group(GroupCursor),
}

/// Why a cursor is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorError {
    /// It was never issued by this server, or for another stream, or before a restart.
    Invalid,
    /// It was issued more than [`CURSOR_LIFE_MS`] ago.
    Expired,
}

/// Seals and opens cursors.
#[derive(Clone)]
pub struct CursorCodec {
    mac: Hmac<Sha256>,
    boot_id: u64,
}

impl CursorCodec {
    /// Returns a codec. `secret` is kept in the store; `boot_id` differs with each start of the
    /// server.
    #[must_use]
    pub fn new(secret: &[u8; 64], boot_id: u64) -> Self {
        Self {
            mac: Hmac::new(secret.into()),
            boot_id,
        }
    }

    /// Writes a cursor for the stream. At most [`CURSOR_CHARS_MAX`] characters.
    #[must_use]
    pub fn seal(&self, stream_key: u64, now: TimeMs, cursor: &Cursor) -> String {
        let mut bytes = Vec::with_capacity(64);
        let kind = match cursor {
            Cursor::Partition {
                position: Position::Offset(_),
                ..
            } => KIND_OFFSET,
            Cursor::Partition {
                position: Position::Time(_),
                ..
            } => KIND_TIME,
            Cursor::Group(_) => KIND_GROUP,
        };
        for number in [VERSION, kind, stream_key, now.plus_ms(CURSOR_LIFE_MS).0] {
            put(&mut bytes, number);
        }
        match cursor {
            Cursor::Partition {
                partition,
                position,
            } => {
                put(&mut bytes, u64::from(*partition));
                let (Position::Offset(value) | Position::Time(TimeMs(value))) = *position;
                put(&mut bytes, value);
            }
            Cursor::Group(group) => self.put_group(&mut bytes, group),
        }
        let mac = self
            .mac
            .clone()
            .chain_update(&bytes)
            .finalize()
            .into_bytes();
        bytes.extend(mac.iter().take(MAC_BYTES));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor that was issued for this stream.
    ///
    /// # Errors
    /// [`CursorError::Invalid`], [`CursorError::Expired`].
    pub fn open(&self, stream_key: u64, now: TimeMs, text: &str) -> Result<Cursor, CursorError> {
        if text.len() > CURSOR_CHARS_MAX {
            return Err(CursorError::Invalid);
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| CursorError::Invalid)?;
        let (body, mac) = bytes
            .len()
            .checked_sub(MAC_BYTES)
            .and_then(|at| bytes.split_at_checked(at))
            .ok_or(CursorError::Invalid)?;
        let authentic = self
            .mac
            .clone()
            .chain_update(body)
            .verify_truncated_left(mac);
        authentic.map_err(|_| CursorError::Invalid)?;
        let (cursor_stream, expires_at, cursor) = self.parse(body).ok_or(CursorError::Invalid)?;
        if cursor_stream != stream_key {
            return Err(CursorError::Invalid);
        }
        if expires_at <= now {
            return Err(CursorError::Expired);
        }
        cursor.ok_or(CursorError::Invalid)
    }

    fn put_group(&self, bytes: &mut Vec<u8>, group: &GroupCursor) {
        let count = u64::try_from(group.positions.len()).unwrap_or(u64::MAX);
        for number in [
            self.boot_id,
            group.group_key,
            group.epoch,
            group.generation,
            count,
        ] {
            put(bytes, number);
        }
        let mut previous = 0;
        for (partition, next) in &group.positions {
            put(bytes, u64::from(partition.saturating_sub(previous)));
            put(bytes, *next);
            previous = *partition;
        }
    }

    /// Returns stream, expiry, and the cursor; no cursor if it is from an earlier start of the
    /// server.
    fn parse(&self, mut body: &[u8]) -> Option<(u64, TimeMs, Option<Cursor>)> {
        let body = &mut body;
        let (version, kind) = (take(body)?, take(body)?);
        let (stream, expires_at) = (take(body)?, TimeMs(take(body)?));
        if version != VERSION {
            return None;
        }
        let cursor = match kind {
            KIND_OFFSET => Some(partition_cursor(
                take(body)?,
                Position::Offset(take(body)?),
            )?),
            KIND_TIME => Some(partition_cursor(
                take(body)?,
                Position::Time(TimeMs(take(body)?)),
            )?),
            KIND_GROUP => {
                let boot_id = take(body)?;
                let group = take_group(body)?;
                (boot_id == self.boot_id).then_some(Cursor::Group(group))
            }
            _ => return None,
        };
        Some((stream, expires_at, cursor))
    }
}

fn partition_cursor(partition: u64, position: Position) -> Option<Cursor> {
    Some(Cursor::Partition {
        partition: u32::try_from(partition).ok()?,
        position,
    })
}

fn take_group(body: &mut &[u8]) -> Option<GroupCursor> {
    let (group_key, epoch, generation) = (take(body)?, take(body)?, take(body)?);
    let count = usize::try_from(take(body)?)
        .ok()
        .filter(|n| *n <= CURSOR_POSITIONS_MAX)?;
    let mut positions = BTreeMap::new();
    let mut partition = 0_u32;
    for _ in 0..count {
        partition = partition.checked_add(u32::try_from(take(body)?).ok()?)?;
        positions.insert(partition, take(body)?);
    }
    Some(GroupCursor {
        group_key,
        epoch,
        generation,
        positions,
    })
}

/// Appends a number as LEB128: seven bits a byte, lowest first.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or(0));
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimeMs = TimeMs(1_800_000_000_000);

    fn codec() -> CursorCodec {
        CursorCodec::new(&[7; 64], u64::MAX)
    }

    fn group_cursor(partitions: u32, next: u64) -> Cursor {
        let spread = u32::MAX / partitions.max(1);
        let positions = (0..partitions)
            .map(|n| (n * spread.min(15), next))
            .collect();
        Cursor::Group(GroupCursor {
            group_key: 1 << 40,
            epoch: 1 << 40,
            generation: 1 << 40,
            positions,
        })
    }

    fn all_kinds() -> [Cursor; 4] {
        [
            Cursor::Partition {
                partition: 0,
                position: Position::Offset(0),
            },
            Cursor::Partition {
                partition: 199,
                position: Position::Time(NOW),
            },
            group_cursor(0, 0),
            group_cursor(64, 1 << 62),
        ]
    }

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        for cursor in all_kinds() {
            let text = codec().seal(5, NOW, &cursor);
            assert_eq!(codec().open(5, NOW, &text), Ok(cursor));
        }
    }

    #[test]
    fn the_longest_cursor_keeps_the_contract() {
        let text = codec().seal(1 << 40, NOW, &group_cursor(64, (1 << 63) - 1));
        assert!(text.len() <= CURSOR_CHARS_MAX, "{} characters", text.len());
    }

    #[test]
    fn a_cursor_is_bound_to_its_stream_and_its_key_and_its_time() {
        for cursor in all_kinds() {
            let text = codec().seal(5, NOW, &cursor);
            let just_in_time = TimeMs(NOW.0 + CURSOR_LIFE_MS - 1);
            let too_late = TimeMs(NOW.0 + CURSOR_LIFE_MS);
            assert!(codec().open(5, just_in_time, &text).is_ok());
            assert_eq!(codec().open(5, too_late, &text), Err(CursorError::Expired));
            assert_eq!(codec().open(6, NOW, &text), Err(CursorError::Invalid));
            let other_key = CursorCodec::new(&[8; 64], u64::MAX);
            assert_eq!(other_key.open(5, NOW, &text), Err(CursorError::Invalid));
        }
    }

    #[test]
    fn only_partition_cursors_outlive_a_restart() {
        let restarted = CursorCodec::new(&[7; 64], 1);
        for cursor in all_kinds() {
            let text = codec().seal(5, NOW, &cursor);
            let is_group = matches!(cursor, Cursor::Group(_));
            assert_eq!(restarted.open(5, NOW, &text).is_err(), is_group);
        }
    }

    #[test]
    fn a_cursor_with_any_character_changed_is_invalid() {
        let text = codec().seal(5, NOW, &group_cursor(3, 77));
        for at in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(
                codec().open(5, NOW, &forged),
                Err(CursorError::Invalid),
                "{at}"
            );
        }
        for nonsense in [
            "",
            "x",
            "!!!",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            &"A".repeat(1_025),
        ] {
            assert_eq!(codec().open(5, NOW, nonsense), Err(CursorError::Invalid));
        }
    }
}
