//! What this front knows by itself, without a question to a broker.

use std::collections::BTreeMap;

use super::front::KafkaFront;
use super::topic_log::{LogError, NewRecord};
use crate::partition_log::{Extent, Stamp};
use crate::storage::{Message, Stream};

impl KafkaFront {
    /// Keeps those records for a moment that were acknowledged.
    pub(super) fn remember(
        &self,
        stream: &Stream,
        records: Vec<NewRecord>,
        stamps: &[Result<Stamp, LogError>],
    ) {
        let acknowledged = |(record, stamp): (NewRecord, &Result<Stamp, LogError>)| {
            let stamp = *stamp.as_ref().ok()?;
            Some((record.partition, stamp, record.key, record.value))
        };
        let acknowledged = records.into_iter().zip(stamps).filter_map(acknowledged);
        self.recent.note(stream.key, acknowledged);
    }

    /// Returns the offsets as brokers have told them lately, with what this front has published
    /// since.
    pub(super) fn known_lately(&self, stream: &Stream) -> Option<BTreeMap<u32, Extent>> {
        let mut extents = self.extents.lately(stream)?;
        for (partition, next) in self.recent.ends(stream.key, stream.partitions) {
            if let Some(extent) = extents.get_mut(&partition) {
                extent.next = extent.next.max(next);
            }
        }
        Some(extents)
    }

    /// Counts messages that are given to a client.
    pub(super) fn count_read(&self, messages: &[Message]) {
        let whole = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let bytes: usize = messages.iter().map(|message| message.value.len()).sum();
        self.metrics.read.inc_by(whole(messages.len()));
        self.metrics.read_bytes.inc_by(whole(bytes));
    }
}
