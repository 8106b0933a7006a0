//! Where requests are sent.

use std::net::IpAddr;

use ureq::http::Uri;

/// A stream endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The URL as it was given, without slashes at the end.
    text: String,
    is_tls: bool,
    /// Host and port, as clients write them.
    authority: String,
    host: String,
    /// The prefix of the protocol's own paths: empty, or `/prefix`.
    prefix: String,
}

impl Endpoint {
    /// Reads a URL such as `http://127.0.0.1:8090`.
    ///
    /// # Errors
    /// Why this is not a valid endpoint.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim_end_matches('/');
        let bad = || {
            format!(
                "{text:?} is not a valid endpoint; write a URL such as http://127.0.0.1:8090 or \
                 https://cell-1.streaming.eu-frankfurt-1.oci.oraclecloud.com"
            )
        };
        let is_tls = text.starts_with("https://");
        if !is_tls && !text.starts_with("http://") {
            return Err(bad());
        }
        let uri: Uri = text.parse().map_err(|_| bad())?;
        let (Some(authority), Some(host)) = (uri.authority(), uri.host()) else {
            return Err(bad());
        };
        if host.is_empty() || authority.as_str().contains('@') || uri.query().is_some() {
            return Err(bad());
        }
        let authority = match uri.port_u16() {
            // Clients write `Host` without the default port, and the signature covers it in that
            // form.
            Some(port) if port == if is_tls { 443 } else { 80 } => host.to_owned(),
            Some(_) | None => authority.as_str().to_owned(),
        };
        Ok(Self {
            text: text.to_owned(),
            is_tls,
            authority,
            host: host.to_ascii_lowercase(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Returns the messages endpoint of Oracle's service in a region of its commercial realm.
    ///
    /// # Errors
    /// Why this is not a valid region.
    pub fn of_region(region: &str) -> Result<Self, String> {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if region.is_empty() || !region.bytes().all(is_name) {
            return Err(format!(
                "{region:?} is not a region such as eu-frankfurt-1; name the endpoint with \
                 --endpoint"
            ));
        }
        Self::parse(&format!(
            "https://cell-1.streaming.{region}.oci.oraclecloud.com"
        ))
    }

    /// Returns the endpoint that answers GetStream. Oracle's service has another host for its
    /// control plane: `streaming.REGION…` instead of `cell-N.streaming.REGION…`.
    #[must_use]
    pub fn control(&self) -> Self {
        let control = |name: &str| {
            let (cell, rest) = name.split_once('.')?;
            let number = cell.strip_prefix("cell-")?;
            let is_cell = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            (is_cell && rest.starts_with("streaming.")).then(|| rest.to_owned())
        };
        let (Some(authority), Some(host)) = (control(&self.authority), control(&self.host)) else {
            return self.clone();
        };
        let scheme = if self.is_tls { "https" } else { "http" };
        Self {
            text: format!("{scheme}://{authority}{}", self.prefix),
            is_tls: self.is_tls,
            authority,
            host,
            prefix: self.prefix.clone(),
        }
    }

    /// Returns the URL as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the value of `Host`.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns a path of the protocol, as it is requested.
    #[must_use]
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// Returns the URL of a path that [`Self::path`] has returned.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.authority)
    }

    /// Returns whether the endpoint is reached through TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Returns whether requests stay on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host == "localhost"
            || bare
                .parse()
                .is_ok_and(|address: IpAddr| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_without_user_and_query() {
        for (good, url, tls) in [
            ("http://127.0.0.1:8090", "http://127.0.0.1:8090/x", false),
            ("http://h/prefix/", "http://h/prefix/x", false),
            ("http://[::1]:1", "http://[::1]:1/x", false),
            ("https://h:443", "https://h/x", true),
            ("https://h:80", "https://h:80/x", true),
        ] {
            let endpoint = Endpoint::parse(good).unwrap();
            assert_eq!(endpoint.url(&endpoint.path("/x")), url);
            assert_eq!(endpoint.is_tls(), tls);
        }
        for bad in [
            "",
            "127.0.0.1:8090",
            "ftp://h",
            "http://",
            "http://a b",
            "http://user@h",
            "http://h?x",
        ] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let is_loopback = |url| Endpoint::parse(url).unwrap().is_loopback();
        for here in ["http://127.0.0.2:1", "http://localhost", "http://[::1]:1"] {
            assert!(is_loopback(here), "{here}");
        }
        for elsewhere in [
            "http://10.0.0.1",
            "http://localhost.example",
            "http://127.example",
        ] {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn the_control_plane_of_oracles_service_has_its_own_host() {
        let messages = Endpoint::of_region("eu-frankfurt-1").unwrap();
        let control = messages.control();
        let host = "streaming.eu-frankfurt-1.oci.oraclecloud.com";
        assert_eq!(control.authority(), host);
        assert_eq!(control.as_str(), format!("https://{host}"));
        for one in [
            "http://127.0.0.1:8090",
            "https://cell-x.streaming.h",
            "https://cell-1.h",
        ] {
            let endpoint = Endpoint::parse(one).unwrap();
            assert_eq!(endpoint.control(), endpoint);
        }
        assert!(Endpoint::of_region("evil.example/").is_err());
    }
}
