//! A client for HTTP/2 over clear text, with prior knowledge.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use crate::message::Field;

const PATIENCE: Duration = Duration::from_secs(60);

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// `:authority`.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// Fields, with lower-case names.
    pub fields: Vec<Field>,
    /// The content, one `DATA` frame each.
    pub frames: Vec<Vec<u8>>,
    /// Fields after the content.
    pub trailers: Vec<Field>,
}

impl Request {
    /// A request without content.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            authority: "gateway.test".to_owned(),
            path: path.to_owned(),
            fields: Vec::new(),
            frames: Vec::new(),
            trailers: Vec::new(),
        }
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref().to_vec();
        self.fields.push((name.as_bytes().to_vec(), value));
        self
    }

    /// Adds the mark that makes a call of it.
    #[must_use]
    pub fn marked(self) -> Self {
        self.field("prefer", "respond-async")
    }

    /// Adds a frame of content.
    #[must_use]
    pub fn frame(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.frames.push(bytes.as_ref().to_vec());
        self
    }

    /// Adds a trailer.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.into(), value.into()));
        self
    }

    fn head(&self) -> Result<http::Request<()>> {
        let uri = format!("http://{}{}", self.authority, self.path);
        let mut head = http::Request::builder()
            .method(self.method.as_str())
            .uri(uri)
            .version(http::Version::HTTP_2)
            .body(())?;
        *head.headers_mut() = map(&self.fields)?;
        Ok(head)
    }
}

fn map(fields: &[Field]) -> Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_lowercase(name)?;
        map.append(name, HeaderValue::from_bytes(value)?);
    }
    Ok(map)
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Fields.
    pub headers: HeaderMap,
    /// The content.
    pub body: Vec<u8>,
}

impl Response {
    /// The first value of a field as text; empty if it isn't there.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        let value = self.headers.get(name).map(HeaderValue::as_bytes);
        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
    }
}

/// A connection.
pub struct Connection {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
}

impl Connection {
    /// Connects to a port of this machine.
    ///
    /// # Errors
    /// When nobody there speaks HTTP/2.
    pub fn open(port: u16) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
            let (sender, connection) = client::handshake(stream).await?;
            tokio::spawn(connection);
            anyhow::Ok(sender)
        })?;
        Ok(Self { runtime, sender })
    }

    /// Makes one request.
    ///
    /// # Errors
    /// When there is no response within a minute.
    pub fn exchange(&self, request: &Request) -> Result<Response> {
        let mut responses = self.exchange_all(vec![request.clone()]);
        responses.pop().context("one response")?
    }

    /// Makes all of these requests at the same time, and gives their responses in order.
    #[must_use]
    pub fn exchange_all(&self, requests: Vec<Request>) -> Vec<Result<Response>> {
        self.runtime.block_on(async {
            let tasks = requests.into_iter().map(|request| {
                let exchange = exchange(self.sender.clone(), request);
                tokio::spawn(tokio::time::timeout(PATIENCE, exchange))
            });
            let tasks: Vec<_> = tasks.collect();
            let mut responses = Vec::new();
            for task in tasks {
                let response = task.await.expect("no task panics");
                responses.push(response.context("no response").flatten());
            }
            responses
        })
    }
}

impl Connection {
    /// Makes all of these requests at the same time, and breaks the connection as soon as the
    /// first response is there.
    pub fn leave_during(self, requests: Vec<Request>) {
        self.runtime.block_on(async {
            let (first, mut arrived) = tokio::sync::mpsc::unbounded_channel();
            for request in requests {
                let (exchange, first) = (exchange(self.sender.clone(), request), first.clone());
                tokio::spawn(async move { first.send(exchange.await.is_ok()) });
            }
            arrived.recv().await
        });
    }
}

async fn exchange(sender: SendRequest<Bytes>, request: Request) -> Result<Response> {
    let mut sender = sender.ready().await?;
    let is_head_only = request.frames.is_empty() && request.trailers.is_empty();
    let (response, mut body) = sender.send_request(request.head()?, is_head_only)?;
    let last = request.frames.len().saturating_sub(1);
    for (index, frame) in request.frames.iter().enumerate() {
        let is_end = index == last && request.trailers.is_empty();
        body.send_data(Bytes::from(frame.clone()), is_end)?;
    }
    if !request.trailers.is_empty() {
        body.send_trailers(map(&request.trailers)?)?;
    }
    let (head, mut content) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(bytes) = content.data().await {
        let bytes = bytes?;
        content.flow_control().release_capacity(bytes.len())?;
        body.extend_from_slice(&bytes);
    }
    let (status, headers) = (head.status.as_u16(), head.headers);
    Ok(Response {
        status,
        headers,
        body,
    })
}
