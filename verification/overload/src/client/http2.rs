//! HTTP/2 over clear text, with prior knowledge.

use std::net::Ipv4Addr;

use anyhow::Result;
use bytes::Bytes;
use h2::client::{self, ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::{HeaderMap, HeaderValue, Request};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Answer, Ended, PATIENCE};

/// A connection with many requests at a time.
pub(crate) struct Connection {
    sender: SendRequest<Bytes>,
    driver: JoinHandle<()>,
}

/// A request that is under way.
pub(crate) struct Exchange {
    answer: ResponseFuture,
    body: SendStream<Bytes>,
}

impl Connection {
    /// Connects to a port of this machine.
    pub(crate) async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = client::handshake(stream).await?;
        let driver = tokio::spawn(async move {
            // How it ended shows in the exchanges.
            let _ended = connection.await;
        });
        Ok(Self { sender, driver })
    }

    /// Sends the head of a marked `POST` whose body follows.
    pub(crate) async fn begin(&self, path: &str, more: HeaderMap) -> Result<Exchange> {
        let uri = format!("http://overload.test{path}");
        let mut head = Request::post(uri).body(())?;
        *head.headers_mut() = more;
        let prefer = HeaderValue::from_static("respond-async");
        head.headers_mut().insert("prefer", prefer);
        let mut sender = timeout(PATIENCE, self.sender.clone().ready()).await??;
        let (answer, body) = sender.send_request(head, false)?;
        Ok(Exchange { answer, body })
    }

    /// Breaks the connection without a word.
    pub(crate) fn abandon(self) {
        self.driver.abort();
    }
}

impl Exchange {
    /// Sends a piece of the body.
    pub(crate) fn send(&mut self, bytes: usize, is_end: bool) -> Result<()> {
        Ok(self
            .body
            .send_data(Bytes::from(vec![b'x'; bytes]), is_end)?)
    }

    /// Ends the request by fields after its body.
    pub(crate) fn trailers(&mut self, fields: HeaderMap) -> Result<()> {
        Ok(self.body.send_trailers(fields)?)
    }

    /// Takes the request back (RFC 9113 §8.7).
    pub(crate) fn reset(mut self) {
        self.body.send_reset(Reason::CANCEL);
    }

    /// Waits for the answer.
    pub(crate) async fn answer(self) -> Ended {
        match timeout(PATIENCE, self.answer).await {
            Ok(Ok(response)) => Ended::Answered(Answer {
                status: response.status().as_u16(),
                has_retry_after: response.headers().contains_key("retry-after"),
                is_last: false,
                call_id: response
                    .headers()
                    .get("async-call-id")
                    .and_then(|value| value.to_str().ok())
                    .map(str::to_owned),
            }),
            Ok(Err(_)) => Ended::Closed,
            Err(_) => Ended::Hung,
        }
    }
}
