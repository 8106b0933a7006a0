use hyper::header::{HeaderName, HeaderValue};
use rsa::RsaPrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use serde::Deserialize;

use super::*;

/// Oracle's published test key.
const PRIVATE: &str = include_str!("../../tests/keys/official.pem");
const PUBLIC: &str = include_str!("../../tests/keys/official.pub.pem");
const DATE_TEXT: &str = "Thu, 05 Jan 2014 21:31:40 GMT";
/// The same moment.
const NOW: TimeMs = TimeMs(1_388_957_500_000);
const KEY_ID: &str = "ocid1.tenancy.oc1..t/ocid1.user.oc1..u/73:61:a2";

#[derive(Deserialize)]
struct Vector {
    name: String,
    method: String,
    host: String,
    target: String,
    signature: String,
    body: Option<String>,
    sha256: Option<String>,
}

/// Requests with the signatures that Oracle publishes (V1, V2) or its SDK makes (the others).
fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../../tests/keys/vectors.json")).unwrap()
}

fn verifier(external_host: Option<&str>) -> Verifier {
    let mut keys = KeyRing::default();
    keys.add(KEY_ID, PUBLIC);
    keys.add("ST$token", PUBLIC);
    Verifier::new(keys, external_host.map(str::to_owned))
}

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let line = |(name, value): &(&str, &str)| {
        let name = HeaderName::try_from(*name).unwrap();
        (name, HeaderValue::try_from(*value).unwrap())
    };
    lines.iter().map(line).collect()
}

fn authorization(key_id: &str, names: &str, signature: &str) -> String {
    format!(
        "Signature algorithm=\"rsa-sha256\",headers=\"{names}\",keyId=\"{key_id}\",\
         signature=\"{signature}\",version=\"1\""
    )
}

/// Signs what the headers say, as any client would.
fn signed(method: &str, target: &str, names: &str, lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = headers(lines);
    let names_list: Vec<String> = names.split(' ').map(str::to_lowercase).collect();
    let head = Head {
        method,
        target,
        headers: &headers,
    };
    let host = value(&headers, "host").unwrap_or_default();
    let hash = Sha256::digest(signing_string(&head, &names_list, &host).unwrap());
    let key = RsaPrivateKey::from_pkcs1_pem(PRIVATE).unwrap();
    let signature = key.sign(Pkcs1v15Sign::new::<rsa::sha2::Sha256>(), &hash);
    let header = authorization(KEY_ID, names, &STANDARD.encode(signature.unwrap()));
    headers.insert("authorization", HeaderValue::try_from(header).unwrap());
    headers
}

fn verify(
    method: &str,
    target: &str,
    headers: &HeaderMap,
    coverage: Coverage,
    now: TimeMs,
) -> Result<BodyHash, Unauthenticated> {
    let head = Head {
        method,
        target,
        headers,
    };
    let signed = verifier(None).verify_head(head, coverage, now);
    signed.map(|signed| signed.body)
}

#[test]
fn published_signatures_are_good_and_changed_requests_are_not() {
    for vector in vectors() {
        let length = vector.body.as_ref().map_or(0, String::len).to_string();
        let mut lines = vec![("date", DATE_TEXT), ("host", vector.host.as_str())];
        let mut names = "date (request-target) host".to_owned();
        if let Some(hash) = &vector.sha256 {
            names.push_str(" content-length content-type x-content-sha256");
            lines.push(("content-length", length.as_str()));
            lines.push(("content-type", "application/json"));
            lines.push(("x-content-sha256", hash.as_str()));
        }
        let header = authorization("ST$token", &names, &vector.signature);
        lines.push(("authorization", &header));
        let coverage = match vector.sha256 {
            Some(_) => Coverage::Body,
            None => Coverage::HeadReused,
        };
        let headers = headers(&lines);
        let verify = |method: &str, target: &str| verify(method, target, &headers, coverage, NOW);
        let hash = verify(&vector.method, &vector.target);
        let hash = hash.unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        let body = vector.body.unwrap_or_default();
        assert_eq!(hash.verify(body.as_bytes()), Ok(()), "{}", vector.name);
        let other = hash.verify(b"other");
        assert_eq!(other.is_err(), vector.sha256.is_some(), "{}", vector.name);
        for (method, target) in [
            ("HEAD", vector.target.clone()),
            (&vector.method, format!("/{}", vector.target)),
        ] {
            let refused = verify(method, &target).unwrap_err();
            let is_mismatch = matches!(refused, Unauthenticated::Mismatch { .. });
            assert!(is_mismatch, "{}: {refused}", vector.name);
        }
    }
}

#[test]
fn any_order_and_case_and_either_date_will_do() {
    let host = ("host", "127.0.0.1:8090");
    let late = "Thu, 05 Jan 2014 21:00:00 GMT";
    for (names, lines) in [
        (
            "host date (request-target)",
            vec![host, ("date", DATE_TEXT)],
        ),
        (
            "X-Date (Request-Target) HOST",
            vec![host, ("x-date", DATE_TEXT), ("date", late)],
        ),
        (
            "(request-target) date host x-date opc-obo-token",
            vec![
                host,
                ("date", late),
                ("x-date", DATE_TEXT),
                ("opc-obo-token", "t"),
            ],
        ),
    ] {
        let headers = signed("GET", "//20180418/streams", names, &lines);
        let verified = verify("GET", "//20180418/streams", &headers, Coverage::Head, NOW);
        assert_eq!(verified, Ok(BodyHash::any()), "{names}");
    }
}

#[test]
fn five_minutes_of_skew_are_allowed_both_ways() {
    let lines = [("host", "h"), ("date", DATE_TEXT)];
    let headers = signed("GET", "/", "date (request-target) host", &lines);
    for (now, good) in [
        (NOW.0 - SKEW_MS_MAX, true),
        (NOW.0 + SKEW_MS_MAX, true),
        (NOW.0 - SKEW_MS_MAX - 1, false),
        (NOW.0 + SKEW_MS_MAX + 1, false),
    ] {
        let verified = verify("GET", "/", &headers, Coverage::Head, TimeMs(now));
        assert_eq!(verified.is_ok(), good, "{now}");
        if let Err(error) = verified {
            let message = error.to_string();
            let both = [NOW.to_string(), TimeMs(now).to_string()];
            assert!(both.iter().all(|time| message.contains(time)), "{message}");
        }
    }
}

#[test]
fn what_must_be_signed_is_demanded_by_name() {
    let all = [
        ("host", "h"),
        ("date", DATE_TEXT),
        ("content-length", "1"),
        ("content-type", "application/json"),
        ("x-content-sha256", "wrong"),
    ];
    let body = "date (request-target) host content-length content-type x-content-sha256";
    let head = "date (request-target) host";
    for (names, coverage, lacks) in [
        (body, Coverage::Body, ""),
        (body, Coverage::HeadReused, ""),
        (head, Coverage::HeadReused, ""),
        (
            head,
            Coverage::Body,
            "content-length, content-type, x-content-sha256",
        ),
        ("date (request-target)", Coverage::Head, "host"),
        ("date host", Coverage::Head, "(request-target)"),
        ("(request-target) host", Coverage::Head, "date or x-date"),
    ] {
        let headers = signed("POST", "/", names, &all);
        match verify("POST", "/", &headers, coverage, NOW) {
            Ok(hash) => {
                assert_eq!(lacks, "", "{names}");
                assert_eq!(hash.verify(b"x").is_err(), names == body, "{names}");
            }
            Err(error) => assert_eq!(error, Unauthenticated::NotSigned(lacks.to_owned())),
        }
    }
    let mut unsigned_date = signed("GET", "/", head, &all);
    unsigned_date.insert("x-date", HeaderValue::from_static(DATE_TEXT));
    let verified = verify("GET", "/", &unsigned_date, Coverage::Head, NOW);
    assert_eq!(verified, Err(Unauthenticated::XDateUnsigned));
    let mut gone = signed("POST", "/", body, &all);
    gone.remove("content-type");
    let verified = verify("POST", "/", &gone, Coverage::Body, NOW);
    let missing = Unauthenticated::HeaderMissing("content-type".to_owned());
    assert_eq!(verified, Err(missing));
}

#[test]
fn a_rewritten_host_is_good_only_if_it_is_the_external_one() {
    let lines = [("host", "stream.example:443"), ("date", DATE_TEXT)];
    let mut headers = signed("GET", "/", "date (request-target) host", &lines);
    headers.insert("host", HeaderValue::from_static("10.0.0.1:8090"));
    let head = Head {
        method: "GET",
        target: "/",
        headers: &headers,
    };
    let good = |external| {
        let verified = verifier(external).verify_head(head, Coverage::Head, NOW);
        verified.is_ok()
    };
    assert!(good(Some("stream.example:443")));
    assert!(!good(Some("other.example:443")) && !good(None));
}

#[test]
fn unknown_keys_and_missing_headers_are_told() {
    let names = "date (request-target) host";
    let stranger = authorization("a/b/c", names, "AAAA");
    for (header, part) in [
        (None, "no Authorization header"),
        (Some(stranger.as_str()), "keyId \"a/b/c\" is unknown"),
        (Some("Basic x"), "malformed"),
    ] {
        let mut lines = vec![("host", "h"), ("date", DATE_TEXT)];
        lines.extend(header.map(|header| ("authorization", header)));
        let refused = verify("GET", "/", &headers(&lines), Coverage::Head, NOW);
        let message = refused.unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_reused_signature_is_remembered_and_its_date_still_counts() {
    let verifier = verifier(None);
    let lines = [("host", "h"), ("date", DATE_TEXT)];
    let headers = signed("POST", "/m", "date (request-target) host", &lines);
    let verify = |target, now| {
        let head = Head {
            method: "POST",
            target,
            headers: &headers,
        };
        verifier
            .verify_head(head, Coverage::HeadReused, now)
            .is_ok()
    };
    assert!(verify("/m", NOW) && verify("/m", NOW));
    assert!(!verify("/other", NOW));
    assert!(!verify("/m", TimeMs(NOW.0 + SKEW_MS_MAX + 1)));
}

#[test]
fn a_key_folder_tells_all_its_mistakes_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let pkcs1 = include_str!("../../tests/keys/official-pkcs1.pub.pem");
    write("a.pub.pem", PUBLIC);
    write("a.keyid", "t/u/f\n");
    write("b.pub.pem", pkcs1);
    write("b.keyid", "ST$abc");
    write("b.rights", "publish");
    write("notes.txt", "no key");
    let ring = KeyRing::read(folder.path()).unwrap();
    // Both are short, and one may do everything.
    assert_eq!((ring.count(), ring.warnings().len()), (2, 3));
    let may_manage = |key_id| ring.get(key_id).unwrap().rights.has(Right::Manage);
    assert!(may_manage("t/u/f") && !may_manage("ST$abc"));
    write("c.pub.pem", PUBLIC);
    write("d.keyid", "d");
    write("e.pub.pem", PRIVATE);
    write("e.keyid", "two words");
    let elliptic = include_str!("../../tests/keys/elliptic.pub.pem");
    write("f.pub.pem", elliptic);
    write("f.keyid", "");
    write("g.pub.pem", PUBLIC);
    write("g.keyid", "t/u/f");
    let message = KeyRing::read(folder.path()).unwrap_err().to_string();
    for part in [
        "c.keyid: is missing",
        "d.pub.pem: is missing",
        "e.pub.pem: holds a private key",
        "e.keyid: should be one line",
        "f.pub.pem: is not an RSA public key",
        "f.keyid: is empty",
        "g.keyid: a.keyid has the same keyId",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let empty = tempfile::tempdir().unwrap();
    let message = KeyRing::read(empty.path()).unwrap_err().to_string();
    assert!(message.contains("there is no key in it"), "{message}");
    let gone = KeyRing::read(&empty.path().join("gone")).unwrap_err();
    assert!(gone.to_string().contains("cannot list it"), "{gone}");
}
