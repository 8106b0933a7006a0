//! Answers the requests of operators: `/ready` and `/metrics`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Body;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use crate::backend::Backend;
use crate::connections::Seat;
use crate::http::{REQUEST_ID, Response, ToTheEnd, request_id};
use crate::limits::READY_LIFE;
use crate::metric::{LagLabels, Metrics, Snapshot};
use crate::partition_log::Extent;
use crate::service::Service;
use crate::storage::{StorageError, Stream};
use crate::time::Clock;

/// A store that does not write within this time is not ready.
const READY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long figures wait for the offsets of streams: less than those who ask for them wait.
const EXTENTS_TIMEOUT: Duration = Duration::from_secs(5);
/// Streams whose offsets are asked for at the same time.
const QUESTIONS_MAX: usize = 16;
const JSON: &str = "application/json";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the operators' requests need.
pub(crate) struct Ops {
    store: Arc<dyn Backend>,
    service: Arc<Service>,
    clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    ready: Arc<Mutex<Option<Probed>>>,
}

/// The result of a probe of the store: status and text.
type Found = (StatusCode, String);

/// The latest probe, and when it was done.
#[derive(Debug)]
struct Probed {
    at: Instant,
    found: Found,
}

impl Ops {
    pub(crate) fn new(store: Arc<dyn Backend>, service: Arc<Service>) -> Self {
        let metrics = store.metrics();
        Self {
            store,
            service,
            clock: Clock::start(),
            metrics,
            ready: Arc::default(),
        }
    }

    /// Answers an operator's request; `None` for any other.
    pub(crate) async fn answer<B: Body>(
        &self,
        request: &Request<B>,
        seat: &Seat,
    ) -> Option<Response> {
        let path = request.uri().path();
        if *request.method() != Method::GET || !["/ready", "/metrics"].contains(&path) {
            return None;
        }
        seat.work();
        let mut response = match path {
            "/ready" => self.ready().await,
            _ => self.metrics().await,
        };
        if let Ok(id) = HeaderValue::try_from(request_id(request.headers())) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        Some(response)
    }

    /// Returns whether the server can write to the disk. It really writes, but not for every
    /// request.
    async fn ready(&self) -> Response {
        let probing = probed(Arc::clone(&self.store), Arc::clone(&self.ready));
        // If a client asks and goes away, the next one must not probe again.
        let found = ToTheEnd::new(probing).await;
        let (status, text) = found.unwrap_or_else(|_| unready("the probe ended unexpectedly"));
        respond(status, JSON, text)
    }

    async fn metrics(&self) -> Response {
        match self.snapshot().await {
            Ok(snapshot) => respond(StatusCode::OK, OPEN_METRICS, self.metrics.text(snapshot)),
            Err(error) => {
                let (status, text) = unready(&error.to_string());
                respond(status, JSON, text)
            }
        }
    }

    pub(crate) async fn snapshot(&self) -> Result<Snapshot, StorageError> {
        let mut snapshot = Snapshot {
            database_bytes: self.store.bytes(),
            ..Snapshot::default()
        };
        let streams = self.store.streams().await?;
        let groups = self.service.group_states(self.clock.steady());
        let used: BTreeSet<u64> = groups.iter().map(|group| group.record.stream_key).collect();
        let asked = streams.iter().filter(|stream| used.contains(&stream.key));
        let extents = self.extents(asked.cloned()).await;
        for group in groups {
            snapshot.groups = snapshot.groups.saturating_add(1);
            snapshot.members = snapshot.members.saturating_add(group.members);
            let stream = streams.iter().find(|s| s.key == group.record.stream_key);
            let (Some(stream), Some(extents)) = (stream, extents.get(&group.record.stream_key))
            else {
                continue;
            };
            for (partition, position) in &group.record.positions {
                let labels = LagLabels {
                    stream: stream.name.clone(),
                    group: group.record.name.clone(),
                    partition: *partition,
                };
                // What nobody tells isn't zero.
                if let Some(extent) = extents.get(partition) {
                    let lag = extent.next.saturating_sub(position.next());
                    snapshot.lags.push((labels, lag));
                }
            }
        }
        Ok(snapshot)
    }

    /// Returns the extents of streams, by key. Those that can't be told in time are left out: the
    /// other figures are needed then.
    async fn extents(
        &self,
        streams: impl Iterator<Item = Arc<Stream>>,
    ) -> BTreeMap<u64, BTreeMap<u32, Extent>> {
        let mut asked = JoinSet::new();
        let places = Arc::new(Semaphore::new(QUESTIONS_MAX));
        for stream in streams {
            let (store, places) = (Arc::clone(&self.store), Arc::clone(&places));
            asked.spawn(async move {
                let _place = places.acquire().await.ok()?;
                let extents = store.extents(&stream).await.ok()?;
                Some((stream.key, extents))
            });
        }
        let mut told = BTreeMap::new();
        let telling = async {
            while let Some(one) = asked.join_next().await {
                told.extend(one.ok().flatten());
            }
        };
        // Whoever is late is aborted with the set.
        let _ = tokio::time::timeout(EXTENTS_TIMEOUT, telling).await;
        told
    }
}

/// Returns the result of the latest probe, or of a new one after [`READY_LIFE`]. A request that
/// comes during a probe waits for it.
async fn probed(store: Arc<dyn Backend>, latest: Arc<Mutex<Option<Probed>>>) -> Found {
    let mut latest = latest.lock().await;
    if let Some(probed) = latest
        .as_ref()
        .filter(|probed| probed.at.elapsed() < READY_LIFE)
    {
        return probed.found.clone();
    }
    let found = match tokio::time::timeout(READY_TIMEOUT, store.probe()).await {
        Ok(Ok(())) => (StatusCode::OK, r#"{"status":"ready"}"#.to_owned()),
        Ok(Err(error)) => unready(&error.to_string()),
        Err(_) => unready("the store did not write within 5 seconds"),
    };
    *latest = Some(Probed {
        at: Instant::now(),
        found: found.clone(),
    });
    found
}

fn unready(problem: &str) -> Found {
    let body = serde_json::json!({ "status": "not ready", "problem": problem });
    (StatusCode::SERVICE_UNAVAILABLE, body.to_string())
}

fn respond(status: StatusCode, kind: &'static str, text: String) -> Response {
    let mut response = crate::http::plain(text.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
