//! Keeps OCI Streaming's limits of requests before the service has to enforce them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::limits::{PACED_MAX, REQUEST_INTERVAL};

/// When requests may go. Each kind has turns of its own.
#[derive(Debug, Default)]
pub(super) struct Pacing {
    due: BTreeMap<String, Instant>,
}

impl Pacing {
    /// Returns how long a request of a kind has to wait at `now`, and counts it as sent.
    pub(super) fn wait(&mut self, kind: &str, now: Instant) -> Duration {
        if self.due.len() >= PACED_MAX {
            self.due.retain(|_, due| *due > now);
        }
        let due = self.due.get(kind).copied().unwrap_or(now).max(now);
        if let Some(next) = due.checked_add(REQUEST_INTERVAL) {
            self.due.insert(kind.to_owned(), next);
        }
        due.duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_requests_of_a_kind_go_in_a_second() {
        let (mut pacing, start) = (Pacing::default(), Instant::now());
        assert_eq!(pacing.wait("a", start), Duration::ZERO);
        assert_eq!(pacing.wait("a", start), REQUEST_INTERVAL);
        assert_eq!(pacing.wait("b", start), Duration::ZERO);
        let later = start + Duration::from_secs(9);
        assert_eq!(pacing.wait("a", later), Duration::ZERO);
        assert!(REQUEST_INTERVAL.saturating_mul(5) >= Duration::from_secs(1));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut pacing, start) = (Pacing::default(), Instant::now());
        for kind in 0..PACED_MAX {
            pacing.wait(&kind.to_string(), start);
        }
        pacing.wait("one more", start + REQUEST_INTERVAL);
        assert_eq!(pacing.due.len(), 1);
    }
}
