//! The conditions for letters.

use jiff::Timestamp;

use super::letter::Letter;
use crate::call::Call;

/// All conditions must hold. An empty condition always holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Call ids, one of which the letter must have.
    pub ids: Vec<String>,
    /// Reasons, one of which the letter must have.
    pub reasons: Vec<String>,
    /// The call's route.
    pub route: Option<String>,
    /// What the call's target begins with; see [`Call::target_begins_with`].
    pub target: Option<String>,
    /// Dead at this time or later.
    pub since: Option<Timestamp>,
    /// Dead before this time.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Returns whether the filter lets everything through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether all conditions hold for the letter. A letter whose record is not a JSON
    /// object has neither route nor target.
    #[must_use]
    pub fn matches(&self, letter: &Letter) -> bool {
        let head = &letter.head;
        let one_of = |given: &[String], own: &String| given.is_empty() || given.contains(own);
        one_of(&self.ids, &head.id)
            && one_of(&self.reasons, &head.reason)
            && self
                .since
                .is_none_or(|since| head.dead_at.is_some_and(|at| at >= since))
            && self
                .until
                .is_none_or(|until| head.dead_at.is_some_and(|at| at < until))
            && self.call_matches(&letter.record)
    }

    fn call_matches(&self, record: &[u8]) -> bool {
        if self.route.is_none() && self.target.is_none() {
            return true;
        }
        let Ok(call) = Call::parse(record) else {
            return false;
        };
        let target = self.target.as_deref();
        (self.route.is_none() || self.route == call.text("route"))
            && target.is_none_or(|prefix| call.target_begins_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead::letter::{Entry, Position};
    use crate::moment;

    fn letter() -> Letter {
        let json = br#"{"id":"c1","reason":"rejected","deadAt":"2026-11-23T04:00:00Z","call":
            {"path":"/orders/7","authority":"shop","route":"orders"}}"#;
        let position = Position {
            partition: 0,
            offset: 0,
        };
        let Entry::Letter(letter) = Entry::parse(json, position, None) else {
            panic!("something else")
        };
        letter
    }

    fn filter(change: impl FnOnce(&mut Filter)) -> bool {
        let mut filter = Filter::default();
        change(&mut filter);
        filter.matches(&letter())
    }

    #[test]
    fn every_condition_must_hold() {
        let text = |text: &str| Some(text.to_owned());
        assert!(filter(|_| {}));
        assert!(filter(|f| f.ids = vec!["x".to_owned(), "c1".to_owned()]));
        assert!(!filter(|f| f.ids = vec!["c".to_owned()]));
        assert!(filter(|f| f.reasons = vec!["rejected".to_owned()]));
        assert!(!filter(|f| f.reasons = vec!["expired".to_owned()]));
        assert!(filter(|f| f.route = text("orders")));
        assert!(!filter(|f| f.route = text("order")));
        assert!(filter(|f| f.target = text("shop/orders")));
        assert!(!filter(|f| {
            f.target = text("/orders");
            f.route = text("other");
        }));
    }

    #[test]
    fn times_are_from_included_to_excluded() {
        for (since, until, matches) in [
            (Some("2026-11-23T04:00:00Z"), None, true),
            (Some("2026-11-23T04:00:01Z"), None, false),
            (None, Some("2026-11-23T04:00:00Z"), false),
            (None, Some("2026-11-23T04:00:01Z"), true),
        ] {
            let matched = filter(|f| {
                f.since = since.and_then(moment::parse);
                f.until = until.and_then(moment::parse);
            });
            assert_eq!(matched, matches, "{since:?} {until:?}");
        }
    }

    #[test]
    fn a_record_that_is_no_call_has_no_route() {
        let mut letter = letter();
        letter.record = b"rubbish".to_vec();
        let route = Some("orders".to_owned());
        assert!(
            !Filter {
                route,
                ..Filter::default()
            }
            .matches(&letter)
        );
        assert!(Filter::default().matches(&letter));
    }
}
