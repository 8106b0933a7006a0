//! A request, byte by byte.

use crate::{Field, field};

/// A request, line by line.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// All field lines in their order, `Host` among them.
    pub fields: Vec<Field>,
    /// What follows the head on the wire.
    pub content: Vec<u8>,
}

impl Request {
    /// A request with a `Host` and nothing else.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        Self::without_host(method, path).field("Host", "gateway.test")
    }

    /// A request that still needs its `Host`.
    #[must_use]
    pub fn without_host(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            fields: Vec::new(),
            content: Vec::new(),
        }
    }

    /// Adds a field line.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push(field(name, value));
        self
    }

    /// Adds field lines.
    #[must_use]
    pub fn fields(mut self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.fields.extend(fields);
        self
    }

    /// Adds the mark that makes a call of it.
    #[must_use]
    pub fn marked(self) -> Self {
        self.field("Prefer", "respond-async")
    }

    /// Adds content of a known length.
    #[must_use]
    pub fn body(self, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut request = self.field("Content-Length", body.len().to_string());
        request.content = body.to_vec();
        request
    }

    /// Adds content in chunks.
    #[must_use]
    pub fn chunks(self, chunks: &[&[u8]]) -> Self {
        self.chunks_and_trailers(chunks, &[])
    }

    /// Adds content in chunks, and field lines after it.
    #[must_use]
    pub fn chunks_and_trailers(self, chunks: &[&[u8]], trailers: &[Field]) -> Self {
        let mut request = self.field("Transfer-Encoding", "chunked");
        let content = &mut request.content;
        for chunk in chunks {
            content.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            content.extend_from_slice(chunk);
            content.extend_from_slice(b"\r\n");
        }
        content.extend_from_slice(b"0\r\n");
        write_fields(content, trailers);
        request
    }

    /// All that precedes the content.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        write_fields(&mut bytes, &self.fields);
        bytes
    }

    /// What stands on the wire.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        [self.head(), self.content.clone()].concat()
    }
}

/// Field lines, and the empty line after them.
fn write_fields(bytes: &mut Vec<u8>, fields: &[Field]) {
    for (name, value) in fields {
        for part in [name.as_slice(), b": ", value, b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
}
