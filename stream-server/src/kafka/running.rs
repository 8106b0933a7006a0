//! What a coordination gives to its owner: tasks that end with it, and what it gains and loses.

use tokio::task::JoinHandle;

/// What its owner has to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// This front owns the slot now.
    Gained { slot: u32, epoch: u64 },
    /// This front doesn't own the slot any more.
    Lost { slot: u32 },
}

/// The tasks that run a coordination, ended when this is dropped.
pub(super) struct Running(pub(super) Vec<JoinHandle<()>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}
