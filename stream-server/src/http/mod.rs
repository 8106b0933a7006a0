//! HTTP: routes to operations and back. No logic of its own.

mod body;
pub(crate) mod connection;
mod control;
mod data;
mod respond;
mod route;
mod wire;

use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use tokio::sync::Semaphore;

use crate::limits::{ANSWERS_BYTES_MAX, BODIES_BYTES_MAX};
use crate::refusal::Refusal;
use crate::service::Service;
use crate::time::Clock;
pub(crate) use respond::Reply;
pub(crate) use respond::Response;
use respond::request_id;
pub(crate) use route::{Route, route};

/// What all requests share.
pub(crate) struct App {
    /// The operations.
    service: Arc<Service>,
    /// The only place that time comes from.
    clock: Clock,
    /// What clients are told to send messages to: scheme, host and port.
    external_url: String,
    /// Room for bodies, in bytes.
    bodies_room: Arc<Semaphore>,
    /// Room for answers of GetMessages, in bytes.
    answers_room: Arc<Semaphore>,
}

impl App {
    pub(crate) fn new(service: Arc<Service>, clock: Clock, external_url: String) -> Self {
        let bodies_room = Arc::new(Semaphore::new(BODIES_BYTES_MAX));
        let answers_room = Arc::new(Semaphore::new(ANSWERS_BYTES_MAX));
        Self {
            service,
            clock,
            external_url,
            bodies_room,
            answers_room,
        }
    }

    /// Answers one request. Every way out is an answer with a JSON body and a request id.
    pub(crate) async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Response {
        let id = request_id(request.headers());
        match self.answer(request).await {
            Ok(reply) => reply.into_response(&id),
            Err(refusal) => Reply::refusal(&refusal).into_response(&id),
        }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Reply, Refusal> {
        let route = route(request.method(), request.uri().path())?;
        let query = request.uri().query().unwrap_or_default().to_owned();
        let body = body::read(request, &self.bodies_room).await?;
        let work = async move { self.perform(route, &query, body.bytes()).await };
        // A task of its own, because a client that goes away must not stop an operation half-way.
        let done = tokio::spawn(work).await;
        done.unwrap_or_else(|_| Err(Refusal::internal("The operation ended unexpectedly")))
    }

    /// Does what a request asks for.
    pub(crate) async fn perform(
        &self,
        route: Route,
        query: &str,
        body: &[u8],
    ) -> Result<Reply, Refusal> {
        match route {
            Route::Health => Ok(Reply::json(200, &wire::Health { status: "ready" })),
            Route::CreateStream => self.create_stream(body).await,
            Route::ListStreams => self.list_streams(query).await,
            Route::GetStream { stream } => self.get_stream(&stream).await,
            Route::PutMessages { stream } => self.put_messages(&stream, body).await,
            Route::GetMessages { stream } => self.get_messages(&stream, query).await,
            Route::CreateCursor { stream } => self.create_cursor(&stream, body).await,
            Route::CreateGroupCursor { stream } => self.create_group_cursor(&stream, body).await,
            Route::Commit { stream } => self.commit(&stream, query).await,
            Route::Heartbeat { stream } => self.heartbeat(&stream, query).await,
            Route::GetGroup { stream, group } => self.get_group(&stream, &group).await,
            Route::UpdateGroup { stream, group } => self.update_group(&stream, &group, body).await,
        }
    }
}
