//! HTTP: routes to operations and back. No logic of its own.

mod answer_body;
mod body;
mod body_room;
pub(crate) mod connection;
mod control;
mod control_route;
mod data;
#[cfg_attr(
    not(feature = "kafka"),
    allow(dead_code, reason = "a build without Kafka has no other fronts")
)]
mod elsewhere;
mod gate;
mod messages_json;
mod pools;
mod respond;
mod route;
mod to_the_end;
mod verdict;
mod wire;
mod wire_control;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request};
use tokio::sync::Semaphore;

use crate::api_error::ApiError;
use crate::auth::Verifier;
use crate::connections::Seat;
use crate::faults::Faults;
use crate::fronts::Fronts;
use crate::limits::{ANSWERS_BYTES_MAX, BODIES_BYTES_MAX};
use crate::service::Service;
use crate::time::Clock;
pub(crate) use answer_body::AnswerBody;
use body_room::BodyRoom;
pub(crate) use gate::{Gate, parse_host};
pub(crate) use respond::{Dropped, REQUEST_ID, Reply, Response, request_id};
pub(crate) use route::{OPERATIONS, Route, route};
pub(crate) use to_the_end::ToTheEnd;

/// What all requests share.
pub(crate) struct App {
    /// The operations.
    service: Arc<Service>,
    /// The only source of the time.
    clock: Clock,
    /// What clients are told to send messages to: scheme, host and port.
    external_url: String,
    /// Verifies signatures; if absent, nobody does.
    verifier: Option<Verifier>,
    /// The faults to make; if absent, there can't be any.
    faults: Option<Faults>,
    /// The other servers of the same cluster; if absent, this one does everything itself.
    fronts: Option<Arc<dyn Fronts>>,
    /// Room for bodies, in bytes.
    bodies_room: Arc<BodyRoom>,
    /// Room for answers of GetMessages to clients, in bytes.
    answers_room: Arc<Semaphore>,
    /// The same for answers to other fronts. They hold room of the first kind meanwhile, so two
    /// fronts that ask each other would wait for each other.
    handed_answers_room: Arc<Semaphore>,
    /// The same for answers of other fronts to this one, which are waited for as long as the other
    /// front takes. One that stands still must not stop what this front reads itself.
    fetched_answers_room: Arc<Semaphore>,
}

impl App {
    pub(crate) fn new(
        service: Arc<Service>,
        clock: Clock,
        external_url: String,
        verifier: Option<Verifier>,
        faults: Option<Faults>,
    ) -> Self {
        let bodies_room = BodyRoom::new(BODIES_BYTES_MAX);
        let answers_room = || Arc::new(Semaphore::new(ANSWERS_BYTES_MAX));
        Self {
            service,
            clock,
            external_url,
            verifier,
            faults,
            fronts: None,
            bodies_room,
            answers_room: answers_room(),
            handed_answers_room: answers_room(),
            fetched_answers_room: answers_room(),
        }
    }

    /// Returns the same beside other servers of the same cluster.
    pub(crate) fn beside(self, fronts: Option<Arc<dyn Fronts>>) -> Self {
        Self { fronts, ..self }
    }

    /// Answers one request; method and path ask for this route. Every result is an answer with a
    /// JSON body and a request id, unless a rule of `/faults` says otherwise.
    ///
    /// # Errors
    /// [`Dropped`] if there must be no answer.
    pub(crate) async fn handle(
        self: Arc<Self>,
        route: Result<Route, ApiError>,
        request: Request<Incoming>,
        seat: &Seat,
    ) -> Result<Response, Dropped> {
        let id = request_id(request.headers());
        Reply::from(self.answer(route, request, seat).await).into_response(&id)
    }

    /// Refuses a request before it is looked at.
    ///
    /// # Errors
    /// None.
    pub(crate) async fn refuse(
        &self,
        request: Request<Incoming>,
        api_error: ApiError,
    ) -> Result<Response, Dropped> {
        let id = request_id(request.headers());
        body::discard_expected(request).await;
        Reply::api_error(&api_error).into_response(&id)
    }

    /// Returns whether a request for this route must be signed.
    pub(crate) fn must_be_signed(&self, route: &Result<Route, ApiError>) -> bool {
        self.verifier.is_some() && route.as_ref().is_ok_and(|route| *route != Route::Health)
    }

    async fn answer(
        self: Arc<Self>,
        route: Result<Route, ApiError>,
        request: Request<Incoming>,
        seat: &Seat,
    ) -> Result<Reply, ApiError> {
        if request.uri().path() == "/faults" && self.faults.is_some() {
            return Box::pin(self.answer_faults(request)).await;
        }
        let route = route?;
        let (method, uri) = (request.method().clone(), request.uri());
        let query = uri.query().unwrap_or_default().to_owned();
        // Only needed for another front.
        let path = self.fronts.as_ref().map(|_| uri.path().to_owned());
        let headers = wire_control::ControlHeaders::read(request.headers());
        let body = self.authenticated_body(&route, request).await?;
        seat.work();
        let call = Call {
            route,
            method,
            path: path.unwrap_or_default(),
            query,
            headers,
            body,
            is_handed: false,
        };
        // A client that goes away must not stop an operation half-way.
        let done = ToTheEnd::new(self.perform_with_faults(call)).await;
        done.unwrap_or_else(|_| Err(ApiError::internal("The operation ended unexpectedly")))
    }

    /// Sets, shows or removes the rules of `/faults`.
    async fn answer_faults(&self, request: Request<Incoming>) -> Result<Reply, ApiError> {
        let method = request.method().clone();
        let Some(faults) = &self.faults else {
            return Err(ApiError::unknown_path(method.as_str(), "/faults"));
        };
        let body = body::read(request, &self.bodies_room).await?;
        match method {
            Method::GET => Ok(Reply::json(200, &faults.list())),
            Method::PUT => Ok(Reply::json(200, &faults.replace(body.bytes())?)),
            Method::DELETE => {
                faults.clear();
                Ok(Reply::empty(204))
            }
            _ => Err(ApiError::method_not_allowed(
                method.as_str(),
                "GET, PUT or DELETE",
            )),
        }
    }

    /// Performs a request that did not come from a network.
    pub(crate) async fn perform_given(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        body: &[u8],
    ) -> Result<Reply, ApiError> {
        let call = Call {
            route: route(method, path)?,
            method: method.clone(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: wire_control::ControlHeaders::default(),
            body: body::Body::given(body),
            is_handed: false,
        };
        self.perform(&call).await
    }

    /// Performs the operation on this server.
    async fn perform_here(&self, call: &Call) -> Result<Reply, ApiError> {
        let (body, query) = (call.body.bytes(), call.query.as_str());
        match &call.route {
            Route::Health => Ok(Reply::json(200, &wire::Health { status: "ready" })),
            Route::PutMessages { stream, partition } => {
                self.put_messages((stream, *partition), body).await
            }
            Route::GetMessages { stream } => self.get_messages(stream, query, call.is_handed).await,
            Route::CreateCursor { stream } => self.create_cursor(stream, body).await,
            Route::CreateGroupCursor { stream } => self.create_group_cursor(stream, body).await,
            Route::Commit { stream } => self.commit(stream, query).await,
            Route::Heartbeat { stream } => self.heartbeat(stream, query).await,
            Route::GetGroup { stream, group } => self.get_group(stream, group).await,
            Route::UpdateGroup { stream, group } => self.update_group(stream, group, body).await,
            // Boxed, because it is larger than all others, and rare.
            Route::Control(control) => Box::pin(self.perform_control(control, call)).await,
        }
    }
}

/// Returns an answer with this content and nothing else.
pub(crate) fn plain(content: bytes::Bytes) -> Response {
    Response::new(AnswerBody::whole(content))
}

/// A request that is complete and may be performed.
struct Call {
    route: Route,
    method: Method,
    /// Empty if there are no other fronts.
    path: String,
    query: String,
    headers: wire_control::ControlHeaders,
    body: body::Body,
    /// Whether another front has handed it over.
    is_handed: bool,
}
