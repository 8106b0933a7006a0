//! A queue for a thread that writes. Unlike that of a channel, its reader can wait for several
//! items at a time, and is woken once they are there.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::limits::WRITE_QUEUE_COUNT_MAX;
use crate::storage::StorageError;

/// A bounded queue with any number of writers and one reader.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    is_enough: Condvar,
}

struct State<T> {
    waiting: VecDeque<T>,
    /// For how many items the reader sleeps.
    wanted: usize,
    is_closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        let state = State {
            waiting: VecDeque::new(),
            wanted: 1,
            is_closed: false,
        };
        Self {
            state: Mutex::new(state),
            is_enough: Condvar::new(),
        }
    }

    /// Adds an item.
    ///
    /// # Errors
    /// [`StorageError::Failed`] when the queue is closed, or full.
    pub(super) fn push(&self, item: T) -> Result<(), StorageError> {
        let mut state = self.lock();
        let problem = if state.is_closed {
            "it is closed"
        } else if state.waiting.len() >= WRITE_QUEUE_COUNT_MAX {
            "too many writes wait for the disk"
        } else {
            state.waiting.push_back(item);
            if state.waiting.len() == state.wanted {
                self.is_enough.notify_one();
            }
            return Ok(());
        };
        Err(StorageError::Failed(problem.to_owned()))
    }

    /// Closes the queue: nothing more can be added.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.is_enough.notify_one();
    }

    pub(super) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Returns the oldest item, if there is one.
    pub(super) fn pop(&self) -> Option<T> {
        self.lock().waiting.pop_front()
    }

    /// Waits for an item; `None` once the queue is closed and empty.
    pub(super) fn wait(&self) -> Option<T> {
        let mut state = self.lock();
        state.wanted = 1;
        let is_idle = |state: &mut State<T>| state.waiting.is_empty() && !state.is_closed;
        let state = self.is_enough.wait_while(state, is_idle);
        state
            .unwrap_or_else(PoisonError::into_inner)
            .waiting
            .pop_front()
    }

    /// Waits until there are so many items. Returns whether they came in time.
    pub(super) fn wait_for(&self, count: usize, at_most: Duration) -> bool {
        let mut state = self.lock();
        state.wanted = count;
        let is_short = |state: &mut State<T>| state.waiting.len() < count && !state.is_closed;
        let waited = self
            .is_enough
            .wait_timeout_while(state, at_most, is_short)
            .unwrap_or_else(PoisonError::into_inner);
        !waited.1.timed_out()
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn items_come_out_in_order_until_it_is_closed_and_empty() {
        let queue = Queue::new();
        queue.push(1).unwrap();
        queue.push(2).unwrap();
        assert_eq!(
            (queue.len(), queue.wait(), queue.pop()),
            (2, Some(1), Some(2))
        );
        queue.push(3).unwrap();
        queue.close();
        assert!(queue.push(4).is_err());
        assert_eq!((queue.wait(), queue.wait()), (Some(3), None));
    }

    #[test]
    fn it_is_bounded() {
        let queue = Queue::new();
        (0..WRITE_QUEUE_COUNT_MAX).for_each(|item| queue.push(item).unwrap());
        assert!(queue.push(0).is_err());
    }

    #[test]
    fn the_reader_is_woken_by_the_last_that_it_waits_for() {
        let queue = Queue::new();
        thread::scope(|scope| {
            let reader = scope.spawn(|| queue.wait_for(3, Duration::MAX));
            (0..3).for_each(|item| queue.push(item).unwrap());
            assert!(reader.join().unwrap());
        });
        assert!(!queue.wait_for(4, Duration::from_millis(1)));
        queue.close();
        assert!(queue.wait_for(4, Duration::MAX));
    }
}
