//! The common parts of requests of both versions of HTTP: a method, a path, fields, and content.

use crate::{Field, field};

/// A request that is built up part by part. `C` is the content as its version of HTTP sends it.
///
/// HTTP/2 sends a `Host` field as `:authority`.
#[derive(Clone, Debug)]
pub struct Request<C> {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// All fields in their order, `Host` among them. HTTP/1.1 keeps the case of their names,
    /// HTTP/2 has them in lower case.
    pub fields: Vec<Field>,
    /// What follows the head.
    pub content: C,
}

impl<C: Default> Request<C> {
    /// Returns a request with a `Host` and nothing else.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        Self::without_host(method, path).field("Host", "gateway.test")
    }

    /// Returns a request that still needs its `Host`.
    #[must_use]
    pub fn without_host(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            fields: Vec::new(),
            content: C::default(),
        }
    }
}

impl<C> Request<C> {
    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push(field(name, value));
        self
    }

    /// Adds fields.
    #[must_use]
    pub fn fields(mut self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.fields.extend(fields);
        self
    }

    /// Adds the preference that makes the request a call.
    #[must_use]
    pub fn marked(self) -> Self {
        self.field("Prefer", "respond-async")
    }
}
