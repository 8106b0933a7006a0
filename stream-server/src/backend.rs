//! What keeps the streams of a server, chosen when it starts.

use std::sync::Arc;

use crate::metric::Metrics;
use crate::storage::{Answer, Storage};

/// A storage that a server runs on.
pub(crate) trait Backend: Storage {
    /// Returns the counters of the storage, which are the server's.
    fn metrics(&self) -> Arc<Metrics>;

    /// Returns the bytes of its files on this machine.
    fn bytes(&self) -> u64;

    /// Does what a write needs, to see whether it works.
    fn probe(&self) -> Answer<'_, ()>;

    /// Ends what the storage does, after its last operation, and waits for that.
    fn close(self: Arc<Self>) -> Answer<'static, ()>;
}
