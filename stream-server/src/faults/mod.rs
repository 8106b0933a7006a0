//! Faults that the server can be told to make, so that clients' tests meet the errors of Oracle's
//! service. They are off unless `--faults` is given; the rules are set by `/faults`.
//!
//! Everything is pure: a rule decides by its settings and its own seeded randomness.

mod rule;

use std::sync::{Mutex, MutexGuard, PoisonError};

use fastrand::Rng;
pub(crate) use rule::{Effect, Moment, Rule};
use serde::Serialize;

use crate::api_error::ApiError;

/// The most rules at a time.
const RULES_COUNT_MAX: usize = 100;

/// The rules, and how often each one was applied.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Armed>>);

/// A rule with its state, as `GET /faults` shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Armed {
    rule: Rule,
    /// Requests that matched, whether or not the rule was applied.
    matched: u64,
    /// Requests to which the rule was applied.
    struck: u64,
    #[serde(skip)]
    chance: Rng,
}

impl Faults {
    /// Replaces all rules.
    ///
    /// # Errors
    /// 400 with every mistake and its place.
    pub(crate) fn replace(&self, body: &[u8]) -> Result<Vec<Armed>, ApiError> {
        let rules: Vec<Rule> = serde_json::from_slice(body).map_err(ApiError::unparsable)?;
        let mut problems = Vec::new();
        if rules.len() > RULES_COUNT_MAX {
            problems.push(format!("there are more than {RULES_COUNT_MAX} rules"));
        }
        for (place, rule) in rules.iter().enumerate() {
            rule.check(place, &mut problems);
        }
        if !problems.is_empty() {
            return Err(ApiError::invalid_parameter(problems.join("; ")));
        }
        let arm = |rule: Rule| Armed {
            chance: Rng::with_seed(rule.seed),
            rule,
            matched: 0,
            struck: 0,
        };
        let armed: Vec<Armed> = rules.into_iter().map(arm).collect();
        self.lock().clone_from(&armed);
        Ok(armed)
    }

    /// Returns all rules with their state.
    pub(crate) fn list(&self) -> Vec<Armed> {
        self.lock().clone()
    }

    /// Forgets all rules.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// Returns the fault for this request: that of the first rule that applies. Later rules don't
    /// count the request.
    pub(crate) fn strike(&self, operation: &str, stream: Option<&str>) -> Option<Rule> {
        let mut rules = self.lock();
        let mut matching = rules
            .iter_mut()
            .filter(|armed| armed.rule.matches(operation, stream));
        let struck = matching.find_map(|armed| armed.strike().then_some(armed));
        struck.map(|armed| armed.rule.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Armed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Armed {
    fn strike(&mut self) -> bool {
        let used_up = self.rule.count.is_some_and(|count| self.struck >= count);
        if used_up {
            return false;
        }
        self.matched = self.matched.saturating_add(1);
        if self.matched <= self.rule.skip {
            return false;
        }
        let strikes = match self.rule.probability {
            Some(probability) => self.chance.f64() < probability,
            None => true,
        };
        self.struck = self.struck.saturating_add(u64::from(strikes));
        strikes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(json: &str) -> Faults {
        let faults = Faults::default();
        faults.replace(json.as_bytes()).unwrap();
        faults
    }

    #[test]
    fn rules_are_skipped_and_counted_down() {
        let faults = faults(r#"[{"operation":"PutMessages","skip":1,"count":2,"delayMs":1}]"#);
        let strikes: Vec<bool> = (0..5)
            .map(|_| faults.strike("PutMessages", None).is_some())
            .collect();
        assert_eq!(strikes, [false, true, true, false, false]);
        assert!(faults.strike("GetMessages", None).is_none());
        let list = faults.list();
        assert_eq!(
            list.iter()
                .map(|a| (a.matched, a.struck))
                .collect::<Vec<_>>(),
            [(3, 2)]
        );
        faults.clear();
        assert!(faults.list().is_empty());
    }

    #[test]
    fn chance_is_seeded() {
        let run = |seed: u32| {
            let faults = faults(&format!(
                "[{{\"probability\":0.5,\"seed\":{seed},\"delayMs\":1}}]"
            ));
            (0..64)
                .map(|_| faults.strike("GetMessages", None).is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let struck = run(3).iter().filter(|struck| **struck).count();
        assert!((10..54).contains(&struck), "{struck}");
    }

    #[test]
    fn streams_go_by_id_or_by_name() {
        let faults = faults(r#"[{"stream":"calls","delayMs":1}]"#);
        for (stream, strikes) in [
            (Some("calls"), true),
            (Some("ocid1.stream.oc1.local.calls"), true),
            (Some("ocid1.stream.oc1.local.more-calls"), false),
            (None, false),
        ] {
            assert_eq!(faults.strike("X", stream).is_some(), strikes, "{stream:?}");
        }
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let body = br#"[{"operation":"Put","delayMs":1},{"count":0,"probability":2},
            {"effect":{"kind":"failEntries","every":0}},{"operation":"GetMessages",
            "effect":{"kind":"failEntries","every":2}},{"effect":{"kind":"answer","status":99}}]"#;
        let message = Faults::default().replace(body).unwrap_err().message;
        for part in [
            "[0].operation",
            "[1].count",
            "[1].probability",
            "[1]: it does nothing",
            "[2].effect.every",
            "[3].operation",
            "[4].effect.status",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
        let unknown = br#"[{"effect":{"kind":"explode"}}]"#;
        let message = Faults::default().replace(unknown).unwrap_err().message;
        assert!(
            message.contains("explode") && message.contains("truncate"),
            "{message}"
        );
    }
}
