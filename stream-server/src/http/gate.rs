//! What a web page could send is refused before it is looked at.
//!
//! Whoever reaches a server without signatures may use it, and every page in a browser of this
//! machine reaches its loopback interface. Three things tell a page's requests from a program's:
//!
//! * `Origin`, which browsers add to all that a page sends elsewhere but plain GETs, whose answers
//!   it can't read;
//! * a content type that isn't JSON: a page needs permission to send JSON elsewhere, and gets none;
//! * `Host`, for a page whose own name leads to this machine by now (DNS rebinding): that is the
//!   page's name, and none of ours.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hyper::body::Body;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{Method, Request};

use crate::api_error::ApiError;

/// The names of this server, besides those of the loopback interface.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(BTreeSet<String>);

impl Gate {
    /// Returns a gate with names that [`parse_host`] has returned.
    pub(crate) fn new(hosts: impl IntoIterator<Item = String>) -> Self {
        Self(hosts.into_iter().collect())
    }

    /// Refuses a request that a page may have sent. A request that must be signed is signed for its
    /// `Host`, and a page has no key. `local` is the address at which the connection arrived.
    pub(crate) fn check<B: Body>(
        &self,
        request: &Request<B>,
        local: Option<IpAddr>,
        must_be_signed: bool,
    ) -> Result<(), ApiError> {
        if request.headers().contains_key(ORIGIN) {
            return Err(ApiError::of_a_page());
        }
        if !must_be_signed {
            self.check_host(host(request)?, local)?;
        }
        let is_write = ![Method::GET, Method::HEAD].contains(request.method());
        if is_write && !is_json(request.headers(), request.body().is_end_stream()) {
            return Err(ApiError::not_json());
        }
        Ok(())
    }

    fn check_host(&self, host: Authority, local: Option<IpAddr>) -> Result<(), ApiError> {
        let host = normal(host.host());
        let address: Option<IpAddr> = host.parse().ok();
        let is_here = |address: IpAddr| {
            address.is_loopback() || local.is_some_and(|local| local.to_canonical() == address)
        };
        let is_ours = address.is_some_and(is_here) || host == "localhost" || self.0.contains(&host);
        is_ours
            .then_some(())
            .ok_or_else(|| ApiError::foreign_host(&host))
    }
}

/// Returns the name by which the request calls this server (RFC 9112 §3.2: the target's authority,
/// else `Host`).
fn host<B>(request: &Request<B>) -> Result<Authority, ApiError> {
    if let Some(authority) = request.uri().authority() {
        return Ok(authority.clone());
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(ApiError::no_host());
    };
    Authority::try_from(host.as_bytes()).map_err(|_| ApiError::no_host())
}

/// Returns whether the content is JSON, or there is neither content nor a content type.
fn is_json(headers: &HeaderMap, is_empty: bool) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (kind, None) = (types.next(), types.next()) else {
        return false;
    };
    let Some(kind) = kind else {
        return is_empty;
    };
    let kind = kind.to_str().unwrap_or_default();
    let kind = kind.split_once(';').map_or(kind, |(kind, _)| kind);
    kind.trim().eq_ignore_ascii_case("application/json")
}

/// Returns the normal form of a name or an address: in lower case, without brackets and the last
/// dot.
fn normal(host: &str) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase(),
    }
}

/// Reads a name or an address by which clients may call the server, without a port.
///
/// # Errors
/// Why it is not valid.
pub(crate) fn parse_host(text: &str) -> Result<String, String> {
    let bare_v6 = text.parse::<std::net::Ipv6Addr>().is_ok();
    let authority = Authority::try_from(text).ok();
    let is_host = |authority: &Authority| authority.host() == text && !text.contains('*');
    match bare_v6 || authority.as_ref().is_some_and(is_host) {
        true => Ok(normal(text)),
        false => Err(format!(
            "{text:?} is not a valid host: write a name or an address without scheme and port, \
             such as stream.example"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, headers: &[(&str, &str)], body: &'static str) -> Request<String> {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(body.to_owned()).unwrap()
    }

    fn status(request: &Request<String>, must_be_signed: bool) -> u16 {
        let gate = Gate::new([parse_host("Stream.Example.").unwrap()]);
        let local = Some("192.0.2.7".parse().unwrap());
        match gate.check(request, local, must_be_signed) {
            Ok(()) => 200,
            Err(api_error) => api_error.status,
        }
    }

    #[test]
    fn only_our_own_names_are_served() {
        for (host, expected) in [
            ("localhost", 200),
            ("LocalHost:8090", 200),
            ("localhost.", 200),
            ("127.0.0.1:8090", 200),
            ("127.9.9.9", 200),
            ("[::1]:8090", 200),
            ("[::ffff:127.0.0.1]", 200),
            ("192.0.2.7:8090", 200),
            ("stream.example:1", 200),
            ("STREAM.example.", 200),
            ("192.0.2.8", 421),
            ("0.0.0.0:8090", 421),
            ("evil.example:8090", 421),
            ("localhost.evil.example", 421),
            ("127.0.0.1.evil.example", 421),
            ("localhost@evil.example", 421),
            ("evil.localhost", 421),
            ("2130706433", 421),
            ("", 400),
            ("a b", 400),
        ] {
            let get = request("GET", &[("host", host)], "");
            assert_eq!(status(&get, false), expected, "{host}");
            assert_eq!(status(&get, true), 200, "{host}: signed");
        }
        let twice = request("GET", &[("host", "localhost"), ("host", "localhost")], "");
        assert_eq!(status(&twice, false), 400);
        assert_eq!(status(&request("GET", &[], ""), false), 400);
        let mut absolute = request("GET", &[("host", "localhost")], "");
        *absolute.uri_mut() = "http://evil.example/".parse().unwrap();
        assert_eq!(status(&absolute, false), 421);
    }

    #[test]
    fn pages_are_refused_whoever_signs() {
        for origin in ["http://evil.example", "null", "http://localhost:8090", ""] {
            for method in ["GET", "POST"] {
                let headers = [
                    ("host", "localhost"),
                    ("origin", origin),
                    ("content-type", "application/json"),
                ];
                let page = request(method, &headers, "");
                assert_eq!(status(&page, false), 403, "{origin}");
                assert_eq!(status(&page, true), 403, "{origin}");
            }
        }
    }

    #[test]
    fn content_is_json() {
        for (kind, body, expected) in [
            (Some("application/json"), "{}", 200),
            (Some("Application/JSON; charset=utf-8"), "{}", 200),
            (Some("application/json"), "", 200),
            (None, "", 200),
            (None, "{}", 415),
            (Some("text/plain"), "{}", 415),
            (Some("text/plain"), "", 415),
            (Some("text/plain;application/json"), "{}", 415),
            (Some("application/x-www-form-urlencoded"), "a=b", 415),
            (Some("multipart/form-data; boundary=x"), "x", 415),
            (Some("application/jsonx"), "{}", 415),
            (Some(""), "{}", 415),
        ] {
            for method in ["POST", "PUT", "DELETE"] {
                let mut headers = vec![("host", "localhost")];
                headers.extend(kind.map(|kind| ("content-type", kind)));
                let write = request(method, &headers, body);
                assert_eq!(status(&write, true), expected, "{method} {kind:?} {body}");
            }
        }
        let headers = [
            ("host", "localhost"),
            ("content-type", "application/json"),
            ("content-type", "text/plain"),
        ];
        assert_eq!(status(&request("POST", &headers, "{}"), false), 415);
    }

    #[test]
    fn hosts_are_names_and_addresses() {
        for (text, expected) in [
            ("stream-server", "stream-server"),
            ("Stream.Local.", "stream.local"),
            ("192.0.2.7", "192.0.2.7"),
            ("[2001:DB8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            assert_eq!(parse_host(text).as_deref(), Ok(expected));
        }
        for bad in ["", "a:80", "http://a", "a/b", "u@a", "*", "*.a", "a b"] {
            assert!(parse_host(bad).is_err(), "{bad}");
        }
    }
}
