//! What the control plane keeps besides the streams themselves: tags, pools, work requests.
//!
//! Each is a document of the storage, and all of them are in memory. Changes hold the catalog's
//! lock until they are durable, so that they follow one another. Messages never need it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Service;
use super::resources::{StreamPool, StreamSettings, WorkRequest};
use crate::api_error::ApiError;
use crate::limits::LABEL_CHARS_MAX;
use crate::storage::{Document, Storage, StorageError};

/// The compartment of streams and pools that were created without one. They are shown in all
/// compartments.
pub(super) const COMPARTMENT_DEFAULT: &str = "ocid1.compartment.oc1..local";

/// The documents of the control plane.
#[derive(Default)]
pub(super) struct Catalog {
    /// Settings by the stream's id. Streams that never had anything special have none.
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
    pub(super) async fn load(storage: &dyn Storage) -> Result<Self, StorageError> {
        let mut catalog = Self::default();
        for Document { kind, id, json } in storage.documents().await? {
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

fn read<T: DeserializeOwned>(json: &str) -> Result<T, StorageError> {
    serde_json::from_str(json).map_err(|error| StorageError::Failed(error.to_string()))
}

impl Service {
    pub(super) async fn keep(
        &self,
        kind: Kind,
        id: &str,
        content: &impl Serialize,
    ) -> Result<(), ApiError> {
        let json = serde_json::to_string(content);
        let json = json.map_err(|error| ApiError::internal(error.to_string()))?;
        let document = Document {
            kind: kind.name().to_owned(),
            id: id.to_owned(),
            json,
        };
        Ok(self.storage.put_document(document).await?)
    }

    pub(super) async fn forget(&self, kind: Kind, id: &str) -> Result<(), ApiError> {
        Ok(self.storage.delete_document(kind.name(), id).await?)
    }

    /// Returns 32 random hexadecimal digits.
    pub(super) fn unique(&self) -> String {
        format!("{:016x}{:016x}", (self.entropy)(), (self.entropy)())
    }
}

/// Compares `if-match` with the current etag (RFC 9110 §13.1.1).
pub(super) fn check_etag(if_match: Option<&str>, etag: &str) -> Result<(), ApiError> {
    let matches = |given: &str| given == "*" || given.trim_matches('"') == etag;
    match if_match {
        Some(given) if !given.split(',').any(|given| matches(given.trim())) => {
            Err(ApiError::etag_differs(etag))
        }
        Some(_) | None => Ok(()),
    }
}

/// Checks an id or a name that a client has chosen.
pub(super) fn check_label(field: &str, text: Option<&str>) -> Result<(), ApiError> {
    let good = |text: &str| (1..=LABEL_CHARS_MAX).contains(&text.chars().count());
    if text.is_none_or(good) {
        return Ok(());
    }
    Err(ApiError::invalid_parameter(format!(
        "{field} must have 1 to {LABEL_CHARS_MAX} characters"
    )))
}
