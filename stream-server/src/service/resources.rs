//! What the control plane keeps of a stream besides its messages, of a pool, and of finished work.
//! Each is stored as a document.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api_error::ApiError;
use crate::limits::TAGS_BYTES_MAX;

/// Tags of a stream or a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tags {
    /// Name to value.
    #[serde(default)]
    pub freeform_tags: BTreeMap<String, String>,
    /// Namespace to name to value.
    #[serde(default)]
    pub defined_tags: BTreeMap<String, BTreeMap<String, Value>>,
}

/// New tags. Absent ones stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TagsUpdate {
    /// See [`Tags::freeform_tags`].
    pub freeform_tags: Option<BTreeMap<String, String>>,
    /// See [`Tags::defined_tags`].
    pub defined_tags: Option<BTreeMap<String, BTreeMap<String, Value>>>,
}

impl Tags {
    /// Returns these tags after an update.
    pub(super) fn updated(mut self, update: TagsUpdate) -> Result<Self, ApiError> {
        if let Some(freeform) = update.freeform_tags {
            self.freeform_tags = freeform;
        }
        if let Some(defined) = update.defined_tags {
            self.defined_tags = defined;
        }
        let bytes = serde_json::to_vec(&self).map_or(0, |json| json.len());
        if bytes > TAGS_BYTES_MAX {
            return Err(ApiError::limit_exceeded(format!(
                "The tags have {bytes} bytes of JSON, the limit is {TAGS_BYTES_MAX}"
            )));
        }
        Ok(self)
    }
}

/// The settings of a stream that may change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamSettings {
    /// Its compartment; `None` if the operator named the stream.
    pub compartment_id: Option<String>,
    /// Its pool; `None` means the default pool.
    pub stream_pool_id: Option<String>,
    /// Its tags.
    #[serde(flatten)]
    pub tags: Tags,
    /// The etag, which changes with every change.
    pub etag: String,
    /// The token with which its creation can be repeated.
    pub retry_token: Option<String>,
}

/// Kafka settings of a pool (OCI `KafkaSettings`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KafkaSettings {
    /// Where Kafka clients would connect.
    pub bootstrap_servers: Option<String>,
    /// Whether a topic is created when it is first used.
    pub auto_create_topics_enable: bool,
    /// 24..=168 in practice; the contract says 1..=672.
    pub log_retention_hours: u32,
    /// At least 1.
    pub num_partitions: u32,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            bootstrap_servers: None,
            auto_create_topics_enable: false,
            log_retention_hours: 24,
            num_partitions: 1,
        }
    }
}

/// A stream pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamPool {
    /// Its OCID.
    pub id: String,
    /// Its name. Several pools may have the same one.
    pub name: String,
    /// Its compartment.
    pub compartment_id: String,
    /// See [`KafkaSettings`].
    pub kafka_settings: KafkaSettings,
    /// The key that its messages would be encrypted with.
    pub kms_key_id: Option<String>,
    /// Its tags.
    #[serde(flatten)]
    pub tags: Tags,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// The etag, which changes with every change.
    pub etag: String,
    /// The token with which its creation can be repeated.
    pub retry_token: Option<String>,
}

/// A work request: what was done to a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkRequest {
    /// Its OCID.
    pub id: String,
    /// `CREATE_STREAM` and so on.
    pub operation: String,
    /// `CREATED`, `UPDATED` or `DELETED`.
    pub action: String,
    /// `stream` or `streampool`.
    pub entity: String,
    /// The OCID of the resource.
    pub resource: String,
    /// The compartment of the resource.
    pub compartment_id: Option<String>,
    /// When it was done, in milliseconds since 1970.
    pub time_ms: u64,
}
