//! Where an explicit target or a reply address points: an absolute `http` or `https` URL.
//!
//! One spelling has one meaning. Everything that two parsers could read differently is refused,
//! because the allow-list judges what this parser has read and Envoy calls what its parser reads.
//! The called URL is written anew from the members of [`TargetUrl`], never copied from the caller's
//! text.

mod error;
mod host;

use fluent_uri::Uri;
use fluent_uri::component::{Authority, Host as UriHost};

use crate::limits::DESTINATION_BYTES_MAX;

pub use error::TargetError;
pub use host::Host;

/// The schemes that Envoy calls (RFC 9110 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// Plain text, port 80 by default (RFC 9110 §4.2.1).
    Http,
    /// Over TLS, port 443 by default (RFC 9110 §4.2.2).
    Https,
}

impl Scheme {
    /// Returns the scheme as URLs and `:scheme` have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Returns the port of a URL without one.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A URL that was read (RFC 3986, RFC 9110 §4.2), in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetUrl {
    /// How it is called.
    pub scheme: Scheme,
    /// Its host.
    pub host: Host,
    /// 1 to 65,535; the scheme's own if the URL has none.
    pub port: u16,
    /// Path and query exactly as given, `/` where the path is empty (RFC 9110 §4.2.3).
    pub path_and_query: String,
}

impl TargetUrl {
    /// Reads an absolute URL.
    ///
    /// # Errors
    /// Anything other than a plain `http` or `https` URL of at most [`DESTINATION_BYTES_MAX`]
    /// bytes. The error says what to change.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        // The parser accepts only ASCII and allows neither controls nor `\`. They are looked for
        // first, because an error that names them helps more.
        check_characters(text)?;
        // fluent-uri: RFC 3986 to the letter and nothing besides. `url` follows the WHATWG, which
        // repairs (`http:\\h`, tabs, `0x7f.1`) and brings ICU's tables into the filter; `http::Uri`
        // takes what RFC 3986 refuses; iri-string does the same job in more code.
        let uri = Uri::parse(text).map_err(|error| TargetError::Syntax {
            position: error.index(),
        })?;
        let scheme = match uri.scheme().as_str() {
            scheme if scheme.eq_ignore_ascii_case("https") => Scheme::Https,
            scheme if scheme.eq_ignore_ascii_case("http") => Scheme::Http,
            _ => return Err(TargetError::Scheme),
        };
        let authority = uri.authority().ok_or(TargetError::EmptyHost)?;
        if authority.has_userinfo() {
            return Err(TargetError::UserInfo);
        }
        if uri.has_fragment() {
            return Err(TargetError::Fragment);
        }
        let host = read_host(&authority)?;
        let port = read_port(&authority, scheme)?;
        let mut path_and_query = uri.path().as_str().to_owned();
        if path_and_query.is_empty() {
            path_and_query.push('/');
        }
        if let Some(query) = uri.query() {
            path_and_query.push('?');
            path_and_query.push_str(query.as_str());
        }
        Ok(Self {
            scheme,
            host,
            port,
            path_and_query,
        })
    }

    /// Returns host and port as `Host` and `:authority` have them (RFC 9110 §7.2): the port only if
    /// it isn't the scheme's own, IPv6 in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Returns the path without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }
}

fn check_characters(text: &str) -> Result<(), TargetError> {
    if text.len() > DESTINATION_BYTES_MAX {
        return Err(TargetError::TooLong);
    }
    for (position, character) in text.char_indices() {
        if !character.is_ascii() {
            return Err(TargetError::NotAscii { position });
        }
        if character == '\\' {
            return Err(TargetError::Backslash { position });
        }
        if character.is_ascii_control() || character == ' ' {
            return Err(TargetError::ControlOrSpace { position });
        }
    }
    check_authority(text)
}

/// Refuses authorities that deserve an error message of their own: RFC 3986 doesn't allow them, or
/// it does and this gateway doesn't. Once `\`, controls and non-ASCII are excluded, every parser
/// finds the same end of an authority.
fn check_authority(text: &str) -> Result<(), TargetError> {
    let Some((_, rest)) = text.split_once("://") else {
        return Err(TargetError::NotAbsolute);
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(TargetError::UserInfo);
    }
    if authority.contains('%') {
        let is_zone = authority.starts_with('[');
        return Err(if is_zone {
            TargetError::ZoneId
        } else {
            TargetError::EncodedHost
        });
    }
    Ok(())
}

fn read_host(authority: &Authority<'_>) -> Result<Host, TargetError> {
    match authority.host_parsed() {
        UriHost::Ipv4(address) => Ok(Host::V4(address)),
        UriHost::Ipv6(address) => Ok(Host::V6(address)),
        UriHost::RegName(name) => Host::name(name.as_str()),
        // `[v1.x]`: such a version was never defined (RFC 3986 §3.2.2).
        _ => Err(TargetError::UnknownAddressVersion),
    }
}

fn read_port(authority: &Authority<'_>, scheme: Scheme) -> Result<u16, TargetError> {
    let Some(port) = authority.port() else {
        return Ok(scheme.default_port());
    };
    // `http://h:/` is valid (RFC 3986 §3.2.3), but more often the port was lost by mistake.
    let digits = port.as_str();
    if digits.starts_with('0') {
        return Err(TargetError::Port);
    }
    digits.parse().map_err(|_| TargetError::Port)
}
