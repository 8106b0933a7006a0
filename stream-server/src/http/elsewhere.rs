//! Requests that another front serves: which they are, and how they get there and back.

use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::HeaderName;
use hyper::{Method, Request};
use tokio::sync::OwnedSemaphorePermit;

use super::body::Body;
use super::data::answer_room;
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
                    let room = self.room_for(call).await?;
                    let handed = hand(fronts, &url, (slot, epoch), call).await;
                    match handed {
                        Ok(back) => return Ok(reply(back, room)),
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
        body: Body,
        (slot, epoch): (u32, u64),
    ) -> Option<HandedBack> {
        let fronts = self.fronts.as_deref()?;
        if fronts.place(slot) != (Place::Here { epoch }) {
            return None;
        }
        let done = match handed_call(request, body) {
            Ok(Given::Ensure(body)) => self.ensure_stream(body.bytes()).await,
            Ok(Given::Call(call)) => self.perform_held(fronts, &call, Held { slot, epoch }).await,
            Err(api_error) => Err(api_error),
        };
        Some(Reply::from(done).into_handed_back())
    }

    /// Reads the body of a request that another front has handed over, whose head is its own.
    ///
    /// # Errors
    /// When it is too long or too slow, or too much comes at once: nothing was done.
    pub(crate) async fn read_handed(&self, request: Request<Incoming>) -> Result<Body, ApiError> {
        body::read(request, &self.bodies_room).await
    }

    /// Takes room for the answer of another front, which comes as a whole.
    async fn room_for(&self, call: &Call) -> Result<Option<OwnedSemaphorePermit>, ApiError> {
        match call.route {
            Route::GetMessages { .. } => answer_room(&self.fetched_answers_room).await.map(Some),
            Route::Health
            | Route::PutMessages { .. }
            | Route::CreateCursor { .. }
            | Route::Commit { .. }
            | Route::Heartbeat { .. }
            | Route::CreateGroupCursor { .. }
            | Route::GetGroup { .. }
            | Route::UpdateGroup { .. }
            | Route::Control(_) => Ok(None),
        }
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

/// Has another front serve a request, as long as it is the one to do so: one that is stopped would
/// be waited for when another one serves already.
async fn hand(
    fronts: &dyn Fronts,
    url: &str,
    (slot, epoch): (u32, u64),
    call: &Call,
) -> Result<HandedBack, NotHanded> {
    let handed = call.handed();
    let mut handing = fronts.hand(url, slot, epoch, &handed);
    loop {
        tokio::select! {
            biased;
            back = &mut handing => return back,
            () = fronts.changed() => {
                let is_there = matches!(
                    fronts.place(slot),
                    Place::Elsewhere { epoch: now, .. } if now == epoch
                );
                if !is_there {
                    break;
                }
            }
        }
    }
    match call.route {
        // It may have been done. Who asks again finds out.
        Route::Control(_) => Err(NotHanded::Lost(
            "another one has taken its place".to_owned(),
        )),
        // The log has refused what wasn't done by now, and what was does no harm twice.
        Route::Health
        | Route::PutMessages { .. }
        | Route::CreateCursor { .. }
        | Route::GetMessages { .. }
        | Route::Commit { .. }
        | Route::Heartbeat { .. }
        | Route::CreateGroupCursor { .. }
        | Route::GetGroup { .. }
        | Route::UpdateGroup { .. } => Err(NotHanded::Moved),
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
            body: self.body.shared(),
        }
    }
}

/// What another front has handed over.
enum Given {
    Call(Box<Call>),
    Ensure(Body),
}

fn handed_call(request: Handed, body: Body) -> Result<Given, ApiError> {
    if request.path == EnsureStream::PATH {
        return Ok(Given::Ensure(body));
    }
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|_| ApiError::unknown_path(&request.method, &request.path))?;
    Ok(Given::Call(Box::new(Call {
        route: route(&method, &request.path)?,
        method,
        path: request.path,
        query: request.query,
        headers: wire_control::ControlHeaders {
            if_match: request.if_match,
            retry_token: request.retry_token,
        },
        body,
        is_handed: true,
    })))
}

fn reply(back: HandedBack, room: Option<OwnedSemaphorePermit>) -> Reply {
    let headers = back.headers.into_iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, value))
    });
    let room = room.and_then(|mut room| room.split(back.body.len().min(room.num_permits())));
    Reply::handed_back(back.status, (back.body, room), headers.collect())
}

fn moving() -> ApiError {
    ApiError::unavailable("This is moving to another front of the cluster. Try again")
}

fn lost(problem: &str) -> ApiError {
    ApiError::unavailable(format!(
        "The front that serves this has not answered, and may or may not have done it: {problem}"
    ))
}
