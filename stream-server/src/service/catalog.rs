//! What the control plane keeps beside the streams themselves: tags, pools, work requests.
//!
//! Each is a document of the engine, and all of them are in memory. Changes hold the catalog's lock
//! until they are durable, so that they follow one another; messages never touch it.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Service;
use super::pools::StreamPool;
use super::work::WorkRequest;
use crate::engine::{Document, Engine, EngineError};
use crate::limits::{LABEL_CHARS_MAX, TAGS_BYTES_MAX};
use crate::refusal::Refusal;

/// The compartment of what was created without one. It is shown in all compartments.
pub(super) const COMPARTMENT_DEFAULT: &str = "ocid1.compartment.oc1..local";

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

/// New tags; what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TagsUpdate {
    /// See [`Tags::freeform_tags`].
    pub freeform_tags: Option<BTreeMap<String, String>>,
    /// See [`Tags::defined_tags`].
    pub defined_tags: Option<BTreeMap<String, BTreeMap<String, Value>>>,
}

impl Tags {
    /// These tags with an update.
    pub(super) fn updated(mut self, update: TagsUpdate) -> Result<Self, Refusal> {
        if let Some(freeform) = update.freeform_tags {
            self.freeform_tags = freeform;
        }
        if let Some(defined) = update.defined_tags {
            self.defined_tags = defined;
        }
        let bytes = serde_json::to_vec(&self).map_or(0, |json| json.len());
        if bytes > TAGS_BYTES_MAX {
            return Err(Refusal::limit_exceeded(format!(
                "The tags have {bytes} bytes of JSON, the limit is {TAGS_BYTES_MAX}"
            )));
        }
        Ok(self)
    }
}

/// What a stream has beside what never changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamSettings {
    /// Its compartment; none where the operator named the stream.
    pub compartment_id: Option<String>,
    /// Its pool; the default pool where absent.
    pub stream_pool_id: Option<String>,
    /// Its tags.
    #[serde(flatten)]
    pub tags: Tags,
    /// Another one after each change.
    pub etag: String,
    /// What its creation can be repeated with.
    pub retry_token: Option<String>,
}

/// The documents of the control plane.
#[derive(Default)]
pub(super) struct Catalog {
    /// By the stream's id. Streams that never had anything special have none.
    pub(super) streams: BTreeMap<String, StreamSettings>,
    pub(super) pools: BTreeMap<String, StreamPool>,
    pub(super) work_requests: BTreeMap<String, WorkRequest>,
}

/// What kind of document it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Stream,
    Pool,
    WorkRequest,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Stream => Document::STREAM,
            Self::Pool => "pool",
            Self::WorkRequest => "workRequest",
        }
    }
}

impl Catalog {
    pub(super) async fn load(engine: &dyn Engine) -> Result<Self, EngineError> {
        let mut catalog = Self::default();
        for Document { kind, id, json } in engine.documents().await? {
            // A kind that a later version wrote is left alone.
            if kind == Kind::Stream.name() {
                catalog.streams.insert(id, read(&json)?);
            } else if kind == Kind::Pool.name() {
                catalog.pools.insert(id, read(&json)?);
            } else if kind == Kind::WorkRequest.name() {
                catalog.work_requests.insert(id, read(&json)?);
            }
        }
        Ok(catalog)
    }
}

fn read<T: DeserializeOwned>(json: &str) -> Result<T, EngineError> {
    serde_json::from_str(json).map_err(|error| EngineError::Failed(error.to_string()))
}

impl Service {
    pub(super) async fn keep(
        &self,
        kind: Kind,
        id: &str,
        content: &impl Serialize,
    ) -> Result<(), Refusal> {
        let json = serde_json::to_string(content);
        let json = json.map_err(|error| Refusal::internal(error.to_string()))?;
        let document = Document {
            kind: kind.name().to_owned(),
            id: id.to_owned(),
            json,
        };
        Ok(self.engine.put_document(document).await?)
    }

    pub(super) async fn forget(&self, kind: Kind, id: &str) -> Result<(), Refusal> {
        Ok(self.engine.delete_document(kind.name(), id).await?)
    }

    /// 32 random hexadecimal digits.
    pub(super) fn unique(&self) -> String {
        format!("{:016x}{:016x}", (self.entropy)(), (self.entropy)())
    }
}

/// Compares `if-match` with the current etag (RFC 9110 §13.1.1).
pub(super) fn check_etag(if_match: Option<&str>, etag: &str) -> Result<(), Refusal> {
    let matches = |given: &str| given == "*" || given.trim_matches('"') == etag;
    match if_match {
        Some(given) if !given.split(',').any(|given| matches(given.trim())) => {
            Err(Refusal::etag_differs(etag))
        }
        Some(_) | None => Ok(()),
    }
}

/// Ids and names that clients make up.
pub(super) fn check_label(field: &str, text: Option<&str>) -> Result<(), Refusal> {
    let good = |text: &str| (1..=LABEL_CHARS_MAX).contains(&text.chars().count());
    if text.is_none_or(good) {
        return Ok(());
    }
    Err(Refusal::invalid_parameter(format!(
        "{field} must have 1 to {LABEL_CHARS_MAX} characters"
    )))
}
