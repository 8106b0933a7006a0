//! Requests between fronts as bytes, authenticated. Pure.
//!
//! A request is one line of JSON, a line feed, and the body of the client's request. An answer is
//! the same with another line. Each has an HMAC-SHA256 of all of it; that of an answer also covers
//! the request's, so that no answer fits another request. A request is good for
//! [`LIFE_MS`], and once.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::fronts::{Handed, HandedBack};

/// How old a request may be, and how far ahead of this machine's clock.
const LIFE_MS: u64 = 30_000;
/// Requests that are remembered, so that none is taken twice. Older ones are past [`LIFE_MS`]
/// unless a front gets thousands in a second.
const SEEN_MAX: usize = 262_144;

/// A code that authenticates a request or an answer.
pub(super) type Code = [u8; 32];

/// What precedes the body of a request.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    at_ms: u64,
    slot: u32,
    epoch: u64,
    method: String,
    path: String,
    query: String,
    if_match: Option<String>,
    retry_token: Option<String>,
    /// Makes each request another one.
    nonce: String,
}

/// What precedes the body of an answer.
#[derive(Serialize, Deserialize)]
struct BackHead {
    status: u16,
    headers: Vec<(String, String)>,
}

/// A request that was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) slot: u32,
    pub(super) epoch: u64,
    pub(super) request: Handed,
}

/// Seals and opens with the secret that all fronts share.
#[derive(Clone)]
pub(super) struct Seal(Hmac<Sha256>);

impl Seal {
    pub(super) fn new(secret: &[u8]) -> Self {
        let key = Hmac::<Sha256>::new_from_slice(secret);
        // HMAC takes a key of any length.
        let empty = || Hmac::new(&[0; 64].into());
        Self(key.unwrap_or_else(|_| empty()))
    }

    fn code(&self, kind: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.0.clone().chain_update(kind);
        for part in parts {
            mac.update(part);
        }
        mac
    }

    /// Returns a request with its code.
    pub(super) fn seal(
        &self,
        request: &Handed,
        (slot, epoch): (u32, u64),
        at_ms: u64,
        nonce: String,
    ) -> (Bytes, Code) {
        let head = Head {
            at_ms,
            slot,
            epoch,
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            if_match: request.if_match.clone(),
            retry_token: request.retry_token.clone(),
            nonce,
        };
        let bytes = joined(&head, &request.body);
        let code = self.code(b"request", &[&bytes]).finalize().into_bytes();
        (bytes, code.into())
    }

    /// Opens a request. `None` if it wasn't sealed with this secret, is too old, or was seen.
    pub(super) fn open(
        &self,
        bytes: &Bytes,
        code: &Code,
        now_ms: u64,
        seen: &mut Seen,
    ) -> Option<Opened> {
        let mac = self.code(b"request", &[bytes]);
        mac.verify_slice(code).ok()?;
        let (head, body): (Head, Bytes) = split(bytes)?;
        let is_fresh = now_ms.abs_diff(head.at_ms) <= LIFE_MS;
        if !is_fresh || !seen.add(*code) {
            return None;
        }
        Some(Opened {
            slot: head.slot,
            epoch: head.epoch,
            request: Handed {
                method: head.method,
                path: head.path,
                query: head.query,
                if_match: head.if_match,
                retry_token: head.retry_token,
                body,
            },
        })
    }

    /// Returns an answer with its code.
    pub(super) fn seal_back(&self, request: &Code, answer: &HandedBack) -> (Bytes, Code) {
        let head = BackHead {
            status: answer.status,
            headers: answer.headers.clone(),
        };
        let bytes = joined(&head, &answer.body);
        let code = self.code(b"answer", &[request, &bytes]).finalize();
        (bytes, code.into_bytes().into())
    }

    /// Opens the answer to a request. `None` if it isn't the answer to this one.
    pub(super) fn open_back(
        &self,
        request: &Code,
        bytes: &Bytes,
        code: &Code,
    ) -> Option<HandedBack> {
        let mac = self.code(b"answer", &[request, bytes]);
        mac.verify_slice(code).ok()?;
        let (head, body): (BackHead, Bytes) = split(bytes)?;
        Some(HandedBack {
            status: head.status,
            headers: head.headers,
            body,
        })
    }
}

fn joined(head: &impl Serialize, body: &[u8]) -> Bytes {
    // Texts and numbers can always be written.
    let mut bytes = serde_json::to_vec(head).unwrap_or_default();
    bytes.push(b'\n');
    bytes.extend_from_slice(body);
    bytes.into()
}

fn split<T: for<'de> Deserialize<'de>>(bytes: &Bytes) -> Option<(T, Bytes)> {
    let end = memchr::memchr(b'\n', bytes)?;
    let head = serde_json::from_slice(bytes.get(..end)?).ok()?;
    Some((head, bytes.slice(end.saturating_add(1)..)))
}

/// Requests that were taken.
#[derive(Debug, Default)]
pub(super) struct Seen {
    codes: BTreeSet<Code>,
    order: VecDeque<Code>,
}

impl Seen {
    /// Returns whether this one is new.
    fn add(&mut self, code: Code) -> bool {
        if !self.codes.insert(code) {
            return false;
        }
        self.order.push_back(code);
        while self.order.len() > SEEN_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.codes.remove(&oldest);
            }
        }
        true
    }
}

/// Writes a code as hexadecimal digits.
pub(super) fn hex(code: &Code) -> String {
    code.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a code of hexadecimal digits.
pub(super) fn unhex(text: &str) -> Option<Code> {
    let mut code = Code::default();
    if text.len() != 2 * code.len() || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in code.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn request() -> Handed {
        Handed {
            method: "POST".to_owned(),
            path: "/20180418/streams/s/commit".to_owned(),
            query: "cursor=a%3D".to_owned(),
            if_match: None,
            retry_token: Some("t".to_owned()),
            body: Bytes::from_static(b"{\n}"),
        }
    }

    fn seal() -> Seal {
        Seal::new(&[7; 32])
    }

    fn sealed() -> (Bytes, Code) {
        seal().seal(&request(), (3, 9), NOW, "n".to_owned())
    }

    #[test]
    fn a_request_and_its_answer_come_as_they_went() {
        let (bytes, code) = sealed();
        let opened = seal().open(&bytes, &code, NOW, &mut Seen::default());
        let opened = opened.unwrap();
        assert_eq!((opened.slot, opened.epoch), (3, 9));
        assert_eq!(opened.request, request());
        let answer = HandedBack {
            status: 200,
            headers: vec![("opc-next-cursor".to_owned(), "c".to_owned())],
            body: Bytes::from_static(b"[]\n"),
        };
        let (back, back_code) = seal().seal_back(&code, &answer);
        assert_eq!(seal().open_back(&code, &back, &back_code), Some(answer));
        assert_eq!(seal().open_back(&[0; 32], &back, &back_code), None);
    }

    #[test]
    fn a_request_is_good_once_and_for_a_while() {
        let (bytes, code) = sealed();
        let mut seen = Seen::default();
        for wrong in [NOW - LIFE_MS - 1, NOW + LIFE_MS + 1] {
            assert!(seal().open(&bytes, &code, wrong, &mut seen).is_none());
        }
        assert!(seal().open(&bytes, &code, NOW, &mut seen).is_some());
        assert!(seal().open(&bytes, &code, NOW, &mut seen).is_none());
    }

    #[test]
    fn a_request_of_another_secret_or_with_any_byte_changed_is_refused() {
        let (bytes, code) = sealed();
        let stranger = Seal::new(&[8; 32]);
        let mut seen = Seen::default();
        assert!(stranger.open(&bytes, &code, NOW, &mut seen).is_none());
        for at in 0..bytes.len() {
            let mut forged = bytes.to_vec();
            forged[at] ^= 1;
            let forged = Bytes::from(forged);
            assert!(seal().open(&forged, &code, NOW, &mut seen).is_none());
        }
        let (_, answer_code) = seal().seal_back(
            &code,
            &HandedBack {
                status: 200,
                headers: Vec::new(),
                body: Bytes::new(),
            },
        );
        assert!(seal().open(&bytes, &answer_code, NOW, &mut seen).is_none());
    }

    #[test]
    fn codes_are_hexadecimal() {
        let (_, code) = sealed();
        assert_eq!(unhex(&hex(&code)), Some(code));
        for wrong in ["", "00", &"g".repeat(64), &"+1".repeat(31), &"é".repeat(32)] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }
}
