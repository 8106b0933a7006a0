//! What the roles have in common.

/// The name of the shared queue, within the drain's `vm_id`, by which accept roles wake the drain.
pub(super) const WAKE_QUEUE: &str = "wake";

/// What Envoy tells the root context of a role.
pub(super) trait Role {
    /// A callout has ended.
    fn callout_done(&mut self, token: u32, headers: usize, body_bytes: usize);
    /// The timer rings.
    fn tick(&mut self);
    /// Something is in a queue that this role has registered.
    fn queue_ready(&mut self, queue: u32);
}

/// Traps. Tests provoke it to see that everything recovers.
#[cfg(feature = "trap-on-request")]
#[allow(clippy::panic)]
pub(super) fn trap() -> ! {
    panic!("a trap, as a test has asked for")
}
