//! How long a transaction waits for more writes.
//!
//! Clients that were answered together ask again together, but not at once. If a transaction begins
//! with the first of them, all the others wait for two synchronisations instead of one. So it waits
//! for as many writes as there were before, for a part of the time that a transaction takes. If the
//! disk is faster than the clients, waiting is useless: then half of the writes is enough, and the
//! other half comes while the disk works. If only one client writes, nothing ever waits.

use std::time::Duration;

use super::queue::Queue;
use crate::limits::{ALONE_COMMIT_MAX, GATHERING_TIMEOUT};

/// The part of the last transaction's time that the next may wait.
const SHARE: u32 = 2;
/// How many transactions wait only for half, after one that waited in vain.
const CONTENT: u32 = 32;

/// What the last transaction says about the next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gathering {
    /// Writes of all clients that wrote lately.
    expected: usize,
    /// The duration of the last transaction.
    took: Duration,
    /// How many more transactions wait only for half of them.
    content: u32,
}

impl Gathering {
    /// Notes a transaction of `count` writes, after which `waiting` were in the queue.
    pub(super) fn note(&mut self, count: usize, waiting: usize, took: Duration) {
        self.expected = count.saturating_add(waiting);
        self.took = took;
    }

    /// Returns whether a write is alone and short: nobody else wrote lately, and the last
    /// transaction was short.
    pub(super) fn expects_one_short(&self) -> bool {
        self.expected <= 1 && self.took <= ALONE_COMMIT_MAX
    }

    /// Waits for the expected writes besides the one that is already taken.
    pub(super) fn wait<T>(&mut self, queue: &Queue<T>) {
        let enough = match self.content {
            0 => self.expected,
            _ => self.expected.div_ceil(2),
        };
        self.content = self.content.saturating_sub(1);
        let missing = enough.saturating_sub(1);
        if missing > 0 && !queue.wait_for(missing, self.wait_max()) {
            self.content = CONTENT;
        }
    }

    fn wait_max(&self) -> Duration {
        (self.took / SHARE).min(GATHERING_TIMEOUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_without_company() {
        let queue = Queue::<()>::new();
        let mut gathering = Gathering::default();
        gathering.note(1, 0, Duration::MAX);
        gathering.wait(&queue);
        assert_eq!(gathering.content, 0);
    }

    #[test]
    fn the_wait_is_a_part_of_a_transaction_and_bounded() {
        let mut gathering = Gathering::default();
        gathering.note(3, 2, Duration::from_millis(2));
        assert_eq!(gathering.expected, 5);
        assert_eq!(gathering.wait_max(), Duration::from_millis(1));
        gathering.note(3, 2, Duration::from_secs(60));
        assert_eq!(gathering.wait_max(), GATHERING_TIMEOUT);
    }

    #[test]
    fn who_waited_in_vain_is_content_with_half_for_a_while() {
        let queue = Queue::new();
        let mut gathering = Gathering::default();
        gathering.note(4, 0, Duration::from_millis(1));
        queue.push(()).unwrap();
        gathering.wait(&queue);
        for left in (0..CONTENT).rev() {
            // The one that is taken and the one that waits are half of four.
            gathering.wait(&queue);
            assert_eq!(gathering.content, left);
        }
        gathering.wait(&queue);
        assert_eq!(gathering.content, CONTENT);
    }
}
