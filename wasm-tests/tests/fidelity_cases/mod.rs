//! The awkward requests.

use testkit::http1::Request;
use testkit::http2;

/// A request of either protocol.
#[derive(Clone, Debug)]
pub(crate) enum Sent {
    Http1(Request),
    Http2(http2::Request),
}

impl Sent {
    /// Returns whether the client says how long the content is.
    pub(crate) fn tells_its_length(&self) -> bool {
        let fields = match self {
            Self::Http1(request) => &request.fields,
            Self::Http2(request) => &request.fields,
        };
        let mut names = fields.iter().map(|(name, _)| name);
        names.any(|name| name.eq_ignore_ascii_case(b"content-length"))
    }
}

/// One row of the table.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) unmarked: Sent,
    pub(crate) marked: Sent,
    /// Fields that are the gateway's to add, unless the client has sent them as here.
    pub(crate) keeps: &'static [&'static str],
}

/// Returns all cases.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = methods();
    cases.extend(paths());
    cases.extend(fields());
    cases.extend(known_fields());
    cases.extend(contents());
    cases.extend(connection_fields());
    cases.extend(preferences());
    cases.extend(http2());
    cases
}

/// Returns a request that is sent as it is, and with the mark at its end.
fn case(name: &'static str, request: Request) -> Case {
    Case {
        name,
        marked: Sent::Http1(mark(&request)),
        unmarked: Sent::Http1(request),
        keeps: &[],
    }
}

/// Returns the request with the mark behind its other fields.
fn mark(request: &Request) -> Request {
    request.clone().marked()
}

fn get(path: &str) -> Request {
    Request::new("GET", path)
}

fn post(path: &str) -> Request {
    Request::new("POST", path)
}

fn methods() -> Vec<Case> {
    vec![
        case("GET", get("/")),
        case("HEAD", Request::new("HEAD", "/head")),
        case("OPTIONS", Request::new("OPTIONS", "/options")),
        case("POST", post("/post").body("x")),
        case("PUT", Request::new("PUT", "/put").body("x")),
        case("PATCH", Request::new("PATCH", "/patch").body("x")),
        case("DELETE", Request::new("DELETE", "/delete")),
        case(
            "DELETE with content",
            Request::new("DELETE", "/delete").body("x"),
        ),
        case("GET with content", get("/get").body("x")),
        case("TRACE", Request::new("TRACE", "/trace")),
        case("a seldom method", Request::new("PURGE", "/purge")),
        case("another one", Request::new("PROPFIND", "/dav").body("<a/>")),
    ]
}

fn paths() -> Vec<Case> {
    vec![
        case("an encoded slash", get("/a%2Fb%2fc")),
        case("encoded characters", get("/%E4%BD%A0/%01%20%25")),
        case(
            "what needs no encoding",
            get("/a-b_c.d~e!f$g&h'i(j)k*l+m,n;o=p:q@r"),
        ),
        case("double slashes", get("//a///b//")),
        case("dots", get("/a/./b/../c/..")),
        case("encoded dots", get("/a/%2e%2e/b")),
        case("backslashes", get("/a\\b%5cc\\..\\d")),
        case("dots behind encoded slashes", get("/a/..%2fb%2F%2e%2e%2fc")),
        case("dots with parameters", get("/a/..;x=1/b/.;/c")),
        case("twice encoded", get("/a%252Fb/%252e%252e/%%32e%2%65/c")),
        case("what needs no encoding, encoded", get("/%61%2D%7e%5F/%41")),
        case("what needs encoding", get("/a\"<b>^c`d{e}|f")),
        case("broken encoding", get("/a%/b%5/c%zz")),
        case("a query", get("/q?a=1&b=2&a=3")),
        case("an empty query", get("/q?")),
        case("question marks", get("/q??a=?&b=/?")),
        case("an encoded query", get("/q?a=%20+%2B&%C3%BC=%ff")),
        case("braces in the query", get("/q?a[]={1}|2^3`4\"5")),
        case("a long path", get(&format!("/{}", "long/".repeat(1_500)))),
        case(
            "an absolute URL",
            Request::new("GET", "http://elsewhere.test:81/absolute?x"),
        ),
    ]
}

fn fields() -> Vec<Case> {
    let mut many = get("/many");
    for number in 0..90 {
        many = many.field(&format!("X-Field-{number}"), number.to_string());
    }
    let every_byte: Vec<u8> = (0x20..=0xff).filter(|byte| *byte != 0x7f).collect();
    vec![
        case(
            "repeated fields",
            get("/fields")
                .field("X-A", "1")
                .field("X-B", "2")
                .field("x-a", "3")
                .field("X-A", "1"),
        ),
        case(
            "empty fields",
            get("/fields").field("X-Empty", "").field("X-Empty", ""),
        ),
        case(
            "bytes above 0x7f",
            get("/fields").field("X-Bytes", b"\xff\xfe\x80 \xc3\xbc"),
        ),
        case(
            "every byte",
            get("/fields").field("X-Bytes", [b"<", &every_byte[..], b">"].concat()),
        ),
        case(
            "a tab within a value",
            get("/fields").field("X-Tab", "a\tb"),
        ),
        case(
            "commas and quotes",
            get("/fields").field("X-List", r#"a,, "b,\"c", d"#),
        ),
        case(
            "a long value",
            get("/fields").field("X-Long", "v".repeat(20_000)),
        ),
        case("many fields", many),
        case(
            "cookies over several lines",
            get("/fields")
                .field("Cookie", "a=1; b=2")
                .field("Cookie", "c=3"),
        ),
        case(
            "odd names",
            get("/fields")
                .field("x.y_z!#$%&'*+-^`|~9", "1")
                .field("X_Y", "2"),
        ),
    ]
}

fn known_fields() -> Vec<Case> {
    vec![
        case(
            "a host with port in mixed case",
            Request::without_host("GET", "/host").field("Host", "Example.COM:8443"),
        ),
        case(
            "a host that is an address",
            Request::without_host("GET", "/host").field("Host", "[::1]:80"),
        ),
        case(
            "proxies before us",
            get("/via")
                .field("Via", "1.1 a")
                .field("Forwarded", "for=192.0.2.1")
                .field("X-Forwarded-For", "192.0.2.1, 192.0.2.2")
                .field("X-Forwarded-Host", "a.test")
                .field("X-Forwarded-Proto", "https"),
        ),
        case(
            "a trace",
            get("/trace")
                .field(
                    "traceparent",
                    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                )
                .field("tracestate", "a=1"),
        ),
        case(
            "credentials",
            get("/auth").field("Authorization", "Bearer a.b.c"),
        ),
    ]
}

fn contents() -> Vec<Case> {
    let binary: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    // The default of limits.bodyBytes.
    let largest: Vec<u8> = (0..=250).cycle().take(655_360).collect();
    vec![
        case("content-length 0", post("/body").body("")),
        case("POST without content", post("/body")),
        case("one byte", post("/body").body([0xff])),
        case(
            "text",
            post("/body")
                .field("Content-Type", "text/plain")
                .body("grün\r\n\"\\"),
        ),
        case("binary", post("/body").body(&binary)),
        case("control characters", post("/body").body([1; 1_000])),
        case(
            "gzip by name",
            post("/body")
                .field("Content-Encoding", "gzip")
                .body(b"\x1f\x8b"),
        ),
        case("the largest", post("/body").body(&largest)),
        case("chunks", post("/chunks").chunks(&[b"a", b"bc", &binary])),
        case("no chunks", post("/chunks").chunks(&[])),
        case(
            "the largest in chunks",
            post("/chunks").chunks(&[&largest[..1], &largest[1..]]),
        ),
        case(
            "chunks with trailers",
            with_trailers(post("/chunks").field("Trailer", "X-Sum").chunks(&[b"abc"])),
        ),
        case(
            "Expect: 100-continue",
            post("/expect").field("Expect", "100-continue").body("x"),
        ),
    ]
}

fn with_trailers(mut request: Request) -> Request {
    let end = request.content.len() - 2;
    request.content.truncate(end);
    request.content.extend_from_slice(b"X-Sum: 1\r\n\r\n");
    request
}

fn connection_fields() -> Vec<Case> {
    let mut own_key = case(
        "the client's own idempotency key",
        post("/key").field("Idempotency-Key", "\"mine\"").body("x"),
    );
    own_key.keeps = &["idempotency-key"];
    vec![
        case(
            "fields that Connection names",
            get("/hop")
                .field("Connection", "keep-alive, X-Hop")
                .field("X-Hop", "1")
                .field("Keep-Alive", "timeout=5")
                .field("X-Stays", "1"),
        ),
        case(
            "TE and Proxy-Connection",
            get("/hop")
                .field("TE", "trailers")
                .field("Proxy-Connection", "keep-alive"),
        ),
        case(
            "Connection: close",
            get("/hop").field("Connection", "close"),
        ),
        case(
            "forged marks",
            post("/forged")
                .field("Async-Call-Id", "forged")
                .field("Async-Attempt", "7")
                .field("Async-Accepted-At", "2000-01-01T00:00:00Z")
                .field("Async_Call_Id", "forged")
                .field("Async-Body_Cut", "true")
                .body("x"),
        ),
        own_key,
        case(
            "controls of Envoy",
            get("/envoy")
                .field("X-Envoy-Max-Retries", "9")
                .field("X-Envoy-Upstream-Rq-Timeout-Ms", "1")
                .field("X-Envoy-Original-Path", "/other")
                .field("X-Envoy-Internal", "true"),
        ),
    ]
}

/// Returns cases in which the mark is taken out of `Prefer`, and other preferences stay.
fn preferences() -> Vec<Case> {
    let both = |name, unmarked: Option<&str>, marked: &[&str]| {
        let request = post("/prefer").body("x");
        let with = |request: Request, line: &&str| request.field("Prefer", line);
        Case {
            name,
            unmarked: Sent::Http1(unmarked.iter().fold(request.clone(), with)),
            marked: Sent::Http1(marked.iter().fold(request, with)),
            keeps: &[],
        }
    };
    vec![
        both(
            "another preference in the same line",
            Some("return=minimal"),
            &["respond-async, return=minimal"],
        ),
        both(
            "another preference in another line",
            Some("return=minimal; a=\"b, c\""),
            &["return=minimal; a=\"b, c\"", "Respond-Async"],
        ),
        both("wait is applied too", None, &["respond-async, wait=10"]),
    ]
}

fn http2() -> Vec<Case> {
    let case2 = |name, request: http2::Request| Case {
        name,
        marked: Sent::Http2(request.clone().marked()),
        unmarked: Sent::Http2(request),
        keeps: &[],
    };
    let get = |path| http2::Request::new("GET", path);
    let post = |path| http2::Request::new("POST", path);
    let host = http2::Request::without_host("GET", "/two/host").field("host", "Two.Example:444");
    let large = vec![7; 200_000];
    vec![
        case2("HTTP/2", get("/two?a=%20")),
        case2("HTTP/2 authority", host),
        case2(
            "HTTP/2 fields",
            get("/two/fields")
                .field("x-a", "1")
                .field("x-b", b"\xff\x80")
                .field("x-a", "")
                .field("cookie", "a=1")
                .field("cookie", "b=2"),
        ),
        case2(
            "HTTP/2 with content-length",
            post("/two/body").field("content-length", "3").frame("abc"),
        ),
        case2(
            "HTTP/2 without content-length",
            post("/two/body").frame("ab").frame("c"),
        ),
        case2(
            "HTTP/2 with an empty last frame",
            post("/two/body").frame("abc").frame(""),
        ),
        case2(
            "HTTP/2 with nothing but an empty frame",
            post("/two/body").frame(""),
        ),
        case2("HTTP/2 without content", post("/two/body")),
        case2(
            "HTTP/2 large",
            post("/two/body").frame(&large).frame(&large),
        ),
        case2(
            "HTTP/2 trailers",
            post("/two/trailers").frame("abc").trailer("x-sum", "1"),
        ),
        case2(
            "HTTP/2 trailers without content",
            post("/two/trailers").trailer("x-sum", "1"),
        ),
        case2("HTTP/2 te", get("/two/te").field("te", "trailers")),
        case2(
            "HTTP/2 with a made-up method",
            http2::Request::new("FROBNICATE", "/two"),
        ),
    ]
}
