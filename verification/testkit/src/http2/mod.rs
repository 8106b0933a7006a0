//! HTTP/2 over clear text, with prior knowledge: many requests at a time, each as slow as its
//! client likes. [`blocking`] waits in its thread; [`raw`] takes any bytes as fields.

pub mod blocking;
pub mod raw;

use std::net::Ipv4Addr;

use anyhow::Result;
use bytes::Bytes;
use h2::client::{self, ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::{Field, PATIENCE, field};

/// A request of HTTP/2.
pub type Request = crate::request::Request<Frames>;

/// What follows the head of a request.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    /// The content, one `DATA` frame each.
    pub data: Vec<Vec<u8>>,
    /// Fields after the content.
    pub trailers: Vec<Field>,
}

impl Request {
    /// Adds a frame of content.
    #[must_use]
    pub fn frame(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.content.data.push(bytes.as_ref().to_vec());
        self
    }

    /// Adds a trailer.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.content.trailers.push(field(name, value));
        self
    }

    fn head(&self) -> Result<http::Request<()>> {
        let is_host = |(name, _): &&Field| name.eq_ignore_ascii_case(b"host");
        let host = self.fields.iter().find(is_host);
        let authority = host.map(|(_, value)| String::from_utf8_lossy(value));
        let uri = format!("http://{}{}", authority.unwrap_or_default(), self.path);
        let mut head = http::Request::builder()
            .method(self.method.as_str())
            .uri(uri)
            .version(http::Version::HTTP_2)
            .body(())?;
        *head.headers_mut() = map(self.fields.iter().filter(|field| !is_host(field)))?;
        Ok(head)
    }
}

/// Returns fields with their names in lower case (RFC 9113 §8.2).
fn map<'a>(fields: impl IntoIterator<Item = &'a Field>) -> Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name)?;
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
    /// Returns the first value of a field as text; empty if it isn't there.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        let value = self.headers.get(name).map(HeaderValue::as_bytes);
        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
    }
}

/// A connection with many requests at a time. It ends with its last handle.
pub struct Connection {
    sender: SendRequest<Bytes>,
    driver: JoinHandle<()>,
}

impl Connection {
    /// Connects to a port of this machine.
    ///
    /// # Errors
    /// When nobody there speaks HTTP/2.
    pub async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = client::handshake(stream).await?;
        let driver = tokio::spawn(async move {
            // The exchanges show how it ended.
            let _ended = connection.await;
        });
        Ok(Self { sender, driver })
    }

    /// Sends the head of a request, whose content follows.
    ///
    /// # Errors
    /// When the connection breaks, or takes no more requests for [`PATIENCE`].
    pub async fn begin(&self, request: &Request) -> Result<Exchange> {
        begin(self.sender.clone(), request, false).await
    }

    /// Breaks the connection without closing it properly.
    pub fn abandon(&self) {
        self.driver.abort();
    }
}

async fn begin(sender: SendRequest<Bytes>, request: &Request, is_end: bool) -> Result<Exchange> {
    let mut sender = timeout(PATIENCE, sender.ready()).await??;
    let (answer, body) = sender.send_request(request.head()?, is_end)?;
    Ok(Exchange { answer, body })
}

/// Makes a whole request.
async fn exchange(sender: SendRequest<Bytes>, request: Request) -> Result<Response> {
    let Frames { data, trailers } = &request.content;
    let mut exchange = begin(sender, &request, data.is_empty() && trailers.is_empty()).await?;
    let last = data.len().saturating_sub(1);
    for (index, frame) in data.iter().enumerate() {
        exchange.send(frame.clone(), index == last && trailers.is_empty())?;
    }
    if !trailers.is_empty() {
        exchange.trailers(trailers)?;
    }
    exchange.response().await
}

/// A request that is under way.
pub struct Exchange {
    answer: ResponseFuture,
    body: SendStream<Bytes>,
}

impl Exchange {
    /// Sends a piece of the content.
    ///
    /// # Errors
    /// When the request or its connection was ended.
    pub fn send(&mut self, bytes: Vec<u8>, is_end: bool) -> Result<()> {
        Ok(self.body.send_data(bytes.into(), is_end)?)
    }

    /// Ends the request by fields after its content.
    ///
    /// # Errors
    /// When the request or its connection was ended.
    pub fn trailers(&mut self, fields: &[Field]) -> Result<()> {
        Ok(self.body.send_trailers(map(fields)?)?)
    }

    /// Takes the request back (RFC 9113 §8.7).
    pub fn reset(mut self) {
        self.body.send_reset(Reason::CANCEL);
    }

    /// Waits for the response.
    ///
    /// # Errors
    /// When the request or its connection was ended, or after [`PATIENCE`].
    pub async fn response(self) -> Result<Response> {
        timeout(PATIENCE, self.whole()).await?
    }

    async fn whole(self) -> Result<Response> {
        // It is kept until everything has come, because dropping it would take the request back.
        let _body = self.body;
        let (head, mut content) = self.answer.await?.into_parts();
        let mut body = Vec::new();
        while let Some(bytes) = content.data().await {
            let bytes = bytes?;
            content.flow_control().release_capacity(bytes.len())?;
            body.extend_from_slice(&bytes);
        }
        Ok(Response {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }
}
