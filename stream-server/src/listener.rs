//! Accepts connections, and serves each until it ends.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::connection_threads::ConnectionThreads;
use crate::connections::{Connections, Place, Seat};
use crate::http::connection::Connection;
use crate::http::{self, App, Dropped, Gate, Response};
use crate::limits::{HEAD_BYTES_MAX, SHUTDOWN_TIMEOUT};
use crate::ops::Ops;
use crate::request_log::RequestLog;

/// What all connections share.
pub(crate) struct Serving {
    pub(crate) app: Arc<App>,
    pub(crate) ops: Arc<Ops>,
    pub(crate) gate: Gate,
    pub(crate) connections: Arc<Connections>,
    pub(crate) idle_timeout: Duration,
}

/// The two ends of a connection.
#[derive(Clone, Copy)]
struct Ends {
    peer: SocketAddr,
    local: Option<IpAddr>,
}

/// Accepts connections until the server stops, then waits for those that are open.
pub(crate) async fn accept(
    listener: TcpListener,
    threads: ConnectionThreads,
    serving: Arc<Serving>,
    mut stop: watch::Receiver<bool>,
) {
    let mut open = JoinSet::new();
    'accepting: loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    serving.connections.relieve(&error).await;
                    continue;
                }
            },
            Some(_) = open.join_next() => continue,
            () = async { drop(stop.wait_for(|stop| *stop).await) } => break,
        };
        let place = loop {
            tokio::select! {
                place = serving.connections.admit(peer.ip()) => break place,
                Some(_) = open.join_next() => {}
                () = async { drop(stop.wait_for(|stop| *stop).await) } => break 'accepting,
            }
        };
        // The thread that serves it watches it from now on.
        let Ok(stream) = stream.into_std() else {
            continue;
        };
        let (serving, stop) = (Arc::clone(&serving), stop.clone());
        threads.serve(stream, &mut open, move |stream| async move {
            let connections = serving.ops.metrics.connections.clone();
            connections.inc();
            serve(stream, peer, place, serving, stop).await;
            connections.dec();
        });
    }
    drop(listener);
    let all_closed = async { while open.join_next().await.is_some() {} };
    // Requests that take longer are cut off when the set is dropped.
    let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, all_closed).await;
    drop(open);
    // Waits for the threads to end.
    let _ = tokio::task::spawn_blocking(move || drop(threads)).await;
}

/// Serves one connection until it ends, makes room for another, or the server stops and its request
/// is answered.
async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    serving: Arc<Serving>,
    mut stop: watch::Receiver<bool>,
) {
    // An answer that waits for an acknowledgement would cost 40 ms.
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().ok().map(|address| address.ip());
    let ends = Ends { peer, local };
    let (seat, idle_timeout) = (Arc::clone(place.seat()), serving.idle_timeout);
    let io = TokioIo::new(Connection::new(stream, Arc::clone(&seat), idle_timeout));
    let service = service_fn(move |request| {
        let (serving, seat) = (Arc::clone(&serving), Arc::clone(&seat));
        async move { serving.answer(request, ends, &seat).await }
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    let stopped = async { drop(stop.wait_for(|stop| *stop).await) };
    tokio::select! {
        // Errors are the client's fault: it has gone away, was too slow, or did not speak HTTP.
        _ = connection.as_mut() => {}
        () = place.told_to_leave() => {}
        () = stopped => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

impl Serving {
    async fn answer(
        &self,
        request: hyper::Request<Incoming>,
        ends: Ends,
        seat: &Arc<Seat>,
    ) -> Result<Response, Dropped> {
        let in_request = seat.begin();
        let route = http::route(request.method(), request.uri().path());
        // From a short list, because labels of metrics must be few.
        let operation = route.as_ref().map_or("Other", http::Route::operation);
        let told = RequestLog::begin(&request, ends.peer);
        let must_be_signed = self.app.must_be_signed(&route);
        let response = match self.gate.check(&request, ends.local, must_be_signed) {
            Err(api_error) => self.app.refuse(request, api_error).await,
            Ok(()) => match self.ops.answer(&request, seat).await {
                Some(response) => Ok(response),
                None => Arc::clone(&self.app).handle(route, request, seat).await,
            },
        };
        if let Ok(response) = &response {
            let status = response.status().as_u16();
            self.ops.metrics.count_request(operation, status);
        }
        if let Some(told) = told {
            told.end(operation, response.as_ref().ok());
        }
        drop(in_request);
        response
    }
}
