//! Room for bodies: bounded in what all of them take together. A body that is slow makes room for
//! one that comes, so that nobody can hold all of it by sending slowly.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::api_error::ApiError;
use crate::limits::{BODY_ROOM_PAUSE, SLOW_BODY_AFTER};

/// The room, and the bodies that have some of it and aren't whole.
pub(crate) struct BodyRoom {
    free: Arc<Semaphore>,
    unfinished: Mutex<Unfinished>,
}

/// In the order in which they began.
#[derive(Default)]
struct Unfinished {
    begun: u64,
    bodies: BTreeMap<u64, (Instant, Arc<Notify>)>,
}

impl BodyRoom {
    /// Room for so many bytes.
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(bytes)),
            unfinished: Mutex::default(),
        })
    }

    /// A body of which nothing has come yet.
    pub(crate) fn begin(self: &Arc<Self>) -> Reading {
        Reading {
            room: Arc::clone(self),
            number: None,
            leave: Arc::new(Notify::new()),
            taken: None,
        }
    }

    /// One more body takes room.
    fn enter(&self, leave: &Arc<Notify>) -> u64 {
        let mut unfinished = self.unfinished();
        unfinished.begun = unfinished.begun.saturating_add(1);
        let number = unfinished.begun;
        let body = (Instant::now(), Arc::clone(leave));
        unfinished.bodies.insert(number, body);
        number
    }

    fn unfinished(&self) -> MutexGuard<'_, Unfinished> {
        self.unfinished
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the body leave that has been coming for the longest, if that is long; not this one.
    fn displace(&self, newcomer: u64) -> bool {
        let mut unfinished = self.unfinished();
        let mut bodies = unfinished.bodies.iter();
        let slow = bodies.find(|(number, (since, _))| {
            **number != newcomer && since.elapsed() >= SLOW_BODY_AFTER
        });
        let Some(number) = slow.map(|(number, _)| *number) else {
            return false;
        };
        if let Some((_, leave)) = unfinished.bodies.remove(&number) {
            leave.notify_one();
        }
        true
    }
}

/// A body that isn't whole. Dropping it frees what it has taken.
pub(crate) struct Reading {
    room: Arc<BodyRoom>,
    /// Its place among those that have taken room.
    number: Option<u64>,
    leave: Arc<Notify>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Reading {
    /// Takes room for what has come, so that an announcement alone takes none.
    ///
    /// # Errors
    /// There is none, and no other body is slow.
    pub(crate) async fn take(&mut self, bytes: usize) -> Result<(), ApiError> {
        let leave = &self.leave;
        let number = *self.number.get_or_insert_with(|| self.room.enter(leave));
        let count = u32::try_from(bytes).unwrap_or(u32::MAX);
        let free = &self.room.free;
        let more = match Arc::clone(free).try_acquire_many_owned(count) {
            Ok(more) => more,
            Err(_) => loop {
                if !self.room.displace(number) {
                    return Err(ApiError::unavailable("Too many requests at once"));
                }
                let acquire = Arc::clone(free).acquire_many_owned(count);
                if let Ok(Ok(more)) = timeout(BODY_ROOM_PAUSE, acquire).await {
                    break more;
                }
            },
        };
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }

    /// Ends when the body has to leave.
    pub(crate) async fn displaced(&self) {
        self.leave.notified().await;
    }

    /// The body is whole, and stays until the room that it has taken is given back.
    pub(crate) fn finish(mut self) -> Option<OwnedSemaphorePermit> {
        self.taken.take()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.room.unfinished().bodies.remove(&number);
        }
    }
}
