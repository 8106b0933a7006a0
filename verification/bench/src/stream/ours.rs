//! The stream server: PutMessages and GetMessages.

use std::borrow::Cow;

use anyhow::{Context, Result, bail};
use local_gateway::http;
use serde_json::{Value, json};
use testkit::http1::Request;
use testkit::http1::framing::{Kind, first};

use super::talk::{Taken, Talk};

/// The prefix that the stream server's own streams have.
const ID_PREFIX: &str = "ocid1.stream.oc1.local.";

/// PutMessages of one batch.
pub(crate) struct Put {
    request: Vec<u8>,
    batch: usize,
}

impl Put {
    pub(crate) fn new(stream: &str, batch: usize, bytes: usize) -> Self {
        let message = format!("{{\"key\":null,\"value\":\"{}\"}}", base64_of_x(bytes));
        let body = format!("{{\"messages\":[{}]}}", vec![message; batch].join(","));
        let path = format!("/20180418/streams/{ID_PREFIX}{stream}/messages");
        let request = Request::without_host("POST", &path)
            .field("host", "localhost")
            .field("content-type", "application/json")
            .body(body)
            .bytes();
        Self { request, batch }
    }
}

impl Talk for Put {
    fn request(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.request)
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn take(&mut self, received: &[u8]) -> Result<Option<Taken>> {
        let messages = self.batch;
        let Some(message) = first(Kind::Response, received, false)? else {
            return Ok(None);
        };
        if message.head.status() != Some(200) {
            bail!("{}", String::from_utf8_lossy(received));
        }
        let length = message.length;
        Ok(Some(Taken { length, messages }))
    }
}

/// GetMessages from the oldest message on.
pub(crate) struct Get {
    path: String,
    cursor: String,
    batch: usize,
}

impl Get {
    pub(crate) fn new(port: u16, stream: &str, batch: usize) -> Result<Self> {
        let path = format!("/20180418/streams/{ID_PREFIX}{stream}");
        let body = json!({ "partition": "0", "type": "TRIM_HORIZON" }).to_string();
        let url = format!("http://127.0.0.1:{port}{path}/cursors");
        let answer = http::post(&url, &[("content-type", "application/json")], &body)?;
        let answer = answer.json()?;
        let cursor = answer.get("value").and_then(Value::as_str);
        let cursor = cursor.context("no cursor")?.to_owned();
        Ok(Self {
            path,
            cursor,
            batch,
        })
    }
}

impl Talk for Get {
    fn request(&self) -> Cow<'_, [u8]> {
        let (path, cursor, limit) = (&self.path, &self.cursor, self.batch);
        format!(
            "GET {path}/messages?cursor={cursor}&limit={limit} HTTP/1.1\r\nhost: localhost\r\n\r\n"
        )
        .into_bytes()
        .into()
    }

    fn batch(&self) -> usize {
        // An answer may have fewer messages than asked for, and is complete all the same.
        1
    }

    fn take(&mut self, received: &[u8]) -> Result<Option<Taken>> {
        let Some(message) = first(Kind::Response, received, false)? else {
            return Ok(None);
        };
        let next = message.head.field("opc-next-cursor");
        let (Some(200), Some(next)) = (message.head.status(), next) else {
            bail!("{}", String::from_utf8_lossy(received));
        };
        self.cursor = String::from_utf8(next.to_vec())?;
        // Base64 has no braces, so each of them begins a message.
        let braces = |body: &&[u8]| memchr::memchr_iter(b'{', body).count();
        let messages = message.content.iter().map(braces).sum();
        let length = message.length;
        Ok(Some(Taken { length, messages }))
    }
}

/// Returns base64 (RFC 4648, section 4) of so many letters x.
fn base64_of_x(bytes: usize) -> String {
    let rest = match bytes % 3 {
        0 => "",
        1 => "eA==",
        _ => "eHg=",
    };
    "eHh4".repeat(bytes / 3) + rest
}
