//! A request of HTTP/1.1, byte by byte.

use crate::Field;

/// A request of HTTP/1.1. Its content is what follows the head on the wire.
pub type Request = crate::request::Request<Vec<u8>>;

impl Request {
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

    /// Returns everything before the content.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        write_fields(&mut bytes, &self.fields);
        bytes
    }

    /// Returns the bytes on the wire.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        [self.head(), self.content.clone()].concat()
    }
}

/// Writes field lines, and the empty line after them.
fn write_fields(bytes: &mut Vec<u8>, fields: &[Field]) {
    for (name, value) in fields {
        for part in [name.as_slice(), b": ", value, b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
}
