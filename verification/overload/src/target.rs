//! The target: it takes everything and remembers which calls have arrived.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, server};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// Calls to paths with this prefix fail at their first attempt.
pub(crate) const FLAKY: &str = "/flaky";

/// Calls to this path are answered with 30 MiB.
pub(crate) const LONG: &str = "/answer-long";

/// The answer to calls to this path never ends.
pub(crate) const ENDLESS: &str = "/answer-endless";

/// Content that is made while it is sent, so that this process keeps none of it.
#[derive(Debug)]
struct Content {
    left: u64,
    piece: Bytes,
}

impl Content {
    fn of(path: &str) -> Self {
        let left = match path {
            LONG => 30 << 20,
            ENDLESS => u64::MAX,
            _ => 2,
        };
        Self {
            left,
            piece: Bytes::from_static(&[b'x'; 16_384]),
        }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let size = self.left.min(self.piece.len() as u64);
        self.left -= size;
        let piece = self.piece.slice(..usize::try_from(size).unwrap_or(0));
        Poll::Ready((size > 0).then(|| Ok(Frame::data(piece))))
    }
}

/// How often each call has arrived.
type Arrivals = Arc<Mutex<BTreeMap<String, u32>>>;

/// The running target; it ends with the program.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    port: u16,
    arrivals: Arrivals,
}

impl Target {
    /// Starts a target on a free port.
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let arrivals = Arrivals::default();
        let target = Self {
            port,
            arrivals: Arc::clone(&arrivals),
        };
        tokio::spawn(async move {
            loop {
                // A connection that broke before it was accepted doesn't matter.
                if let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&arrivals)));
                }
            }
        });
        Ok(target)
    }

    /// Returns its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns how many of these calls have not arrived yet.
    pub(crate) fn missing(&self, calls: &[String]) -> usize {
        let arrivals = lock(&self.arrivals);
        let calls = calls.iter();
        calls.filter(|call| !arrivals.contains_key(*call)).count()
    }

    /// Returns how many different calls have arrived.
    pub(crate) fn calls(&self) -> usize {
        lock(&self.arrivals).len()
    }
}

async fn serve(stream: TcpStream, arrivals: Arrivals) {
    let service = service_fn(|request| answer(request, Arc::clone(&arrivals)));
    let connection =
        server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // A gateway may end a connection.
    let _ended = connection.await;
}

async fn answer(
    request: Request<Incoming>,
    arrivals: Arrivals,
) -> Result<Response<Content>, Infallible> {
    let (head, body) = request.into_parts();
    let is_whole = body.collect().await.is_ok();
    let field = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let is_first = field("async-attempt") == Some("1");
    let mut response = Response::new(Content::of(head.uri.path()));
    if !is_whole || (is_first && head.uri.path().starts_with(FLAKY)) {
        *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        return Ok(response);
    }
    if let Some(call) = field("async-call-id") {
        *lock(&arrivals).entry(call.to_owned()).or_default() += 1;
    }
    Ok(response)
}

fn lock(arrivals: &Arrivals) -> MutexGuard<'_, BTreeMap<String, u32>> {
    arrivals.lock().unwrap_or_else(PoisonError::into_inner)
}
