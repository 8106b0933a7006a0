//! Requests between fronts, over HTTP on a listener of their own.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::seal::{Code, Opened, Seal, Seen, Unopened, hex, unhex};
use super::translate::wall_ms;
use crate::fronts::{Handed, HandedBack, NotHanded};
use crate::http::{AnswerBody, App};
use crate::limits::{GET_BYTES_MAX, HEAD_BYTES_MAX, IDLE_TIMEOUT};

/// The one path of the listener.
const PATH: &str = "/front";
/// The fields that have the head of a request or an answer, and its code.
const HEAD: &str = "x-front-head";
const CODE: &str = "x-front-code";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest time that another front may take: as long as Kafka may take to confirm.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(40);
/// Connections to one front that are kept while nobody needs them.
const IDLE_MAX: usize = 32;
/// How long a connection has until it has brought a request with the fronts' secret.
const FIRST_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is told at most that requests were refused.
const REFUSALS_PAUSE: Duration = Duration::from_secs(60);
/// Connections of other fronts at a time.
const CONNECTIONS_MAX: usize = 1_024;
/// Bytes of what comes before a body: a client's head in base64, with what seals it.
const HEAD_BUFFER_BYTES: usize = 2 * HEAD_BYTES_MAX;
/// Bytes of an answer: JSON and base64 of the largest GetMessages, with foreign records' room.
const ANSWER_BYTES_MAX: usize = 8 * GET_BYTES_MAX;

type Sender = SendRequest<Full<Bytes>>;

/// The other fronts.
pub(super) struct Peers {
    seal: Seal,
    idle: Mutex<HashMap<String, Vec<Sender>>>,
}

impl Peers {
    pub(super) fn new(seal: Seal) -> Self {
        Self {
            seal,
            idle: Mutex::default(),
        }
    }

    /// Has the front at this URL serve a request.
    pub(super) async fn hand(
        &self,
        url: &str,
        slot: u32,
        epoch: u64,
        request: &Handed,
    ) -> Result<HandedBack, NotHanded> {
        let Some(authority) = url.strip_prefix("http://") else {
            return Err(NotHanded::Moved);
        };
        let authority = authority.trim_end_matches('/');
        let nonce = format!("{:032x}", fastrand::u128(..));
        let sealed = self.seal.seal(request, (slot, epoch), wall_ms(), nonce);
        let sent = self.send(authority, sealed, request.body.clone());
        let answered = tokio::time::timeout(ANSWER_TIMEOUT, sent).await;
        answered.unwrap_or_else(|_| Err(NotHanded::Lost("it takes too long".to_owned())))
    }

    async fn send(
        &self,
        authority: &str,
        (head, code): (Vec<u8>, Code),
        body: Bytes,
    ) -> Result<HandedBack, NotHanded> {
        let mut sender = self.sender(authority).await?;
        let lost = |error: &dyn std::fmt::Display| NotHanded::Lost(error.to_string());
        let request = Request::builder()
            .method(Method::POST)
            .uri(PATH)
            .header(HOST, authority)
            .header(CONTENT_LENGTH, body.len())
            .header(HEAD, STANDARD.encode(head))
            .header(CODE, hex(&code))
            .body(Full::new(body))
            .map_err(|error| lost(&error))?;
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| lost(&error))?;
        match response.status() {
            StatusCode::OK => {}
            // It has done nothing: it doesn't serve this any more, or has no room.
            StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE => return Err(NotHanded::Moved),
            status => return Err(lost(&format!("it answers {status}"))),
        }
        let opened = sealed_head(response.headers())
            .and_then(|(head, answer_code)| self.seal.open_back(&code, &head, &answer_code))
            .filter(|opened| opened.body.bytes <= ANSWER_BYTES_MAX)
            .ok_or_else(|| lost(&"its answer has another secret"))?;
        let body = Limited::new(response.into_body(), opened.body.bytes).collect();
        let body = body.await.map_err(|error| lost(&error))?.to_bytes();
        if !opened.body.fit(&body) {
            return Err(lost(&"its answer isn't whole"));
        }
        self.keep(authority, sender);
        Ok(HandedBack {
            status: opened.status,
            headers: opened.headers,
            body,
            room: None,
        })
    }

    /// Returns a connection. A front that can't be reached has done nothing.
    async fn sender(&self, authority: &str) -> Result<Sender, NotHanded> {
        loop {
            let known = self.idle().get_mut(authority).and_then(Vec::pop);
            let Some(mut sender) = known else {
                break;
            };
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(authority));
        let stream = connecting.await.ok().and_then(Result::ok);
        let stream = stream.ok_or(NotHanded::Moved)?;
        let _ = stream.set_nodelay(true);
        let shaken = handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|_| NotHanded::Moved)?;
        // Its errors come out of the requests too.
        drop(tokio::spawn(async move { drop(connection.await) }));
        Ok(sender)
    }

    fn keep(&self, authority: &str, sender: Sender) {
        let mut idle = self.idle();
        // Fronts that are gone for good leave closed connections behind.
        idle.values_mut()
            .for_each(|senders| senders.retain(|sender| !sender.is_closed()));
        idle.retain(|_, senders| !senders.is_empty());
        let senders = idle.entry(authority.to_owned()).or_default();
        if senders.len() < IDLE_MAX {
            senders.push(sender);
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<Sender>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the head of a request or an answer, with its code.
fn sealed_head(headers: &hyper::HeaderMap) -> Option<(Vec<u8>, Code)> {
    let code = unhex(headers.get(CODE)?.to_str().ok()?)?;
    let head = STANDARD.decode(headers.get(HEAD)?.as_bytes()).ok()?;
    Some((head, code))
}

/// The listener for other fronts, ended when this is dropped.
pub(crate) struct Listening(JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What serves other fronts.
struct Serving {
    app: Arc<App>,
    seal: Seal,
    seen: Mutex<Seen>,
    refusals: Mutex<Refusals>,
}

/// Requests that were refused. Whoever reaches the listener can send any number of them.
#[derive(Default)]
struct Refusals {
    told_at: Option<Instant>,
    untold: u64,
}

impl Refusals {
    /// Tells of one, and of those since it was told last, if that was long ago.
    fn tell(&mut self, peer: SocketAddr) {
        if self.told_at.is_some_and(|at| at.elapsed() < REFUSALS_PAUSE) {
            self.untold = self.untold.saturating_add(1);
            return;
        }
        self.told_at = Some(Instant::now());
        let untold = std::mem::take(&mut self.untold);
        tracing::warn!(
            %peer,
            untold,
            "a request for another front was refused: it has another secret, was seen before, or \
             comes from a machine whose clock differs by more than 30 seconds"
        );
    }
}

impl Listening {
    /// Serves other fronts.
    pub(super) fn start(listener: TcpListener, app: Arc<App>, seal: Seal) -> Self {
        let serving = Arc::new(Serving {
            app,
            seal,
            seen: Mutex::default(),
            refusals: Mutex::default(),
        });
        Self(tokio::spawn(accept(listener, serving)))
    }
}

async fn accept(listener: TcpListener, serving: Arc<Serving>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let serving = Arc::clone(&serving);
        tokio::spawn(async move {
            let _place = place;
            let is_known = Arc::new(AtomicBool::new(false));
            let knows = Arc::clone(&is_known);
            let service = service_fn(move |request| {
                let (serving, knows) = (Arc::clone(&serving), Arc::clone(&knows));
                async move { Ok::<_, Infallible>(serving.answer(request, peer, &knows).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .max_buf_size(HEAD_BUFFER_BYTES)
                .header_read_timeout(IDLE_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            let mut connection = std::pin::pin!(connection);
            // Errors are the other front's: it has gone away. A stranger keeps no place.
            if tokio::time::timeout(FIRST_TIMEOUT, &mut connection)
                .await
                .is_err()
                && is_known.load(Ordering::Relaxed)
            {
                let _ = connection.await;
            }
        });
    }
}

impl Serving {
    fn open(&self, headers: &hyper::HeaderMap) -> Result<(Opened, Code), Unopened> {
        let (head, code) = sealed_head(headers).ok_or(Unopened::Refused)?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = self.seal.open(&head, &code, wall_ms(), &mut seen)?;
        Ok((opened, code))
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        is_known: &AtomicBool,
    ) -> Response<AnswerBody> {
        if request.method() != Method::POST || request.uri().path() != PATH {
            return only(StatusCode::NOT_FOUND);
        }
        // Nothing of a body is read before this.
        let (opened, code) = match self.open(request.headers()) {
            Ok(opened) => opened,
            Err(Unopened::Busy) => return only(StatusCode::SERVICE_UNAVAILABLE),
            Err(Unopened::Refused) => {
                let refusals = self.refusals.lock();
                refusals.unwrap_or_else(PoisonError::into_inner).tell(peer);
                let mut refusal = only(StatusCode::UNAUTHORIZED);
                let close = HeaderValue::from_static("close");
                refusal.headers_mut().insert(CONNECTION, close);
                return refusal;
            }
        };
        is_known.store(true, Ordering::Relaxed);
        let Ok(body) = self.app.read_handed(request).await else {
            return only(StatusCode::SERVICE_UNAVAILABLE);
        };
        if !opened.body.fit(body.bytes()) {
            return only(StatusCode::UNAUTHORIZED);
        }
        let place = (opened.slot, opened.epoch);
        let app = Arc::clone(&self.app);
        // A front that goes away must not stop an operation half-way.
        let done =
            tokio::spawn(async move { app.perform_handed(opened.request, body, place).await });
        match done.await {
            Ok(Some(answer)) => {
                let (head, answer_code) = self.seal.seal_back(&code, &answer);
                let mut response = Response::new(AnswerBody::held(answer.body, answer.room));
                let fields = [(HEAD, STANDARD.encode(head)), (CODE, hex(&answer_code))];
                for (name, value) in fields {
                    if let Ok(value) = value.try_into() {
                        response.headers_mut().insert(name, value);
                    }
                }
                response
            }
            Ok(None) => only(StatusCode::CONFLICT),
            Err(_) => only(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

fn only(status: StatusCode) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::whole(Bytes::new()));
    *response.status_mut() = status;
    response
}
