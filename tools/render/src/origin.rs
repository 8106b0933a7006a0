//! Where a server is: scheme, host and port.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;

/// A server's origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    host: String,
    port: u16,
    tls: bool,
}

impl Origin {
    /// A server on this machine.
    #[must_use]
    pub fn local(port: u16) -> Self {
        Self {
            host: "127.0.0.1".into(),
            port,
            tls: false,
        }
    }

    /// The name or the address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; the scheme's own where the URL has none.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is https.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether the host is an address and no name.
    #[must_use]
    pub fn is_address(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok()
    }

    /// What requests to it have as their `Host`: no port where it is the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        let own = if self.tls { 443 } else { 80 };
        if self.port == own {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        if self.host.contains(':') {
            write!(formatter, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// Why a text is not the URL of an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginError(String);

impl fmt::Display for OriginError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for OriginError {}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let refused = |why: &str| Err(OriginError(why.to_owned()));
        let Ok(uri) = text.parse::<Uri>() else {
            return Err(OriginError(format!("'{text}' is no URL")));
        };
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(other) => {
                let why = format!("the scheme has to be http or https, not {other}");
                return Err(OriginError(why));
            }
            None => return refused("a URL such as http://127.0.0.1:3000 is needed"),
        };
        let Some(host) = uri.host().filter(|host| !host.is_empty()) else {
            return refused("the URL has no host");
        };
        if uri.path() != "/" || uri.query().is_some() {
            return refused("a target is a host and a port: the requests bring their own paths");
        }
        let authority = uri.authority().map(http::uri::Authority::as_str);
        if authority.is_some_and(|authority| authority.contains('@')) {
            return refused("a target cannot have a user name or a password");
        }
        let default_port = if tls { 443 } else { 80 };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Self {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(default_port),
            tls,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_schemes_hosts_and_ports() {
        let written = |text: &str| text.parse::<Origin>().unwrap().to_string();
        assert_eq!(written("http://localhost:3000"), "http://localhost:3000");
        assert_eq!(written("https://a.example/"), "https://a.example:443");
        assert_eq!(written("http://[::1]:80"), "http://[::1]:80");
        let authority = |text: &str| text.parse::<Origin>().unwrap().authority();
        assert_eq!(authority("https://a.example"), "a.example");
        assert_eq!(authority("http://[::1]:8090"), "[::1]:8090");
        for wrong in [
            "localhost:3000",
            "ftp://a",
            "http://a/path",
            "http://a/?q",
            "http://u:p@a",
            "",
        ] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
    }
}
