//! PutMessages.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Service;
use crate::api_error::ApiError;
use crate::limits::{KEY_BYTES_MAX, REQUEST_BYTES_MAX, VALUE_BYTES_MAX};
use crate::partition_log::{Stamp, partition_of_key};
use crate::storage::{NewMessage, StorageError, Stream};
use crate::throttle::{Bucket, Throttled};
use crate::time::TimeMs;

/// One message to publish (OCI `PutMessagesDetailsEntry`), decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutMessage {
    /// At most 256 bytes.
    pub key: Option<Bytes>,
    /// 1..=1048576 bytes.
    pub value: Bytes,
}

/// Where one message went (OCI `PutMessagesResultEntry`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutEntry {
    /// The partition that the server chose.
    pub partition: u32,
    /// Offset and time.
    pub stamp: Stamp,
}

impl Service {
    /// Publishes messages (OCI PutMessages). The partition is the given one, which OCI Streaming
    /// doesn't have; else it comes from the key ([`partition_of_key`]), or is random without one. A
    /// storage may choose the same one for some that come together. All messages are durable when
    /// this returns, except those of partitions that have already had their bytes: their entries
    /// are 429. Once one message is refused, all later ones of its partition are, so that their
    /// order is the client's. The entries are in the order of the messages.
    ///
    /// # Errors
    /// 400 for sizes, an empty list and a partition that isn't there, 404 for the stream, 429 if no
    /// partition takes any message, 503 if the store takes none now, 500 if it failed. Then nothing
    /// was published, unless the store failed in the very moment of writing. A store that may fail
    /// for some messages alone gives these an error each, 503 if that message was not stored, 500
    /// if nobody knows.
    pub async fn put_messages(
        &self,
        now: TimeMs,
        stream_id: &str,
        partition: Option<u32>,
        messages: Vec<PutMessage>,
    ) -> Result<Vec<Result<PutEntry, ApiError>>, ApiError> {
        check_sizes(&messages)?;
        let stream = self.find_stream(stream_id).await?;
        if let Some(unknown) = partition.filter(|chosen| *chosen >= stream.partitions) {
            return Err(ApiError::unknown_partition(unknown, stream.partitions));
        }
        let place = |PutMessage { key, value }| {
            let partition = match (partition, &key) {
                (Some(partition), _) => partition,
                (None, Some(key)) => partition_of_key(key, stream.partitions),
                (None, None) => {
                    let random = (self.entropy)();
                    self.storage.partition_of_random(random, stream.partitions)
                }
            };
            NewMessage {
                partition,
                key,
                value,
            }
        };
        let messages: Vec<NewMessage> = messages.into_iter().map(place).collect();
        let admitted = self.admit_messages(now, &stream, &messages);
        let refused = admitted.iter().map(|place| place.as_ref().err().copied());
        // Absent if one was admitted.
        let all_refused: Option<Vec<Throttled>> = refused.collect();
        if let Some(soonest) = all_refused.and_then(|all| all.into_iter().min()) {
            return Err(soonest.into());
        }
        let both = messages.into_iter().zip(&admitted);
        let stored = both.filter_map(|(message, place)| place.is_ok().then_some(message));
        let stamps = self.storage.append(&stream, now, stored.collect()).await?;
        if let Some(error) = none_taken(&stamps) {
            return Err(error.clone().into());
        }
        let mut stamps = stamps.into_iter();
        let entry = |place: Result<u32, Throttled>| {
            let partition = place?;
            let missing = || ApiError::internal("The store did not tell the offset");
            let stamp = stamps.next().ok_or_else(missing)??;
            Ok(PutEntry { partition, stamp })
        };
        Ok(admitted.into_iter().map(entry).collect())
    }

    /// Returns the partition of each message, or why the message can't be stored now.
    fn admit_messages(
        &self,
        now: TimeMs,
        stream: &Stream,
        messages: &[NewMessage],
    ) -> Vec<Result<u32, Throttled>> {
        let mut refused: BTreeMap<u32, Throttled> = BTreeMap::new();
        let place = |message: &NewMessage| {
            let partition = message.partition;
            let Some(throttle) = &self.throttle else {
                return Ok(partition);
            };
            if let Some(earlier) = refused.get(&partition) {
                return Err(*earlier);
            }
            let bucket = Bucket::Write {
                stream: stream.key,
                partition,
            };
            let key_bytes = message.key.as_ref().map_or(0, Bytes::len);
            let bytes = key_bytes.saturating_add(message.value.len());
            let admitted = throttle.admit_bytes(now, bucket, bytes);
            let refuse = |throttled: &Throttled| {
                refused.insert(partition, *throttled);
            };
            admitted.inspect_err(refuse).map(|()| partition)
        };
        messages.iter().map(place).collect()
    }
}

/// Returns the error of the first message, if no message was taken and all may be sent again.
fn none_taken(stamps: &[Result<Stamp, StorageError>]) -> Option<&StorageError> {
    let not_taken =
        |stamp: &&Result<Stamp, StorageError>| matches!(stamp, Err(StorageError::Unavailable(_)));
    let all = !stamps.is_empty() && stamps.iter().all(|stamp| not_taken(&stamp));
    stamps
        .iter()
        .find(not_taken)
        .filter(|_| all)?
        .as_ref()
        .err()
}

fn check_sizes(messages: &[PutMessage]) -> Result<(), ApiError> {
    if messages.is_empty() {
        return Err(ApiError::invalid_parameter(
            "messages must have at least one message",
        ));
    }
    let mut bytes = 0_usize;
    for (place, PutMessage { key, value }) in messages.iter().enumerate() {
        let key_bytes = key.as_ref().map_or(0, Bytes::len);
        if key_bytes > KEY_BYTES_MAX {
            return Err(ApiError::invalid_parameter(format!(
                "The key of messages[{place}] has {key_bytes} bytes, the limit is {KEY_BYTES_MAX}"
            )));
        }
        if value.is_empty() {
            return Err(ApiError::invalid_parameter(format!(
                "The value of messages[{place}] is empty"
            )));
        }
        if value.len() > VALUE_BYTES_MAX {
            return Err(ApiError::request_too_large(format!(
                "the value of messages[{place}] has {} bytes",
                value.len()
            )));
        }
        bytes = bytes.saturating_add(key_bytes).saturating_add(value.len());
    }
    if bytes > REQUEST_BYTES_MAX {
        return Err(ApiError::request_too_large(format!(
            "the keys and values of this request have {bytes} bytes"
        )));
    }
    Ok(())
}
