//! How far a call has come. Its record tells it when it is put on a Stream again: by a drain that
//! lets it wait there, or by somebody who makes a call of its dead letter.

use serde::{Deserialize, Serialize};

use crate::http::cut;
use crate::id::Position;
use crate::limits::{DEAD_LETTER_ATTEMPTS_MAX, EXCERPT_BYTES_MAX};
use crate::time::Wall;

/// The most bytes of what the gateway said about an attempt.
pub const GATEWAY_BYTES_MAX: usize = 512;

/// What has happened to a call before this record was written. The default means: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Progress {
    /// Attempts made.
    #[serde(skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// When the next attempt may be made; absent: at once, or when the call's own time has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Wall>,
    /// When the call could have been made first. Its age counts from then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Wall>,
    /// How often it was put on a Stream again to wait.
    #[serde(skip_serializing_if = "is_zero")]
    pub hops: u32,
    /// How often it was moved aside because its target was too slow.
    #[serde(skip_serializing_if = "is_zero")]
    pub aside: u32,
    /// The first place of a call with an order key on the stream of calls, which is its place in
    /// the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Position>,
    /// How often it was put on the stream of calls again because its message key was not its order
    /// key.
    #[serde(skip_serializing_if = "is_zero")]
    pub rekeyed: u32,
    /// How often its dead letter was made a call again.
    #[serde(skip_serializing_if = "is_zero")]
    pub redrives: u32,
    /// The latest attempts, at most 20, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<PastAttempt>,
}

/// One attempt of the past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PastAttempt {
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// When it ended.
    pub at: Wall,
    /// The status, 100 to 999; absent if there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The start of the answer's content if it was text, at most 2,048 bytes. It may be any text,
    /// with line ends, and never goes into a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// What the gateway said if the target gave no answer, for people: a status, the reason, and
    /// the start of its text, at most 512 bytes. No reply contains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Progress {
    /// Returns whether nothing has happened yet.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Adds an attempt to the history, which keeps the latest ones, and cuts its excerpt.
    pub fn remember(&mut self, mut attempt: PastAttempt) {
        if let Some(excerpt) = &mut attempt.excerpt {
            cut(excerpt, EXCERPT_BYTES_MAX);
        }
        if let Some(gateway) = &mut attempt.gateway {
            cut(gateway, GATEWAY_BYTES_MAX);
        }
        self.history.push(attempt);
        let surplus = self.history.len().saturating_sub(DEAD_LETTER_ATTEMPTS_MAX);
        self.history.drain(..surplus);
    }

    /// Returns the latest attempt whose answer is known.
    #[must_use]
    pub fn last_answer(&self) -> Option<&PastAttempt> {
        let mut latest = self.history.iter().rev();
        latest.find(|past| past.status.is_some())
    }

    /// Checks whether a record may have this progress.
    ///
    /// # Errors
    /// The first mistake, with the member and what is allowed there.
    pub fn check(&self) -> Result<(), String> {
        if self.history.len() > DEAD_LETTER_ATTEMPTS_MAX {
            return Err(format!(
                "progress.history: more than {DEAD_LETTER_ATTEMPTS_MAX} attempts"
            ));
        }
        for (index, past) in self.history.iter().enumerate() {
            let place = format!("progress.history[{index}]");
            if past
                .status
                .is_some_and(|status| !(100..=999).contains(&status))
            {
                return Err(format!("{place}.status: must be 100 to 999"));
            }
            let excerpt = past.excerpt.as_deref().unwrap_or_default();
            if excerpt.len() > EXCERPT_BYTES_MAX {
                return Err(format!(
                    "{place}.excerpt: has more than {EXCERPT_BYTES_MAX} bytes"
                ));
            }
            let gateway = past.gateway.as_deref().unwrap_or_default();
            if gateway.len() > GATEWAY_BYTES_MAX {
                return Err(format!(
                    "{place}.gateway: has more than {GATEWAY_BYTES_MAX} bytes"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_may_stand_in_a_record() {
        let mut progress = Progress::default();
        assert!(progress.is_none());
        for attempt in 1..=25 {
            progress.remember(PastAttempt {
                attempt,
                at: Wall(u64::from(attempt)),
                status: Some(503),
                excerpt: Some("\u{20ac}".repeat(1_000)),
                gateway: Some("\u{20ac}".repeat(1_000)),
            });
        }
        assert_eq!(progress.check(), Ok(()));
        assert_eq!(progress.history.len(), 20);
        assert_eq!(progress.history[0].attempt, 6);
        let excerpt = progress.history[0].excerpt.as_deref();
        assert_eq!(excerpt.map(str::len), Some(2_046), "whole characters");
    }
}
