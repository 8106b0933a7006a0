//! The streams that clients see, from the state of the first slot.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use stream_coordination::record::{Stage, StreamState};
use stream_coordination::state::SlotState;

use crate::storage::Stream;
use crate::time::TimeMs;

/// The streams at one position of the first slot's log.
#[derive(Default)]
pub(super) struct Directory(RwLock<Arc<Listed>>);

/// The streams, in the order of their keys and by their ids.
#[derive(Default)]
pub(super) struct Listed {
    position: Option<u64>,
    pub(super) all: Vec<Arc<Stream>>,
    by_id: HashMap<String, Arc<Stream>>,
}

impl Listed {
    pub(super) fn by_id(&self, id: &str) -> Option<Arc<Stream>> {
        self.by_id.get(id).cloned()
    }
}

impl Directory {
    /// Returns the streams as they are at this position, if that is known.
    pub(super) fn at(&self, position: u64) -> Option<Arc<Listed>> {
        let listed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        (listed.position == Some(position)).then(|| Arc::clone(&listed))
    }

    /// Notes the streams at this position.
    pub(super) fn read(&self, position: u64, state: &SlotState) -> Arc<Listed> {
        let active = state.streams().filter(|one| one.stage == Stage::Active);
        let all: Vec<Arc<Stream>> = active.map(|one| Arc::new(stream(one))).collect();
        let by_id = all
            .iter()
            .map(|stream| (stream.id.clone(), Arc::clone(stream)));
        let listed = Arc::new(Listed {
            position: Some(position),
            by_id: by_id.collect(),
            all,
        });
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&listed);
        listed
    }
}

/// Returns a stream as the service sees it.
pub(super) fn stream(state: &StreamState) -> Stream {
    let created = &state.stream;
    Stream {
        key: state.key,
        id: created.id.clone(),
        name: created.name.clone(),
        partitions: created.partitions,
        compartment_id: created.compartment_id.clone(),
        stream_pool_id: created.stream_pool_id.clone(),
        retention_hours: created.retention_hours,
        created: TimeMs(created.created_ms),
    }
}
