//! Several servers in front of one cluster, as one of them sees the others.
//!
//! Each group, and the control plane, is served by one front at a time. The others hand requests to
//! it.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

/// The slot that serves the control plane.
pub(crate) const CONTROL_SLOT: u32 = 0;

/// Where requests of a slot are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Here, under this ownership.
    Here {
        /// The ownership.
        epoch: u64,
    },
    /// By another front.
    Elsewhere {
        /// The ownership.
        epoch: u64,
        /// Where that front is reached.
        url: String,
    },
    /// Nowhere at this moment.
    Nowhere,
}

/// A request that another front serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handed {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) if_match: Option<String>,
    pub(crate) retry_token: Option<String>,
    pub(crate) body: Bytes,
}

/// A stream that the operator of a front has named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EnsureStream {
    pub(crate) name: String,
    pub(crate) partitions: u32,
    pub(crate) retention_hours: Option<u32>,
}

impl EnsureStream {
    /// The path of such a request, which no client can send: paths of clients begin otherwise.
    pub(crate) const PATH: &str = "/streams-of-the-operator";

    /// Returns it as a request for the front that serves the control plane.
    pub(crate) fn handed(&self) -> Handed {
        Handed {
            method: "POST".to_owned(),
            path: Self::PATH.to_owned(),
            query: String::new(),
            if_match: None,
            retry_token: None,
            // Texts and numbers can always be written.
            body: serde_json::to_vec(self).unwrap_or_default().into(),
        }
    }
}

/// What another front has answered.
#[derive(Debug)]
pub(crate) struct HandedBack {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// The part of the room for answers that the body takes.
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

/// Why another front hasn't answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotHanded {
    /// It doesn't serve this any more; nothing was done.
    Moved,
    /// Nobody knows whether it has done it.
    Lost(String),
}

/// A future of a hand-over.
pub(crate) type Handing<'a> =
    Pin<Box<dyn Future<Output = Result<HandedBack, NotHanded>> + Send + 'a>>;

/// The fronts of one cluster.
pub(crate) trait Fronts: Send + Sync {
    /// Returns the slot of a stream's group.
    fn slot_of_group(&self, stream_key: u64, name: &str) -> u32;

    /// Returns the slot of the group with this key.
    fn slot_of_key(&self, group_key: u64) -> u32;

    /// Returns where a slot is served.
    fn place(&self, slot: u32) -> Place;

    /// Returns whether this front may still answer requests for groups of the slot: nobody else
    /// serves it.
    fn may_serve(&self, slot: u32, epoch: u64) -> bool;

    /// Has the front at this URL serve a request.
    fn hand<'a>(&'a self, url: &'a str, slot: u32, epoch: u64, request: &'a Handed) -> Handing<'a>;

    /// Waits a moment for a place to change.
    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
