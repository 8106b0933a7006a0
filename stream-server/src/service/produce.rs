//! PutMessages.

use super::Service;
use crate::engine::NewMessage;
use crate::limits::{KEY_BYTES_MAX, REQUEST_BYTES_MAX, VALUE_BYTES_MAX};
use crate::log::{Stamp, partition_of_key, partition_of_random};
use crate::refusal::Refusal;
use crate::time::TimeMs;

/// One message to publish (OCI `PutMessagesDetailsEntry`), decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutMessage {
    /// At most 256 bytes.
    pub key: Option<Vec<u8>>,
    /// 1..=1048576 bytes.
    pub value: Vec<u8>,
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
    /// Publishes messages (OCI PutMessages). The partition comes
    /// from the key ([`partition_of_key`]), or from chance without one. All are durable when this
    /// returns; the entries are in the order of the messages.
    ///
    /// # Errors
    /// 400 for sizes and an empty list, 404 for the stream, 500 if the store failed. Then nothing
    /// was published, unless the store failed in the very moment of writing.
    pub async fn put_messages(
        &self,
        now: TimeMs,
        stream_id: &str,
        messages: Vec<PutMessage>,
    ) -> Result<Vec<PutEntry>, Refusal> {
        check_sizes(&messages)?;
        let stream = self.find_stream(stream_id).await?;
        let place = |PutMessage { key, value }| {
            let partition = match &key {
                Some(key) => partition_of_key(key, stream.partitions),
                None => partition_of_random((self.entropy)(), stream.partitions),
            };
            NewMessage {
                partition,
                key,
                value,
            }
        };
        let messages: Vec<NewMessage> = messages.into_iter().map(place).collect();
        let partitions: Vec<u32> = messages.iter().map(|message| message.partition).collect();
        let stamps = self.engine.append(&stream, now, messages).await?;
        let entry = |(partition, stamp)| PutEntry { partition, stamp };
        Ok(partitions.into_iter().zip(stamps).map(entry).collect())
    }
}

fn check_sizes(messages: &[PutMessage]) -> Result<(), Refusal> {
    if messages.is_empty() {
        return Err(Refusal::invalid_parameter(
            "messages must have at least one message",
        ));
    }
    let mut bytes = 0_usize;
    for (place, PutMessage { key, value }) in messages.iter().enumerate() {
        let key_bytes = key.as_ref().map_or(0, Vec::len);
        if key_bytes > KEY_BYTES_MAX {
            return Err(Refusal::invalid_parameter(format!(
                "The key of messages[{place}] has {key_bytes} bytes, the limit is {KEY_BYTES_MAX}"
            )));
        }
        if value.is_empty() {
            return Err(Refusal::invalid_parameter(format!(
                "The value of messages[{place}] is empty"
            )));
        }
        if value.len() > VALUE_BYTES_MAX {
            return Err(Refusal::request_too_large(format!(
                "the value of messages[{place}] has {} bytes",
                value.len()
            )));
        }
        bytes = bytes.saturating_add(key_bytes).saturating_add(value.len());
    }
    if bytes > REQUEST_BYTES_MAX {
        return Err(Refusal::request_too_large(format!(
            "the keys and values of this request have {bytes} bytes"
        )));
    }
    Ok(())
}
