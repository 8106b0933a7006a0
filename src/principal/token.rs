//! Session tokens: JSON Web Tokens (RFC 7519) whose times are read and whose signature is the
//! service's business.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::stream::signing::KeyId;
use crate::time::Wall;

/// Bytes of a token. Known ones have two thousand; `keyId` stands in a header field.
pub const TOKEN_BYTES_MAX: usize = 16_384;

/// How long a token is good for that says it is good for longer.
const LIFETIME_MAX: Duration = Duration::from_secs(7 * 86_400);

/// A token, from when it came until it ends.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// `ST$` and the token.
    pub key_id: KeyId,
    /// When it was issued, by the issuer's clock, or else when it came.
    pub issued: Wall,
    /// When it ends.
    pub expires: Wall,
}

/// The claims that matter (RFC 7519 §4.1.4 and §4.1.6), in seconds.
#[derive(Deserialize)]
struct Times {
    exp: f64,
    #[serde(default)]
    iat: Option<f64>,
}

impl Token {
    /// Reads a token without `ST$`.
    ///
    /// # Errors
    /// What is wrong with it; the text completes "the token …" and shows nothing of it.
    pub fn read(text: &str, now: Wall) -> Result<Self, String> {
        let text = text.trim();
        if text.len() > TOKEN_BYTES_MAX {
            return Err(format!("is larger than {TOKEN_BYTES_MAX} bytes"));
        }
        let claims = times(text);
        let claims = claims.ok_or("is not a JSON Web Token with a time at which it ends (exp)")?;
        let key_id = KeyId::parse(&format!("ST${text}"))
            .map_err(|_| "has characters that no token has".to_owned())?;
        let expires = seconds(claims.exp).ok_or("ends at no time that makes sense")?;
        if expires <= now {
            let ago = now.since(expires).as_secs();
            return Err(format!(
                "has ended {ago} s ago: look whether this machine's clock is right, and whether \
                 the token is renewed"
            ));
        }
        let expires = expires.min(now.plus(LIFETIME_MAX));
        let issued = claims.iat.and_then(seconds).unwrap_or(now);
        Ok(Self {
            key_id,
            // A time after now is another clock's, or nonsense.
            issued: issued.min(now),
            expires,
        })
    }

    /// Returns when a text says that it ends; `None` if it is no such token.
    #[must_use]
    pub fn ends(text: &str) -> Option<Wall> {
        times(text).and_then(|claims| seconds(claims.exp))
    }

    /// The token without `ST$`.
    #[must_use]
    pub fn text(&self) -> &str {
        let text = self.key_id.as_str();
        text.strip_prefix("ST$").unwrap_or(text)
    }

    /// Returns when half of its time is over. Oracle's SDK for Python renews tokens of workloads at
    /// that time. It renews those of instances a minute before their end, so that a failure of one
    /// minute already stops signatures.
    #[must_use]
    pub fn half_time(&self, came: Wall) -> Wall {
        let lifetime = self.expires.since(self.issued);
        let from = self.expires.since(came).min(lifetime) / 2;
        came.plus(from)
    }
}

fn times(text: &str) -> Option<Times> {
    let claims = text.split('.').nth(1)?.trim_end_matches('=');
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    serde_json::from_slice(&claims).ok()
}

fn seconds(value: f64) -> Option<Wall> {
    // Up to the year 9999.
    if !(0.0..253_402_300_800.0).contains(&value) {
        return None;
    }
    let millis = Duration::from_secs_f64(value).as_millis();
    Some(Wall(u64::try_from(millis).ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A token with these claims, which nobody has signed.
    pub(crate) fn token(claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part("{}"), part(claims), part("signature"))
    }

    #[test]
    fn its_times_are_read() {
        let text = token(r#"{"iat":1000,"exp":4600,"sub":"x"}"#);
        let token = Token::read(&text, Wall(1_000_000)).unwrap();
        assert_eq!(token.text(), text);
        assert_eq!(token.expires, Wall(4_600_000));
        assert_eq!(token.half_time(Wall(1_000_000)), Wall(2_800_000));
        // One that has lain around is renewed when half of what is left is over.
        assert_eq!(token.half_time(Wall(2_600_000)), Wall(3_600_000));
    }

    #[test]
    fn a_clock_that_is_behind_makes_no_token_last_longer_than_it_was_made_for() {
        let text = token(r#"{"iat":1000,"exp":4600}"#);
        let came = Wall(900_000);
        let token = Token::read(&text, came).unwrap();
        assert_eq!(token.half_time(came), Wall(2_750_000));
    }

    #[test]
    fn what_is_no_token_says_why_and_shows_nothing() {
        let ended = token(r#"{"exp":10}"#);
        let spaces = format!("{} x", token(r#"{"exp":5000}"#));
        let long = format!(
            "{}{}",
            token(r#"{"exp":5000}"#),
            "a".repeat(TOKEN_BYTES_MAX)
        );
        for (text, expected) in [
            ("", "not a JSON Web Token"),
            ("a.b.c", "not a JSON Web Token"),
            (token("{}").as_str(), "not a JSON Web Token"),
            (token(r#"{"exp":"soon"}"#).as_str(), "not a JSON Web Token"),
            (token(r#"{"exp":-1}"#).as_str(), "no time"),
            (token(r#"{"exp":1e300}"#).as_str(), "no time"),
            (ended.as_str(), "has ended 990 s ago"),
            (spaces.as_str(), "characters"),
            (long.as_str(), "larger"),
        ] {
            let Err(error) = Token::read(text, Wall(1_000_000)) else {
                panic!("{text} is taken");
            };
            assert!(error.contains(expected), "{error}");
        }
    }
}
