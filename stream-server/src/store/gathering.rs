//! How long a transaction waits for more writes.
//!
//! Clients that were answered together ask again together, but not at once. A transaction that
//! begins with the first of them lets all the others wait for two synchronisations instead of one.
//! So it waits for as many writes as were there before, for a part of what a transaction takes.
//! Where only one client writes, nothing ever waits.

use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver;

use crate::limits::GATHERING_TIMEOUT;

/// Between two looks at the queue. Systems sleep a little longer.
const INTERVAL: Duration = Duration::from_micros(50);
/// The part of the last transaction's time that the next may wait.
const SHARE: u32 = 2;

/// What the last transaction says about the next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gathering {
    /// Writes of everybody who wrote lately.
    expected: usize,
    at_most: Duration,
}

impl Gathering {
    /// Notes a transaction of `count` writes, after which `waiting` were in the queue.
    pub(super) fn note(&mut self, count: usize, waiting: usize, took: Duration) {
        self.expected = count.saturating_add(waiting);
        self.at_most = (took / SHARE).min(GATHERING_TIMEOUT);
    }

    /// Waits for the writes that are expected beside the one that is already taken.
    pub(super) fn wait<T>(&self, queue: &Receiver<T>) {
        let start = Instant::now();
        let is_short = || queue.len().saturating_add(1) < self.expected;
        while is_short() && start.elapsed() < self.at_most && !queue.is_closed() {
            thread::sleep(INTERVAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn nobody_waits_without_company() {
        let (_sender, queue) = mpsc::channel::<()>(4);
        let mut gathering = Gathering::default();
        gathering.note(1, 0, Duration::MAX);
        assert_eq!(gathering.expected, 1);
        gathering.wait(&queue);
    }

    #[test]
    fn the_wait_is_a_part_of_a_transaction_and_bounded() {
        let mut gathering = Gathering::default();
        gathering.note(3, 2, Duration::from_millis(2));
        assert_eq!(gathering.expected, 5);
        assert_eq!(gathering.at_most, Duration::from_millis(1));
        gathering.note(3, 2, Duration::from_secs(60));
        assert_eq!(gathering.at_most, GATHERING_TIMEOUT);
    }

    #[test]
    fn the_wait_ends_with_the_writes_or_the_queue() {
        let (sender, mut queue) = mpsc::channel(4);
        let mut gathering = Gathering::default();
        gathering.note(3, 0, Duration::from_millis(2));
        sender.try_send(()).unwrap();
        sender.try_send(()).unwrap();
        gathering.wait(&queue);
        queue.close();
        gathering.wait(&queue);
    }
}
