//! The requests of clients, and the records of other publishers.

use serde_json::json;
use sluice::accept::admission::RequestHead;
use sluice::caller::{CallerIdentity, CallerRules};
use sluice::http::{Fields, first};

use crate::rng::Rng;

/// How a target treats a call. The call's path says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    /// It takes everything.
    Good,
    /// It fails in all ways, until faults stop.
    Flaky,
    /// It refuses for good.
    Broken,
    /// It fails for ever.
    Failing,
    /// It sometimes asks to wait.
    Limiting,
    /// It takes long.
    Slow,
}

impl Temper {
    const ALL: [Self; 9] = [
        Self::Good,
        Self::Good,
        Self::Good,
        Self::Flaky,
        Self::Flaky,
        Self::Broken,
        Self::Failing,
        Self::Limiting,
        Self::Slow,
    ];

    /// Returns the temper's name in a path.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Flaky => "flaky",
            Self::Broken => "broken",
            Self::Failing => "failing",
            Self::Limiting => "limiting",
            Self::Slow => "slow",
        }
    }

    /// Returns the temper in a path.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let is_named = |temper: &Self| path.contains(temper.name());
        Self::ALL.into_iter().find(is_named).unwrap_or(Self::Good)
    }
}

/// A request of a client, or a record that somebody else publishes.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its fields, as the filter sees them.
    pub fields: Fields,
    /// Its content.
    pub body: Vec<u8>,
    /// The client leaves after so many milliseconds if it has no answer by then.
    pub patience: Option<u64>,
    /// It is not a request but this record, published past the gateway.
    pub record: Option<Vec<u8>>,
    /// The message key of that record.
    pub record_key: Option<String>,
    /// The idempotency key.
    pub key: Option<String>,
}

impl Request {
    /// Draws a request. Its number makes it different from every other.
    pub fn draw(rng: &mut Rng, number: u64) -> Self {
        let temper = rng.one_of(&Temper::ALL).unwrap_or(Temper::Good);
        let path = format!("/t/{}/{number}", temper.name());
        let mut options = Options::draw(rng, number);
        if rng.per_mille(150) {
            return Self::of_somebody_else(rng, &path, number, &options);
        }
        let body_bytes = rng.one_of(&[0, 0, 5, 300, 4_000]).unwrap_or_default();
        // One key is used for several requests. Those with an odd number differ in their content.
        let path = match &options.key {
            Some(key) => format!("/t/{}/{key}", temper.name()),
            None => path,
        };
        let body = match &options.key {
            Some(_) => vec![b'k'; usize::from(rng.per_mille(100))],
            None => format!("{number:0>body_bytes$}").into_bytes(),
        };
        let body = if body_bytes == 0 { Vec::new() } else { body };
        let mut fields = options.take_fields();
        fields.extend([
            (":method".to_owned(), b"POST".to_vec()),
            (":path".to_owned(), path.into_bytes()),
            (":authority".to_owned(), b"gateway.test".to_vec()),
            (":scheme".to_owned(), b"https".to_vec()),
            ("prefer".to_owned(), b"respond-async".to_vec()),
        ]);
        if options.key.is_some() && rng.per_mille(200) {
            fields.push(("authorization".to_owned(), b"Bearer other".to_vec()));
        }
        if rng.per_mille(60) {
            fields.extend(forged_marks());
        }
        Self {
            fields,
            body,
            patience: rng.per_mille(80).then(|| rng.below(3_000)),
            record: None,
            record_key: None,
            key: options.key,
        }
    }

    /// Returns a request to a target that takes long.
    #[must_use]
    pub fn slow(number: u64) -> Self {
        Self::without_options(&format!("/t/{}/{number}", Temper::Slow.name()))
    }

    /// Returns a request that its target takes.
    #[must_use]
    pub fn plain(number: u64) -> Self {
        Self::without_options(&format!("/t/good/{number}"))
    }

    /// Returns a request with an order key that is not due for a long time.
    #[must_use]
    pub fn hoarded(number: u64, key: &str) -> Self {
        let mut request = Self::plain(number);
        let options = [("async-order-key", key), ("async-delay", "25s")];
        request.fields.extend(options.map(field));
        request
    }

    fn without_options(path: &str) -> Self {
        let fields = [
            (":method", "POST"),
            (":path", path),
            (":authority", "gateway.test"),
            (":scheme", "https"),
            ("prefer", "respond-async"),
        ];
        Self {
            fields: fields.map(field).to_vec(),
            body: Vec::new(),
            patience: None,
            record: None,
            record_key: None,
            key: None,
        }
    }

    fn of_somebody_else(rng: &mut Rng, path: &str, number: u64, options: &Options) -> Self {
        let mut record = json!({ "version": 1, "method": "PUT", "path": path });
        let mut set = |name: &str, value: serde_json::Value| {
            if let Some(members) = record.as_object_mut() {
                members.insert(name.to_owned(), value);
            }
        };
        if rng.coin() {
            set("id", json!(format!("outsider-{number}")));
        }
        if let Some(key) = &options.order_key {
            set("orderKey", json!(key));
        }
        if rng.per_mille(300) {
            let addresses = [
                "/inbox/good/outsider",
                "/admin/good",
                "/inbox/../admin/good",
            ];
            set("replyTo", json!(rng.one_of(&addresses).unwrap_or_default()));
        }
        if rng.per_mille(50) {
            let reply = json!({ "callId": "answered", "outcome": "delivered", "attempts": 1 });
            set("reply", reply);
        }
        if rng.per_mille(200) {
            set(
                "headers",
                json!([["async-call-id", "forged"], ["x-envoy-retry-on", "5xx"]]),
            );
        }
        if rng.per_mille(300) {
            let url = rng.one_of(&[
                "https://evil.test/t/good",
                "https://a.allowed.test/t/flaky",
                "http://plain.test/other",
                "http://169.254.169.254/t",
                "https://evil.test@x",
            ]);
            set("target", json!(url.unwrap_or_default()));
            if let Some(members) = record.as_object_mut() {
                members.remove("path");
            }
        }
        let mut bytes = record.to_string().into_bytes();
        if rng.per_mille(300) {
            bytes = rng.one_of(&JUNK).unwrap_or(b"x").to_vec();
        }
        // A publisher of a call with an order key has to use it as the message's key, but may not
        // do so.
        let mut key = options.order_key.clone();
        if bytes == FORGED_NOTE || rng.per_mille(300) {
            let keys = [None, Some("elsewhere"), Some("order-0"), Some("order-1")];
            key = rng.one_of(&keys).flatten().map(str::to_owned);
        }
        Self {
            fields: Fields::new(),
            body: Vec::new(),
            patience: None,
            record: Some(bytes),
            record_key: key,
            key: None,
        }
    }

    /// Returns what distinguishes the client, as the filter finds it.
    fn sender(&self) -> Option<CallerIdentity> {
        let rules = CallerRules {
            headers: vec!["authorization".to_owned()],
            metadata: None,
        };
        // There are several clients. Those with a key come from one address, so that they share
        // keys.
        let path = first(&self.fields, ":path").filter(|_| self.key.is_none());
        let last = path.and_then(<[u8]>::last).map_or(0, |digit| digit % 4);
        let address = format!("192.0.2.{last}:1").into_bytes();
        CallerIdentity::find(&rules, &self.fields, |path| {
            (path == ["source", "address"]).then(|| address.clone())
        })
    }

    /// Returns the request's head as the filter sees it, without the mark.
    #[must_use]
    pub fn head(&self) -> RequestHead {
        RequestHead {
            fields: self.fields.clone(),
            has_route: true,
            route: None,
            cluster: Some("backend".to_owned()),
            caller: self.sender(),
        }
    }
}

/// Repeats the requests of clients with an idempotency key, as after an answer that they have
/// missed.
#[must_use]
pub fn repetitions(rng: &mut Rng, span: u64, requests: &[(u64, Request)]) -> Vec<(u64, Request)> {
    let mut again = Vec::new();
    let keyed = requests.iter().filter(|(_, request)| request.key.is_some());
    for (at, request) in keyed {
        if rng.per_mille(500) {
            let at = at.saturating_add(rng.below(5_000));
            again.push((at.min(span), request.clone()));
        }
    }
    again
}

fn forged_marks() -> Fields {
    let forged = [
        ("async-call-id", "forged"),
        ("async-attempt", "99"),
        ("async-outcome", "delivered"),
        ("x-envoy-upstream-rq-timeout-ms", "1"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
    ];
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.into());
    forged.map(own).to_vec()
}

/// A note under another message key than a drain would use.
const FORGED_NOTE: &[u8] = br#"{"version":1,"parked":{"by":"x","epoch":0,"serial":0,"partition":0,
    "route":"forged","keys":[["ca978112ca1bbdca",[[0,1795408560000]]]]}}"#;

/// Records that no drain can read.
const JUNK: [&[u8]; 6] = [
    b"{",
    b"null",
    b"\xff\xfe",
    b"{\"version\":9}",
    b"[[[[",
    FORGED_NOTE,
];

/// The options of a call.
struct Options {
    fields: Fields,
    order_key: Option<String>,
    key: Option<String>,
}

impl Options {
    fn draw(rng: &mut Rng, number: u64) -> Self {
        let mut fields: Vec<(&str, String)> = Vec::new();
        let order_key = rng
            .per_mille(350)
            .then(|| format!("order-{}", rng.below(2)));
        if let Some(key) = &order_key {
            fields.push(("async-order-key", key.clone()));
        }
        if rng.per_mille(350) {
            fields.push(("async-delay", format!("{}s", rng.between(1, 25))));
        }
        let addresses = [
            "/inbox/good",
            "/inbox/flaky",
            "https://replies.test/inbox/limiting",
            "/admin/good",
        ];
        if rng.per_mille(300) {
            let address = rng.one_of(&addresses).unwrap_or_default();
            fields.push(("async-reply-to", format!("{address}/{number}")));
        }
        if rng.per_mille(150) {
            fields.push(("async-failure-to", format!("/failures/good/{number}")));
        }
        if rng.per_mille(100) {
            fields.push(("async-max-age", format!("{}s", rng.between(1, 30))));
        }
        if rng.per_mille(150) {
            fields.push(("async-retries", rng.below(4).to_string()));
        }
        if rng.per_mille(100) {
            fields.push(("async-timeout", format!("{}s", rng.between(1, 5))));
        }
        if rng.per_mille(120) {
            let url = rng.one_of(&[
                "https://a.allowed.test/t/flaky",
                "http://plain.test/t/good",
                "https://b.allowed.test/t/slow",
                "https://evil.test/t/good",
            ]);
            fields.push(("async-target", url.unwrap_or_default().to_owned()));
        }
        let key = rng.per_mille(200).then(|| format!("key-{}", rng.below(3)));
        if let Some(key) = &key {
            fields.push(("idempotency-key", key.clone()));
        }
        let own = |(name, value): (&str, String)| (name.to_owned(), value.into_bytes());
        Self {
            fields: fields.into_iter().map(own).collect(),
            order_key,
            key,
        }
    }

    fn take_fields(&mut self) -> Fields {
        std::mem::take(&mut self.fields)
    }
}

fn field((name, value): (&str, &str)) -> (String, Vec<u8>) {
    (name.to_owned(), value.into())
}
