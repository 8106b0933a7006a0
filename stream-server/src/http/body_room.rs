//! Room for bodies: the bytes of all bodies together are limited. A slow body makes room for a new
//! one, so that nobody can hold all room by sending slowly.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::api_error::ApiError;
use crate::limits::{BODY_ROOM_PAUSE, SLOW_BODY_AFTER};

/// The room, and the unfinished bodies that take some of it.
pub(crate) struct BodyRoom {
    free: Arc<Semaphore>,
    unfinished: Mutex<Unfinished>,
}

/// Unfinished bodies, in the order in which they began.
#[derive(Default)]
struct Unfinished {
    begun: u64,
    bodies: BTreeMap<u64, (Instant, Arc<Notify>)>,
}

impl BodyRoom {
    /// Returns room for so many bytes.
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(bytes)),
            unfinished: Mutex::default(),
        })
    }

    /// Begins a body of which nothing has come yet.
    pub(crate) fn begin(self: &Arc<Self>) -> Reading {
        Reading {
            room: Arc::clone(self),
            number: None,
            leave: Arc::new(Notify::new()),
            taken: None,
        }
    }

    /// Notes that another body takes room.
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

    /// Removes the body that has been coming for the longest, if that is long; never the given one.
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

/// An unfinished body. Dropping it frees what it has taken.
pub(crate) struct Reading {
    room: Arc<BodyRoom>,
    /// Its place among the bodies that have taken room.
    number: Option<u64>,
    leave: Arc<Notify>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Reading {
    /// Takes room for bytes that have come. An announced length alone takes none.
    ///
    /// # Errors
    /// If there is no room, and no other body is slow.
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

    /// Finishes the body. It stays until its room is given back.
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
