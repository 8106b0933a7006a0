//! The `Authorization` header of OCI's request signature, version 1
//! (draft-cavage-http-signatures-08 with OCI's own choice of what must be signed).

use super::Unauthenticated;

/// The content of the header, checked only for form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Authorization<'a> {
    /// The id of the key.
    pub(super) key_id: &'a str,
    /// Names of what was signed, in order, as the client wrote them.
    pub(super) names: Vec<&'a str>,
    /// The signature in base64.
    pub(super) signature: &'a str,
}

/// Reads the header. Its parameters may be in any order.
pub(super) fn parse(text: &str) -> Result<Authorization<'_>, Unauthenticated> {
    let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("Signature") {
        return Err(Unauthenticated::Malformed("its scheme is not Signature"));
    }
    let (mut version, mut key_id, mut algorithm) = (None, None, None);
    let (mut headers, mut signature) = (None, None);
    let mut rest = rest.trim();
    while !rest.is_empty() {
        let (name, value, after) = parameter(rest)?;
        rest = after;
        let place = match name {
            "version" => &mut version,
            "keyId" => &mut key_id,
            "algorithm" => &mut algorithm,
            "headers" => &mut headers,
            "signature" => &mut signature,
            // OCI doesn't use the draft's other parameters.
            _ => continue,
        };
        if place.replace(value).is_some() {
            return Err(Unauthenticated::Malformed("a parameter comes twice"));
        }
    }
    if version.is_some_and(|version| version != "1") {
        return Err(Unauthenticated::Malformed("its version is not \"1\""));
    }
    let lacks = Unauthenticated::Malformed;
    if algorithm.ok_or(lacks("it lacks algorithm"))? != "rsa-sha256" {
        return Err(lacks("its algorithm is not \"rsa-sha256\""));
    }
    Ok(Authorization {
        key_id: key_id.ok_or(lacks("it lacks keyId"))?,
        names: headers
            .ok_or(lacks("it lacks headers"))?
            .split_ascii_whitespace()
            .collect(),
        signature: signature.ok_or(lacks("it lacks signature"))?,
    })
}

/// Returns the first parameter, `name="value"`, and what comes after its comma.
fn parameter(text: &str) -> Result<(&str, &str, &str), Unauthenticated> {
    let broken = || Unauthenticated::Malformed("its parameters are not NAME=\"VALUE\",…");
    let (name, rest) = text.split_once('=').ok_or_else(broken)?;
    let rest = rest.trim_start().strip_prefix('"').ok_or_else(broken)?;
    let (value, rest) = rest.split_once('"').ok_or_else(broken)?;
    let rest = rest.trim_start();
    let after = match rest.strip_prefix(',') {
        Some(after) => after.trim_start(),
        None if rest.is_empty() => rest,
        None => return Err(broken()),
    };
    Ok((name.trim(), value, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_in_any_order_and_with_any_space() {
        let expected = Authorization {
            key_id: "ST$a,b=c",
            names: vec!["x-date", "(request-target)", "Host"],
            signature: "AA==",
        };
        for text in [
            "Signature version=\"1\",keyId=\"ST$a,b=c\",algorithm=\"rsa-sha256\",\
             headers=\"x-date (request-target) Host\",signature=\"AA==\"",
            "signature  algorithm=\"rsa-sha256\", headers = \"x-date  (request-target) Host\" ,\
             signature=\"AA==\",keyId=\"ST$a,b=c\",version=\"1\"",
            "Signature keyId=\"ST$a,b=c\",algorithm=\"rsa-sha256\",opaque=\"x\",\
             headers=\"x-date (request-target) Host\",signature=\"AA==\"",
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_said() {
        for (text, part) in [
            ("", "scheme"),
            ("Basic YTpi", "scheme"),
            ("Signature", "algorithm"),
            ("Signature version=\"2\"", "version"),
            ("Signature version=1", "NAME="),
            ("Signature keyId=\"a\" headers=\"b\"", "NAME="),
            ("Signature keyId=\"a\",keyId=\"b\"", "twice"),
            ("Signature algorithm=\"hmac-sha256\"", "rsa-sha256"),
            ("Signature algorithm=\"rsa-sha256\"", "keyId"),
            ("Signature algorithm=\"rsa-sha256\",keyId=\"a\"", "headers"),
            (
                "Signature algorithm=\"rsa-sha256\",keyId=\"a\",headers=\"\"",
                "signature",
            ),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
