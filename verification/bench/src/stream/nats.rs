//! NATS JetStream, in the text protocol of NATS clients.

use std::borrow::Cow;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use super::talk::{Taken, Talk, line, rate_of};

/// A request of JetStream, or many of the same kind at once.
pub(super) struct Ask {
    inbox: String,
    request: Vec<u8>,
    batch: usize,
}

impl Ask {
    /// Publishes a batch without waiting in between; each message is acknowledged.
    pub(super) fn publish(stream: &str, batch: usize, bytes: usize, number: usize) -> Self {
        let inbox = format!("_INBOX.put{number}");
        let request = publish(stream, &inbox, &"x".repeat(bytes)).repeat(batch);
        Self {
            inbox,
            request,
            batch,
        }
    }

    /// Pulls batches from the oldest message on, with a consumer of its own.
    pub(super) fn pull(port: u16, stream: &str, batch: usize, consumer: &str) -> Result<Self> {
        let config = json!({
            "name": consumer,
            "ack_policy": "none",
            "deliver_policy": "all",
            "mem_storage": true,
        });
        let details = json!({ "stream_name": stream, "config": config }).to_string();
        let subject = format!("$JS.API.CONSUMER.CREATE.{stream}.{consumer}");
        Self::once(port, &subject, &details)?;
        let inbox = format!("_INBOX.{consumer}");
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        let request = publish(&subject, &inbox, &json!({ "batch": batch }).to_string());
        Ok(Self {
            inbox,
            request,
            batch,
        })
    }

    /// Creates a stream with this name as its only subject.
    pub(super) fn create_stream(port: u16, stream: &str) -> Result<()> {
        let details = json!({ "name": stream, "subjects": [stream], "storage": "file" });
        let subject = format!("$JS.API.STREAM.CREATE.{stream}");
        Self::once(port, &subject, &details.to_string())
    }

    fn once(port: u16, subject: &str, payload: &str) -> Result<()> {
        let inbox = "_INBOX.once".to_owned();
        let request = publish(subject, &inbox, payload);
        let ask = Self {
            inbox,
            request,
            batch: 1,
        };
        rate_of(port, ask, 1).map(|_| ())
    }
}

impl Talk for Ask {
    fn opening(&self) -> Vec<u8> {
        let connect = json!({ "verbose": false, "pedantic": false, "headers": true });
        format!("CONNECT {connect}\r\nSUB {} 1\r\n", self.inbox).into_bytes()
    }

    fn request(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.request)
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn take(&mut self, received: &[u8]) -> Result<Option<Taken>> {
        let Some((head, rest)) = line(received) else {
            return Ok(None);
        };
        if head.starts_with(b"-ERR") || head.starts_with(b"HMSG") {
            bail!("NATS: {}", String::from_utf8_lossy(received).trim());
        }
        if !head.starts_with(b"MSG") {
            // INFO comes at the start, PING from time to time. More PINGs are due than this client
            // stays for.
            let length = head.len();
            return Ok(Some(Taken {
                length,
                messages: 0,
            }));
        }
        let size = std::str::from_utf8(head)?.split_ascii_whitespace().last();
        let size: usize = size.context("a message without a size")?.parse()?;
        let Some(payload) = rest.get(..size).filter(|_| rest.len() >= size + 2) else {
            return Ok(None);
        };
        if payload.starts_with(b"{\"error\"") || payload.starts_with(b"{\"type\"") {
            let text = String::from_utf8_lossy(payload);
            if text.contains("\"error\"") {
                bail!("JetStream: {text}");
            }
        }
        Ok(Some(Taken {
            length: head.len() + size + 2,
            messages: 1,
        }))
    }
}

fn publish(subject: &str, inbox: &str, payload: &str) -> Vec<u8> {
    let size = payload.len();
    format!("PUB {subject} {inbox} {size}\r\n{payload}\r\n").into_bytes()
}
