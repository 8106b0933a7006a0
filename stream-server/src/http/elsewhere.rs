//! Requests that another front serves: which they are, and how they get there and back.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Method;
use hyper::header::HeaderName;

use super::respond::Reply;
use super::route::Route;
use super::{App, Call, body, route, wire, wire_control};
use crate::api_error::ApiError;
use crate::fronts::{CONTROL_SLOT, EnsureStream, Fronts, Handed, HandedBack, NotHanded, Place};

/// How long a request looks for the front that serves it. A slot that is handed over is served
/// again within a second.
const PATIENCE: Duration = Duration::from_secs(2);

/// The slot of a request, and the ownership under which it is performed.
#[derive(Clone, Copy)]
struct Held {
    slot: u32,
    epoch: u64,
}

impl App {
    /// Performs the operation, here or on the front that serves it.
    pub(super) async fn perform(&self, call: &Call) -> Result<Reply, ApiError> {
        let Some(fronts) = self.fronts.as_deref() else {
            return self.perform_here(call).await;
        };
        let Some(slot) = self.slot(fronts, call).await else {
            return self.perform_here(call).await;
        };
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match fronts.place(slot) {
                Place::Here { epoch } => {
                    let held = Held { slot, epoch };
                    // A new owner's lease begins a moment later.
                    if may_answer(fronts, call, held) {
                        return self.perform_held(fronts, call, held).await;
                    }
                }
                Place::Elsewhere { epoch, url } => {
                    let handed = fronts.hand(&url, slot, epoch, &call.handed()).await;
                    match handed {
                        Ok(back) => return Ok(reply(back)),
                        Err(NotHanded::Moved) => {}
                        Err(NotHanded::Lost(problem)) => return Err(lost(&problem)),
                    }
                }
                Place::Nowhere => {}
            }
            fronts.changed().await;
        }
        Err(moving())
    }

    /// Performs a request that another front has handed over. `None` if this one doesn't serve it.
    pub(crate) async fn perform_handed(
        &self,
        request: Handed,
        slot: u32,
        epoch: u64,
    ) -> Option<HandedBack> {
        let fronts = self.fronts.as_deref()?;
        if fronts.place(slot) != (Place::Here { epoch }) {
            return None;
        }
        let done = match handed_call(&request) {
            _ if request.path == EnsureStream::PATH => self.ensure_stream(&request.body).await,
            Ok(call) => self.perform_held(fronts, &call, Held { slot, epoch }).await,
            Err(api_error) => Err(api_error),
        };
        let (status, headers, body) = Reply::from(done).into_parts();
        let headers = headers.into_iter();
        Some(HandedBack {
            status,
            headers: headers
                .map(|(name, value)| (name.as_str().to_owned(), value))
                .collect(),
            body,
        })
    }

    /// Creates a stream that the operator of another front has named.
    async fn ensure_stream(&self, body: &[u8]) -> Result<Reply, ApiError> {
        let ensure: EnsureStream = serde_json::from_slice(body).map_err(ApiError::unparsable)?;
        let EnsureStream {
            name,
            partitions,
            retention_hours,
        } = ensure;
        let now = self.clock.wall();
        let ensured = self
            .service
            .ensure_stream(now, &name, partitions, retention_hours);
        ensured.await?;
        Ok(Reply::empty(200))
    }

    /// Performs the operation under an ownership. What it read is answered only if nobody else can
    /// have served the slot meanwhile.
    async fn perform_held(
        &self,
        fronts: &dyn Fronts,
        call: &Call,
        held: Held,
    ) -> Result<Reply, ApiError> {
        if !may_answer(fronts, call, held) {
            return Err(moving());
        }
        let done = self.perform_here(call).await;
        match may_answer(fronts, call, held) {
            true => done,
            false => Err(moving()),
        }
    }

    /// Returns the slot that the request is about; `None` if every front can serve it. Whatever is
    /// wrong with a request, every front can say.
    async fn slot(&self, fronts: &dyn Fronts, call: &Call) -> Option<u32> {
        let of_group = async |stream: &str, group: &str| {
            let key = self.service.stream_key(stream).await?;
            Some(fronts.slot_of_group(key, group))
        };
        let of_cursor = async |stream: &str| {
            let cursor = super::data::parameter(&call.query, "cursor")?;
            let now = self.clock.steady();
            let key = self.service.group_of_cursor(now, stream, &cursor).await?;
            Some(fronts.slot_of_key(key))
        };
        match &call.route {
            Route::Health | Route::PutMessages { .. } | Route::CreateCursor { .. } => None,
            Route::GetMessages { stream }
            | Route::Commit { stream }
            | Route::Heartbeat { stream } => of_cursor(stream).await,
            Route::CreateGroupCursor { stream } => {
                let details: wire::CreateGroupCursorDetails =
                    wire::parse(call.body.bytes()).ok()?;
                of_group(stream, &details.group_name).await
            }
            Route::GetGroup { stream, group } | Route::UpdateGroup { stream, group } => {
                of_group(stream, group).await
            }
            Route::Control(_) => Some(CONTROL_SLOT),
        }
    }
}

/// Returns whether this front may answer the request: the log guards the control plane, and a lease
/// guards what is read for groups.
fn may_answer(fronts: &dyn Fronts, call: &Call, Held { slot, epoch }: Held) -> bool {
    matches!(call.route, Route::Control(_)) || fronts.may_serve(slot, epoch)
}

impl Call {
    fn handed(&self) -> Handed {
        Handed {
            method: self.method.as_str().to_owned(),
            path: self.path.clone(),
            query: self.query.clone(),
            if_match: self.headers.if_match.clone(),
            retry_token: self.headers.retry_token.clone(),
            body: Bytes::copy_from_slice(self.body.bytes()),
        }
    }
}

fn handed_call(request: &Handed) -> Result<Call, ApiError> {
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|_| ApiError::unknown_path(&request.method, &request.path))?;
    Ok(Call {
        route: route(&method, &request.path)?,
        method,
        path: request.path.clone(),
        query: request.query.clone(),
        headers: wire_control::ControlHeaders {
            if_match: request.if_match.clone(),
            retry_token: request.retry_token.clone(),
        },
        body: body::Body::given(&request.body),
    })
}

fn reply(back: HandedBack) -> Reply {
    let headers = back.headers.into_iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, value))
    });
    Reply::handed_back(back.status, back.body, headers.collect())
}

fn moving() -> ApiError {
    ApiError::unavailable("This is moving to another front of the cluster. Try again")
}

fn lost(problem: &str) -> ApiError {
    ApiError::unavailable(format!(
        "The front that serves this has not answered, and may or may not have done it: {problem}"
    ))
}
