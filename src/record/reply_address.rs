//! Where a reply goes.

use crate::limits::ADDRESS_BYTES_MAX;
use crate::record::grammar::{is_path, is_web_url};

/// Where a reply goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyAddress {
    /// A path on this gateway that starts with one slash, with or without a query.
    Path(String),
    /// An absolute `http` or `https` URL. Nothing else has been checked.
    Url(String),
}

impl ReplyAddress {
    /// Reads an address of 1 to 8,192 visible ASCII characters.
    ///
    /// # Errors
    /// What is wrong with it. The text is written after the name of the header.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() || text.len() > ADDRESS_BYTES_MAX {
            return Err("must have 1 to 8192 characters");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("must be visible ASCII, percent-encoded");
        }
        if text.contains('#') {
            return Err("must not have a fragment (what follows a #)");
        }
        match text.as_bytes() {
            [b'/', ..] if !is_path(text) => Err("must not have a backslash"),
            [b'/', b'/', ..] => Err("must not start with two slashes"),
            [b'/', ..] => Ok(Self::Path(text.to_owned())),
            _ if is_web_url(text) => Ok(Self::Url(text.to_owned())),
            _ => Err("must be an absolute http or https URL or start with a slash"),
        }
    }

    /// Returns the address as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Path(text) | Self::Url(text) => text,
        }
    }
}
