//! The marks of letters that were redriven.
//!
//! A mark names its letter by the call's id and the time at which it died. Both stay the same when
//! streams are copied; places don't. Marks of earlier versions tell no such time: they hold for
//! letters with their id that died before they were made. Ids that the gateway makes of a record's
//! place ([`is_made_of_place`]) can be those of several calls, so there such a mark holds only at
//! its own place.
//!
//! Whoever may publish to the dead stream can write any mark, and hide letters by it. They can put
//! letters there, too, of which calls are made.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::position::Position;
use crate::moment;

/// The mark of a letter that was redriven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The call id.
    pub id: String,
    /// Where the letter's first message stood.
    pub letter: Position,
    /// When it died, to the millisecond; `None` in marks of earlier versions.
    pub dead_at: Option<Timestamp>,
    /// When it was redriven.
    pub at: Timestamp,
}

impl Mark {
    /// Returns the JSON of the message.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Wire<'a> {
            version: u32,
            redriven: Redriven<'a>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Redriven<'a> {
            id: &'a str,
            partition: String,
            offset: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            dead_at: Option<String>,
            at: String,
        }
        let redriven = Redriven {
            id: &self.id,
            partition: self.letter.partition.to_string(),
            offset: self.letter.offset,
            dead_at: self.dead_at.map(moment::exact),
            at: moment::exact(self.at),
        };
        // This can't fail: there are only strings and numbers in it.
        serde_json::to_vec(&Wire {
            version: 1,
            redriven,
        })
        .unwrap_or_default()
    }
}

/// All marks, each with when its letter was redriven. Times are in milliseconds since 1970, because
/// marks have no more digits.
#[derive(Debug, Default)]
pub struct Marks {
    by_id: BTreeMap<String, MarksOfId>,
}

#[derive(Debug, Default)]
struct MarksOfId {
    /// By the time at which the letter died.
    letters: BTreeMap<i64, Timestamp>,
    /// Of earlier versions, by place.
    places: BTreeMap<Position, Timestamp>,
    /// Of earlier versions, the latest.
    latest: Option<Timestamp>,
}

impl Marks {
    /// Notes a mark.
    pub fn note(&mut self, mark: Mark) {
        let marks = self.by_id.entry(mark.id).or_default();
        match mark.dead_at {
            Some(dead_at) => {
                marks.letters.insert(dead_at.as_millisecond(), mark.at);
            }
            None => {
                marks.places.insert(mark.letter, mark.at);
                marks.latest = marks.latest.max(Some(mark.at));
            }
        }
    }

    /// Returns when a letter was redriven; `None` if it wasn't.
    #[must_use]
    pub fn redriven_at(
        &self,
        id: &str,
        letter: Position,
        dead_at: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let marks = self.by_id.get(id)?;
        let dead_at = dead_at.map(Timestamp::as_millisecond);
        let of_letter = dead_at.and_then(|dead_at| marks.letters.get(&dead_at));
        if let Some(at) = of_letter {
            return Some(*at);
        }
        // The letter may stand where another one of the same call stood before a copy.
        let is_later =
            |at: &Timestamp| dead_at.is_none_or(|dead_at| dead_at <= at.as_millisecond());
        let here = marks.places.get(&letter).copied();
        let anywhere = marks.latest.filter(|_| !is_made_of_place(id));
        here.filter(is_later).or(anywhere.filter(is_later))
    }
}

/// Returns whether the gateway has made an id of a record's place (`p2-o5`), because its publisher
/// gave it none.
#[must_use]
pub fn is_made_of_place(id: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let place = id.strip_prefix('p').and_then(|rest| rest.split_once("-o"));
    place.is_some_and(|(partition, offset)| is_number(partition) && is_number(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> Position {
        let partition = 0;
        Position { partition, offset }
    }

    fn time(text: &str) -> Timestamp {
        moment::parse(&format!("2026-11-23T{text}Z")).unwrap()
    }

    fn marks(all: &[(&str, u64, Option<&str>, &str)]) -> Marks {
        let mut marks = Marks::default();
        for (id, offset, dead_at, redriven_at) in all {
            marks.note(Mark {
                id: (*id).to_owned(),
                letter: at(*offset),
                dead_at: dead_at.map(time),
                at: time(redriven_at),
            });
        }
        marks
    }

    #[test]
    fn a_mark_holds_for_its_letter_wherever_that_stands() {
        let marks = marks(&[("c1", 9, Some("04:00:00.123"), "05:00:00")]);
        let is_redriven = |id: &str, offset, dead_at: &str| {
            let dead_at = Some(time(dead_at));
            marks.redriven_at(id, at(offset), dead_at).is_some()
        };
        assert!(is_redriven("c1", 9, "04:00:00.123"));
        assert!(is_redriven("c1", 2, "04:00:00.123456"));
        assert!(!is_redriven("c2", 9, "04:00:00.123"), "another call");
        assert!(!is_redriven("c1", 9, "04:30:00"), "it died again");
    }

    #[test]
    fn a_mark_of_earlier_versions_holds_for_what_died_before() {
        let marks = marks(&[("c1", 9, None, "05:00:00"), ("p0-o5", 9, None, "05:00:00")]);
        let is_redriven = |id: &str, offset, dead_at: &str| {
            let dead_at = Some(time(dead_at));
            marks.redriven_at(id, at(offset), dead_at).is_some()
        };
        assert!(is_redriven("c1", 9, "04:00:00"));
        assert!(is_redriven("c1", 2, "04:00:00"), "it was copied");
        assert!(!is_redriven("c1", 9, "06:00:00"), "it died again");
        assert!(!is_redriven("c2", 9, "04:00:00"), "another call");
        // Records without an id, of two streams of calls with one dead stream.
        assert!(is_redriven("p0-o5", 9, "04:00:00"));
        assert!(!is_redriven("p0-o5", 2, "04:00:00"));
    }

    #[test]
    fn ids_that_are_made_of_places_are_known() {
        assert!(is_made_of_place("p2-o5"));
        for other in ["", "p2-o", "p-o5", "p2-o5x", "019a9a33", "2-o5"] {
            assert!(!is_made_of_place(other), "{other}");
        }
    }
}
