//! Which messages make up the letters that didn't fit into one.
//!
//! Only their places are kept, so that memory stays small however many there are. The bytes are
//! read again when a letter is needed.

use std::collections::BTreeMap;

use super::letter::{Head, Part, Position};
use crate::limits::PART_SETS_MAX;

/// What all parts of one letter have in common, and no part of another letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SetKey {
    id: String,
    source: Option<(String, u64)>,
    /// A call may become a dead letter twice, with a crash in between. Each time makes a letter of
    /// its own.
    dead_at: Option<jiff::Timestamp>,
    parts: u32,
}

impl SetKey {
    fn of(head: &Head, parts: u32) -> Self {
        Self {
            id: head.id.clone(),
            source: head.source.clone(),
            dead_at: head.dead_at,
            parts,
        }
    }
}

/// A letter some of whose parts are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incomplete {
    /// The call id.
    pub id: String,
    /// Parts that were found.
    pub found: usize,
    /// Parts that it should have.
    pub parts: u32,
}

/// The places of all parts.
#[derive(Debug, Default)]
pub struct PartSets {
    sets: BTreeMap<SetKey, BTreeMap<u32, Position>>,
    beyond: u64,
}

impl PartSets {
    /// Notes a part. If several parts are equal, the first counts: the drain repeats a letter if it
    /// doesn't know whether it was stored.
    pub fn note(&mut self, part: &Part, position: Position) {
        let key = SetKey::of(&part.head, part.parts);
        if self.sets.len() >= PART_SETS_MAX && !self.sets.contains_key(&key) {
            self.beyond = self.beyond.saturating_add(1);
            return;
        }
        self.sets
            .entry(key)
            .or_default()
            .entry(part.number)
            .or_insert(position);
    }

    /// Returns the places of the letter's other parts, in order, if this is the first part of a
    /// complete letter.
    #[must_use]
    pub fn others(&self, part: &Part, position: Position) -> Option<Vec<Position>> {
        let places = self.sets.get(&SetKey::of(&part.head, part.parts))?;
        let complete = u32::try_from(places.len()) == Ok(part.parts);
        let first = part.number == 1 && places.get(&1) == Some(&position);
        (complete && first).then(|| places.values().skip(1).copied().collect())
    }

    /// Returns the letters some of whose parts are missing. The Stream has already dropped them by
    /// age, or the drain hasn't written them yet.
    pub fn incomplete(&self) -> impl Iterator<Item = Incomplete> {
        let sets = self.sets.iter();
        sets.filter(|(key, places)| u32::try_from(places.len()) != Ok(key.parts))
            .map(|(key, places)| Incomplete {
                id: key.id.clone(),
                found: places.len(),
                parts: key.parts,
            })
    }

    /// Returns how many parts are left out because they belong to more letters than the index
    /// holds.
    #[must_use]
    pub fn beyond(&self) -> u64 {
        self.beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead::letter::Entry;

    fn part(id: &str, number: u32, parts: u32) -> Part {
        let json = format!(
            r#"{{"id":"{id}","deadAt":"2026-11-23T04:36:00Z","partition":"0","offset":1,
            "part":{number},"parts":{parts},"recordBase64":"YQ=="}}"#
        );
        let Entry::Part(part) = Entry::parse(json.as_bytes(), at(0, 0), None) else {
            panic!("something else")
        };
        part
    }

    fn at(partition: u32, offset: u64) -> Position {
        Position { partition, offset }
    }

    #[test]
    fn parts_are_found_in_any_order_and_partition() {
        let mut sets = PartSets::default();
        sets.note(&part("a", 3, 3), at(0, 4));
        sets.note(&part("b", 1, 2), at(0, 5));
        sets.note(&part("a", 1, 3), at(1, 2));
        assert_eq!(sets.others(&part("a", 1, 3), at(1, 2)), None);
        sets.note(&part("a", 2, 3), at(2, 7));
        // Repeated by a burial whose outcome was unknown.
        sets.note(&part("a", 1, 3), at(0, 9));
        assert_eq!(
            sets.others(&part("a", 1, 3), at(1, 2)),
            Some(vec![at(2, 7), at(0, 4)])
        );
        assert_eq!(sets.others(&part("a", 1, 3), at(0, 9)), None);
        assert_eq!(sets.others(&part("a", 2, 3), at(2, 7)), None);
        let missing = Incomplete {
            id: "b".to_owned(),
            found: 1,
            parts: 2,
        };
        assert_eq!(sets.incomplete().collect::<Vec<_>>(), [missing]);
    }

    #[test]
    fn the_index_is_bounded() {
        let mut sets = PartSets::default();
        for number in 0..PART_SETS_MAX {
            sets.note(&part(&number.to_string(), 1, 2), at(0, 1));
        }
        sets.note(&part("one more", 1, 2), at(0, 1));
        sets.note(&part("0", 2, 2), at(0, 2));
        assert_eq!(sets.beyond(), 1);
        assert_eq!(sets.incomplete().count(), PART_SETS_MAX - 1);
    }
}
