//! What the workers of the accept role share in Envoy's shared data of their `vm_id`: the table of
//! idempotency keys, and the secret that callers are hashed with.

use proxy_wasm::hostcalls;

use crate::caller::CallerSecret;
use crate::id::Entropy;
use crate::idempotency::KeyHolder;

/// The name of the shared queue, within the accept role's `vm_id`, by which drains tell which keys
/// are free again.
pub(super) const RELEASE_QUEUE: &str = "released";

/// Returns the secret that the workers of the accept role share. The first of them draws it. (That
/// is Envoy's main thread, which reads the configuration before any worker does.)
pub(super) fn process_secret(entropy: &mut Entropy) -> CallerSecret {
    const NAME: &str = "caller-secret";
    let shared = || {
        hostcalls::get_shared_data(NAME)
            .ok()
            .and_then(|(bytes, _)| bytes)
    };
    let mut drawn = [0; 32];
    entropy.fill(&mut drawn);
    if shared().is_none() {
        let _ = hostcalls::set_shared_data(NAME, Some(&drawn), None);
    }
    CallerSecret::of(&shared().unwrap_or_else(|| drawn.to_vec()))
}

/// The table, as one worker sees it.
pub(super) struct Table {
    released: Option<u32>,
}

impl Table {
    /// Makes the missing slots. Envoy writes a missing slot whatever its version should be, so all
    /// slots have to exist before the first request.
    pub(super) fn new(slots: u32) -> Self {
        for slot in 0..slots {
            let name = name(slot);
            if matches!(hostcalls::get_shared_data(&name), Ok((None, _))) {
                let _ = hostcalls::set_shared_data(&name, Some(b"[]"), None);
            }
        }
        Self { released: None }
    }

    /// Returns a slot and its version.
    pub(super) fn read(&mut self, slot: u32) -> (Option<Vec<u8>>, u32) {
        // A worker that uses the table listens to the drains too.
        if self.released.is_none() {
            self.released = hostcalls::register_shared_queue(RELEASE_QUEUE).ok();
        }
        let (bytes, version) = hostcalls::get_shared_data(&name(slot)).unwrap_or_default();
        (bytes, version.unwrap_or_default())
    }

    /// Writes a slot that has this version. Returns false if another worker has written it since.
    pub(super) fn write(&mut self, slot: u32, bytes: &[u8], version: u32) -> bool {
        hostcalls::set_shared_data(&name(slot), Some(bytes), Some(version)).is_ok()
    }

    /// Returns whether drains tell of free keys by this queue.
    pub(super) fn is_released_queue(&self, queue: u32) -> bool {
        self.released == Some(queue)
    }

    /// Returns the calls whose keys are free again.
    pub(super) fn released(&self, queue: u32) -> Vec<KeyHolder> {
        let mut holders = Vec::new();
        while let Ok(Some(text)) = hostcalls::dequeue_shared_queue(queue) {
            holders.extend(KeyHolder::parse(&String::from_utf8_lossy(&text)));
        }
        holders
    }
}

fn name(slot: u32) -> String {
    format!("idempotency-{slot}")
}
