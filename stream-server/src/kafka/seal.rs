//! Requests between fronts as bytes, authenticated. Pure.
//!
//! A request is a head of JSON and the body of the client's request; an answer is the same with
//! another head. Each head has an HMAC-SHA256, and says how long the body is and which SHA-256 it
//! has, so that nobody reads a body of a stranger. That of an answer also covers the request's, so
//! that no answer fits another request. A request is good for [`LIFE_MS`], and once.

use std::collections::BTreeSet;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::fronts::{Handed, HandedBack};

/// How old a request may be, and how far ahead of this machine's clock.
const LIFE_MS: u64 = 30_000;
/// Requests that are remembered until they are too old, so that none is taken twice: some 30 MB.
/// If there are more, new ones are refused.
const SEEN_MAX: usize = 262_144;

/// A code that authenticates a request or an answer.
pub(super) type Code = [u8; 32];

/// What a head says of its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BodyFacts {
    pub(super) bytes: usize,
    sha256: String,
}

impl BodyFacts {
    fn of(body: &[u8]) -> Self {
        Self {
            bytes: body.len(),
            sha256: hex(&Sha256::digest(body).into()),
        }
    }

    /// Returns whether this is the body.
    pub(super) fn fit(&self, body: &[u8]) -> bool {
        self.bytes == body.len() && *self == Self::of(body)
    }
}

/// What a request says before its body.
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
    body: BodyFacts,
}

/// What an answer says before its body.
#[derive(Serialize, Deserialize)]
struct BackHead {
    status: u16,
    headers: Vec<(String, String)>,
    body: BodyFacts,
}

/// The head of a request that was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) slot: u32,
    pub(super) epoch: u64,
    /// The request, without its body.
    pub(super) request: Handed,
    pub(super) body: BodyFacts,
}

/// Why the head of a request wasn't opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unopened {
    /// It wasn't sealed with this secret, is too old, or was seen.
    Refused,
    /// There is no room to remember it.
    Busy,
}

/// The head of an answer that was opened.
#[derive(Debug)]
pub(super) struct OpenedBack {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: BodyFacts,
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

    /// Returns the head of a request with its code.
    pub(super) fn seal(
        &self,
        request: &Handed,
        (slot, epoch): (u32, u64),
        at_ms: u64,
        nonce: String,
    ) -> (Vec<u8>, Code) {
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
            body: BodyFacts::of(&request.body),
        };
        let head = written(&head);
        let code = self.code(b"request", &[&head]).finalize().into_bytes();
        (head, code.into())
    }

    /// Opens the head of a request.
    ///
    /// # Errors
    /// [`Unopened`].
    pub(super) fn open(
        &self,
        head: &[u8],
        code: &Code,
        now_ms: u64,
        seen: &mut Seen,
    ) -> Result<Opened, Unopened> {
        let mac = self.code(b"request", &[head]);
        mac.verify_slice(code).map_err(|_| Unopened::Refused)?;
        let head: Head = serde_json::from_slice(head).map_err(|_| Unopened::Refused)?;
        if now_ms.abs_diff(head.at_ms) > LIFE_MS {
            return Err(Unopened::Refused);
        }
        seen.add(*code, head.at_ms, now_ms)?;
        Ok(Opened {
            slot: head.slot,
            epoch: head.epoch,
            request: Handed {
                method: head.method,
                path: head.path,
                query: head.query,
                if_match: head.if_match,
                retry_token: head.retry_token,
                body: Bytes::new(),
            },
            body: head.body,
        })
    }

    /// Returns the head of an answer with its code.
    pub(super) fn seal_back(&self, request: &Code, answer: &HandedBack) -> (Vec<u8>, Code) {
        let head = BackHead {
            status: answer.status,
            headers: answer.headers.clone(),
            body: BodyFacts::of(&answer.body),
        };
        let head = written(&head);
        let code = self.code(b"answer", &[request, &head]).finalize();
        (head, code.into_bytes().into())
    }

    /// Opens the head of the answer to a request. `None` if it isn't the answer to this one.
    pub(super) fn open_back(&self, request: &Code, head: &[u8], code: &Code) -> Option<OpenedBack> {
        let mac = self.code(b"answer", &[request, head]);
        mac.verify_slice(code).ok()?;
        let head: BackHead = serde_json::from_slice(head).ok()?;
        Some(OpenedBack {
            status: head.status,
            headers: head.headers,
            body: head.body,
        })
    }
}

fn written(head: &impl Serialize) -> Vec<u8> {
    // Texts and numbers can always be written.
    serde_json::to_vec(head).unwrap_or_default()
}

/// Requests that were taken, each as long as it would be taken again, with the time after which it
/// is too old.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeSet<(u64, Code)>);

impl Seen {
    fn add(&mut self, code: Code, at_ms: u64, now_ms: u64) -> Result<(), Unopened> {
        while self.0.first().is_some_and(|(end_ms, _)| *end_ms < now_ms) {
            self.0.pop_first();
        }
        if self.0.len() >= SEEN_MAX {
            return Err(Unopened::Busy);
        }
        match self.0.insert((at_ms.saturating_add(LIFE_MS), code)) {
            true => Ok(()),
            false => Err(Unopened::Refused),
        }
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

    fn sealed() -> (Vec<u8>, Code) {
        seal().seal(&request(), (3, 9), NOW, "n".to_owned())
    }

    #[test]
    fn a_request_and_its_answer_come_as_they_went() {
        let (head, code) = sealed();
        let opened = seal().open(&head, &code, NOW, &mut Seen::default());
        let opened = opened.unwrap();
        assert_eq!((opened.slot, opened.epoch), (3, 9));
        assert!(opened.body.fit(&request().body));
        for other in [&b""[..], b"{\n]", b"{\n} "] {
            assert!(!opened.body.fit(other));
        }
        let body = request().body;
        assert_eq!(
            Handed {
                body,
                ..opened.request
            },
            request()
        );
        let answer = HandedBack {
            status: 200,
            headers: vec![("opc-next-cursor".to_owned(), "c".to_owned())],
            body: Bytes::from_static(b"[]\n"),
            room: None,
        };
        let (back, back_code) = seal().seal_back(&code, &answer);
        let opened = seal().open_back(&code, &back, &back_code).unwrap();
        assert_eq!((opened.status, &opened.headers), (200, &answer.headers));
        assert!(opened.body.fit(&answer.body));
        assert!(seal().open_back(&[0; 32], &back, &back_code).is_none());
    }

    #[test]
    fn a_request_is_good_once_and_for_a_while() {
        let (head, code) = sealed();
        let mut seen = Seen::default();
        for wrong in [NOW - LIFE_MS - 1, NOW + LIFE_MS + 1] {
            assert!(seal().open(&head, &code, wrong, &mut seen).is_err());
        }
        assert!(seal().open(&head, &code, NOW, &mut seen).is_ok());
        assert!(seal().open(&head, &code, NOW, &mut seen).is_err());
    }

    #[test]
    fn a_request_of_another_secret_or_with_any_byte_changed_is_refused() {
        let (head, code) = sealed();
        let stranger = Seal::new(&[8; 32]);
        let mut seen = Seen::default();
        assert!(stranger.open(&head, &code, NOW, &mut seen).is_err());
        for at in 0..head.len() {
            let mut forged = head.clone();
            forged[at] ^= 1;
            assert!(seal().open(&forged, &code, NOW, &mut seen).is_err());
        }
        let (_, answer_code) = seal().seal_back(
            &code,
            &HandedBack {
                status: 200,
                headers: Vec::new(),
                body: Bytes::new(),
                room: None,
            },
        );
        assert!(seal().open(&head, &answer_code, NOW, &mut seen).is_err());
    }

    #[test]
    fn what_may_be_taken_again_is_never_forgotten() {
        let mut seen = Seen::default();
        let code = |number: usize| {
            let mut code = Code::default();
            code[..8].copy_from_slice(&number.to_be_bytes());
            code
        };
        // The first one comes from a clock that is ahead.
        let ahead = NOW + LIFE_MS;
        assert_eq!(seen.add(code(0), ahead, NOW), Ok(()));
        for number in 1..SEEN_MAX {
            assert_eq!(seen.add(code(number), NOW, NOW), Ok(()));
        }
        assert_eq!(seen.add(code(SEEN_MAX), NOW, NOW), Err(Unopened::Busy));
        let later = NOW + LIFE_MS + 1;
        assert_eq!(seen.add(code(SEEN_MAX), later, later), Ok(()));
        assert_eq!(seen.add(code(0), ahead, later), Err(Unopened::Refused));
        assert_eq!(seen.0.len(), 2);
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
