//! The words of the log and of the coordination in those of the service.

use std::time::{SystemTime, UNIX_EPOCH};

use stream_coordination::record::{GroupState, Position};

use super::topic_log::LogError;
use crate::group::{CommittedPosition, GroupRecord};
use crate::storage::StorageError;

/// Returns what an error of the log means to the service.
pub(super) fn failed(error: LogError) -> StorageError {
    let text = error.to_string();
    match error {
        LogError::Unavailable(_) => StorageError::Unavailable(text),
        LogError::Exists => StorageError::StreamExists,
        // What is kept has changed since it was looked at.
        LogError::OutOfRange => StorageError::Unavailable(text),
        LogError::Refused(_) | LogError::Denied(_) | LogError::Unknown(_) | LogError::NoTopic => {
            StorageError::Failed(text)
        }
    }
}

/// Returns a group as the service sees it.
pub(super) fn group_record(state: &GroupState) -> GroupRecord {
    let position = |(partition, position): (&u32, &Position)| {
        let position = CommittedPosition {
            start: position.start,
            committed: position.committed,
        };
        (*partition, position)
    };
    GroupRecord {
        key: state.key,
        stream_key: state.stream,
        name: state.name.clone(),
        incarnation: state.incarnation,
        positions: state.positions.iter().map(position).collect(),
    }
}

/// Returns the wall time in milliseconds.
pub(super) fn wall_ms() -> u64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(passed.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
