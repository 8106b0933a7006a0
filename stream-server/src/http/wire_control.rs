//! The JSON and the headers of the control plane, as OCI's contract writes them.

use hyper::header::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::service::{
    KafkaSettings, PoolRequest, StreamPool, StreamRequest, StreamUpdate, StreamView, Tags,
    TagsUpdate, WorkRequest,
};
use crate::time::TimeMs;

/// Headers that only the control plane reads.
#[derive(Default)]
pub(super) struct ControlHeaders {
    /// The etag that the resource must have.
    pub(super) if_match: Option<String>,
    /// The token with which a creation can be repeated.
    pub(super) retry_token: Option<String>,
}

impl ControlHeaders {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let text = |name: &str| {
            let value = headers.get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Self {
            if_match: text("if-match"),
            retry_token: text("opc-retry-token"),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateStreamDetails {
    name: String,
    partitions: u32,
    pub(super) compartment_id: Option<String>,
    pub(super) stream_pool_id: Option<String>,
    retention_in_hours: Option<u32>,
    #[serde(flatten)]
    tags: TagsUpdate,
}

impl CreateStreamDetails {
    pub(super) fn request(self, retry_token: Option<String>) -> StreamRequest {
        StreamRequest {
            name: self.name,
            partitions: self.partitions,
            compartment_id: self.compartment_id,
            stream_pool_id: self.stream_pool_id,
            retention_hours: self.retention_in_hours,
            tags: self.tags,
            retry_token,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpdateStreamDetails {
    stream_pool_id: Option<String>,
    #[serde(flatten)]
    tags: TagsUpdate,
}

impl From<UpdateStreamDetails> for StreamUpdate {
    fn from(details: UpdateStreamDetails) -> Self {
        Self {
            stream_pool_id: details.stream_pool_id,
            tags: details.tags,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChangeCompartmentDetails {
    pub(super) compartment_id: String,
}

/// CreateStreamPoolDetails and UpdateStreamPoolDetails.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PoolDetails {
    pub(super) name: Option<String>,
    pub(super) compartment_id: Option<String>,
    kafka_settings: Option<KafkaSettings>,
    custom_encryption_key_details: Option<KeyDetails>,
    #[serde(flatten)]
    tags: TagsUpdate,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyDetails {
    kms_key_id: Option<String>,
}

impl From<PoolDetails> for PoolRequest {
    fn from(details: PoolDetails) -> Self {
        let key = details.custom_encryption_key_details;
        Self {
            name: details.name,
            kafka_settings: details.kafka_settings,
            kms_key_id: key.and_then(|key| key.kms_key_id),
            tags: details.tags,
        }
    }
}

/// A Stream; a StreamSummary without the retention.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StreamBody<'a> {
    name: &'a str,
    id: &'a str,
    partitions: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_in_hours: Option<u32>,
    compartment_id: &'a str,
    stream_pool_id: &'a str,
    lifecycle_state: &'static str,
    time_created: String,
    messages_endpoint: &'a str,
    #[serde(flatten)]
    tags: &'a Tags,
}

impl<'a> StreamBody<'a> {
    pub(super) fn whole(view: &'a StreamView, endpoint: &'a str) -> Self {
        Self {
            retention_in_hours: Some(view.stream.retention_hours),
            ..Self::summary(view, endpoint)
        }
    }

    pub(super) fn summary(view: &'a StreamView, endpoint: &'a str) -> Self {
        Self {
            name: &view.stream.name,
            id: &view.stream.id,
            partitions: view.stream.partitions,
            retention_in_hours: None,
            compartment_id: view.compartment_id(),
            stream_pool_id: view.pool_id(),
            lifecycle_state: "ACTIVE",
            time_created: view.stream.created.to_string(),
            messages_endpoint: endpoint,
            tags: &view.settings.tags,
        }
    }
}

/// A StreamPool; a StreamPoolSummary without settings and key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PoolBody<'a> {
    id: &'a str,
    name: &'a str,
    compartment_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kafka_settings: Option<&'a KafkaSettings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_encryption_key: Option<KeyBody<'a>>,
    is_private: bool,
    lifecycle_state: &'static str,
    time_created: String,
    #[serde(flatten)]
    tags: &'a Tags,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyBody<'a> {
    kms_key_id: Option<&'a str>,
    key_state: &'static str,
}

impl<'a> PoolBody<'a> {
    pub(super) fn whole(pool: &'a StreamPool) -> Self {
        let kms_key_id = pool.kms_key_id.as_deref();
        // Nothing is encrypted here with a key of a vault, whatever its id.
        let key = KeyBody {
            kms_key_id,
            key_state: "NONE",
        };
        Self {
            kafka_settings: Some(&pool.kafka_settings),
            custom_encryption_key: Some(key),
            ..Self::summary(pool)
        }
    }

    pub(super) fn summary(pool: &'a StreamPool) -> Self {
        Self {
            id: &pool.id,
            name: &pool.name,
            compartment_id: &pool.compartment_id,
            kafka_settings: None,
            custom_encryption_key: None,
            is_private: false,
            lifecycle_state: "ACTIVE",
            time_created: TimeMs(pool.created_ms).to_string(),
            tags: &pool.tags,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WorkRequestBody<'a> {
    id: &'a str,
    operation_type: &'a str,
    status: &'static str,
    compartment_id: Option<&'a str>,
    resources: [WorkRequestResource<'a>; 1],
    percent_complete: f32,
    time_accepted: String,
    time_started: String,
    time_finished: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WorkRequestResource<'a> {
    entity_type: &'a str,
    action_type: &'a str,
    identifier: &'a str,
    entity_uri: String,
}

impl<'a> From<&'a WorkRequest> for WorkRequestBody<'a> {
    fn from(work: &'a WorkRequest) -> Self {
        let time = TimeMs(work.time_ms).to_string();
        let resource = WorkRequestResource {
            entity_type: &work.entity,
            action_type: &work.action,
            identifier: &work.resource,
            entity_uri: format!("/20180418/{}s/{}", work.entity, work.resource),
        };
        Self {
            id: &work.id,
            operation_type: &work.operation,
            status: "SUCCEEDED",
            compartment_id: work.compartment_id.as_deref(),
            resources: [resource],
            percent_complete: 100.0,
            time_accepted: time.clone(),
            time_started: time.clone(),
            time_finished: time,
        }
    }
}

/// A list of what belongs to work requests: unlike streams and pools they come in an object.
#[derive(Serialize)]
pub(super) struct WorkRequestCollection<T> {
    items: Vec<T>,
}

impl<T> WorkRequestCollection<T> {
    pub(super) fn of(items: impl IntoIterator<Item = T>) -> Self {
        Self {
            items: items.into_iter().collect(),
        }
    }
}

/// A line of a work request's log.
#[derive(Serialize)]
pub(super) struct WorkRequestLog {
    message: String,
    timestamp: String,
}

impl From<&WorkRequest> for WorkRequestLog {
    fn from(work: &WorkRequest) -> Self {
        Self {
            message: format!("{} of {} has succeeded", work.operation, work.resource),
            timestamp: TimeMs(work.time_ms).to_string(),
        }
    }
}
