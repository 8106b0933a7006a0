//! Waiting for what must come, without times that a busy machine doesn't keep.

use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at.
pub const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Waits until a condition holds; false if it doesn't in time.
pub fn until(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    until_some(patience, POLL_INTERVAL, || holds().then_some(())).is_some()
}

/// Waits until there is something, looking at this interval; `None` if there is nothing in time.
pub fn until_some<T>(
    patience: Duration,
    interval: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> Option<T> {
    let start = Instant::now();
    loop {
        // Asked before the look: one look comes after the end of a pause that was too long.
        let is_over = start.elapsed() > patience;
        if let Some(found) = look() {
            return Some(found);
        }
        if is_over {
            return None;
        }
        thread::sleep(interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_looked_at_until_it_holds() {
        let mut looks = 0;
        assert!(until(Duration::from_secs(60), || {
            looks += 1;
            looks == 3
        }));
        assert_eq!(looks, 3);
    }

    #[test]
    fn what_never_holds_ends_the_wait() {
        assert!(!until(Duration::ZERO, || false));
    }
}
