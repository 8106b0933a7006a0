//! Oracle's own examples (V1, V2), and more that Oracle's SDK for Python has signed (V3 to V8).

use std::rc::Rc;

use super::*;
use crate::id::Entropy;
use crate::stream::StreamClient;
use crate::stream::consume::Cursor;
use crate::stream::put::PutBody;

const PUBLISHED: &str = include_str!("../../../tests/keys/oci-published-1024.pem");
const KEY_ID: &str = "ocid1.tenancy.oc1..aaaa/ocid1.user.oc1..bbbb/\
                      73:61:a2:21:67:e0:df:be:7e:4b:93:1e:15:98:a5:b7";
const HOST: &str = "cell-1.streaming.us-phoenix-1.oci.oraclecloud.com";
const STREAM: &str = "ocid1.stream.oc1.phx.exampleuniqueID";

/// Thu, 05 Jan 2014 21:31:40 GMT, as Oracle writes it. That day was a Sunday, and a date's day of
/// the week is signed; so the examples' date can't be made from a clock.
const DATE: &str = "Thu, 05 Jan 2014 21:31:40 GMT";
const NOW: Wall = Wall(1_388_957_500_000);

fn key() -> PrivateKey {
    PrivateKey::from_pem(PUBLISHED, 1_024).unwrap()
}

fn signer() -> Signer {
    let rsa = key().signs_itself(Entropy::from_seed([3; 32]));
    Signer::new(KeyId::parse(KEY_ID).unwrap(), rsa)
}

fn request(method: &'static str, host: &str, path: &str, body: &str) -> OutgoingRequest {
    let headers = [
        (":method", method),
        (":authority", host),
        (":path", path),
        ("content-type", "application/json"),
        ("content-length", &body.len().to_string()),
    ];
    OutgoingRequest {
        headers: headers
            .iter()
            .map(|(n, v)| ((*n).to_owned().into(), v.as_bytes().to_vec().into()))
            .collect(),
        body: Rc::new(body.into()),
    }
}

/// The signature of a request at the examples' date, with the hash of its content or without.
fn signature(request: &OutgoingRequest, hash: Option<&str>) -> String {
    let (text, _) = signing_string(request, DATE, hash);
    let mut rsa = key().signs_itself(Entropy::from_seed([4; 32]));
    BASE64.encode(rsa.sign(&text).unwrap())
}

#[test]
fn oracles_examples_come_out_byte_for_byte() {
    let path = "/20160918/instances?availabilityDomain=Pjwf%3A%20PHX-AD-1&compartmentId=\
                ocid1.compartment.oc1..aaaaaaaam3we6vgnherjq5q2idnccdflvjsnog7mlr6rtdb25gilchfeyjxa\
                &displayName=TeamXInstances&volumeId=\
                ocid1.volume.oc1.phx.abyhqljrgvttnlx73nmrwfaux7kcvzfs3s66izvxf2h4lgvyndsdsnoiwr5q";
    let get = request("GET", "iaas.us-phoenix-1.oraclecloud.com", path, "");
    assert_eq!(
        signature(&get, None),
        "GBas7grhyrhSKHP6AVIj/h5/Vp8bd/peM79H9Wv8kjoaCivujVXlpbKLjMPeDUhxkFIWtTtLBj3sUzaFj34XE6YZ\
         AHc9r2DmE4pMwOAy/kiITcZxa1oHPOeRheC0jP2dqbTll8fmTZVwKZOKHYPtrLJIJQHJjNvxFWeHQjMaR7M="
    );
    let compartment = "aaaaaaaam3we6vgnherjq5q2idnccdflvjsnog7mlr6rtdb25gilchfeyjxa";
    let instance = "abuw4ljrlsfiqw6vzzxb43vyypt4pkodawglp3wqxjqofakrwvou52gb6s5a";
    let volume = "abyhqljrgvttnlx73nmrwfaux7kcvzfs3s66izvxf2h4lgvyndsdsnoiwr5q";
    let body = format!(
        "{{\n    \"compartmentId\": \"ocid1.compartment.oc1..{compartment}\",\n    \
         \"instanceId\": \"ocid1.instance.oc1.phx.{instance}\",\n    \
         \"volumeId\": \"ocid1.volume.oc1.phx.{volume}\"\n}}"
    );
    let host = "iaas.us-phoenix-1.oraclecloud.com";
    let post = request("POST", host, "/20160918/volumeAttachments", &body);
    let hash = BASE64.encode(Sha256::digest(&body));
    assert_eq!(hash, "V9Z20UJTvkvpJ50flBzKE32+6m2zJjweHpDMX/U4Uy0=");
    assert_eq!(
        signature(&post, Some(&hash)),
        "Mje8vIDPlwIHmD/cTDwRxE7HaAvBg16JnVcsuqaNRim23fFPgQfLoOOxae6WqKb1uPjYEl0qIdazWaBy/Ml8DRhq\
         locMwoSXv0fbukP8J5N80LCmzT/FFBvIvTB91XuXI3hYfP9Zt1l7S6ieVadHUfqBedWH0itrtPJBgKmrWso="
    );
}

#[test]
fn a_streams_requests_come_out_as_from_oracles_sdk() {
    let client = StreamClient::new(HOST, STREAM);
    let cursor = Cursor("abc=".to_owned());
    let mut body = PutBody::default();
    body.push(None, b"any");
    let put = client.put_messages(body);
    let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let path = format!("/20180418/streams/{STREAM}/groupCursors");
    let details = r#"{"groupName":"g1","instanceName":"i1","type":"TRIM_HORIZON"}"#;
    let join = request("POST", HOST, &path, details);
    for (request, hash, expected) in [
        (
            put,
            None,
            "pZwxB8KPMDnJ2UIU6ia/2lOy5PnksodBCnRrWneB1waISk89IQHkpxm1/l+pQfZB+5fKC7AnPNktWk2eVWxO\
             84xbbNvYY8I4Nzoi342sVy8GstVt7n67EVpDMjo2nu7EpS8EfPDl9MlQIUpSZ/nNp3gZ6PUuxp5UGiG044eg\
             r6M=",
        ),
        (
            client.consumer_commit(&cursor),
            Some(empty),
            "XeRLbjRGZQNjWktWcX+zS/2QRuhGCiwsg21shSXGtyyoiGXiPd5c3XGZP7gd0+Bp8j5K6xvsT+iSsf53PDbK\
             +J5ncMJo7/bjHPA0qM7BbT6jopoVxoLNz9IvdJuiZ84L1KiiV+Jr9RKz+Ru9wNucA9CFSecErxBMHQaiDVXu\
             CGY=",
        ),
        (
            join,
            Some("OZnOcuhy1TpUxZPOktPBmvSX/Gi7ljA6DhoBI/GxexY="),
            "fv2Akh/BF4C3zW5fKlRjy9f4JqCRlnCQWZEZNtbzaZULpzI0qt/KcdTo/gWpSVp9DmUNbxc+xOZV1ojuP8wB\
             1lVX8xVfhHEBf/V940I7mnfBfv4m5XC7ozl54xvUOvtbEAT9oO0diNWqkv6V0fzGuNxWk5I1cJB0VIPvQ4kW\
             Z/w=",
        ),
        (
            client.get_messages(&cursor, 10),
            None,
            "jRuCtxpLZpjGUAadz09nhGfdTohLxqcFbdh366KPuKTBhCa603Q3m2uDozhYOI0VaPTnptiv4m0UbZhaUgWB\
             n9h5SxcRkj/33Ch5Y5AHogBTf86mSukkhH5ANzXKFDqZXv748DjenrqHAekTSCZIfwK+VTVMb+H9sK6sgUPR\
             DvQ=",
        ),
    ] {
        assert_eq!(signature(&request, hash), expected, "{:?}", request.headers);
    }
}

#[test]
fn moving_a_group_and_invoking_a_function_come_out_as_from_oracles_sdk() {
    let path = format!("/20180418/streams/{STREAM}/groups/g1");
    let update = request("PUT", HOST, &path, r#"{"type":"LATEST"}"#);
    let hash = "c/CqR250Agq7TkEDoKa2SGYIhTRI13W0sVxy//s8nt0=";
    assert_eq!(
        signature(&update, Some(hash)),
        "bXUHQ9mLHQecJZ5Pk8VLb4w9WbGlfKjUe5dr0/6sJc9cKOv0ZFZedDXe2xklsTN5msdmQRIHkiWwj+cSsR7E97dM\
         w3eXjnhVZwO/6E6r8vdq5c4fVDlUX/2BxxzZJz8nCGwY+383eqjv2BA5lYKcsr1uT29ZSYv7sMtcSfIB6ds="
    );
    let path = "/20181201/functions/ocid1.fnfunc.oc1.phx.exampleuniqueID/actions/invoke";
    let invoke = request("POST", "127.0.0.1:8080", path, r#"{"name":"x"}"#);
    let hash = "AinTfjParhSb9AVDpc4dtEWdEPgw1ROSeaor/V9khaE=";
    assert_eq!(
        signature(&invoke, Some(hash)),
        "GuE+w4y2j3L7osoTf+JdEXQ80BkqRBU3x5ytPKWRYE+6I+4CdSHTLrFFLfuAM5NmPoVyLMaw69tiOJ0htfVY/heR\
         pKWjsNdc2HOewN1O3WYdKjD7IKFlKcM4LFrBQvL23Zk7Fz/WJkSxsQK0CzffItE7t/28jNm1MRe+LAKmRvc="
    );
}

fn value(request: &OutgoingRequest, name: &str) -> String {
    String::from_utf8_lossy(field(request, name)).into_owned()
}

#[test]
fn a_signed_request_has_everything_that_was_signed() {
    let mut commit = StreamClient::new(HOST, STREAM).consumer_commit(&Cursor("abc=".to_owned()));
    signer().sign(&mut commit, NOW).unwrap();
    assert_eq!(value(&commit, "date"), "Sun, 05 Jan 2014 21:31:40 GMT");
    assert_eq!(value(&commit, "content-length"), "0");
    assert_eq!(
        value(&commit, "x-content-sha256"),
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    );
    let authorization = value(&commit, "authorization");
    let start = format!(
        "Signature algorithm=\"rsa-sha256\",headers=\"date (request-target) host content-length \
         content-type x-content-sha256\",keyId=\"{KEY_ID}\",signature=\""
    );
    assert!(authorization.starts_with(&start), "{authorization}");
    assert!(authorization.ends_with("\",version=\"1\""));
}

#[test]
fn one_signature_serves_a_stream_for_a_minute() {
    let mut signer = signer();
    let mut put = |stream: &str, now: Wall| {
        let mut body = PutBody::default();
        body.push(None, now.0.to_string().as_bytes());
        let mut request = StreamClient::new(HOST, stream).put_messages(body);
        signer.sign_put_messages(&mut request, now).unwrap();
        let date = parse_date(&value(&request, "date"));
        assert!(value(&request, "x-content-sha256").is_empty());
        (date, value(&request, "authorization"))
    };
    let first = put("a", NOW);
    assert_eq!(put("a", NOW.plus(Duration::from_secs(59))), first);
    let other = put("b", NOW.plus(Duration::from_secs(59)));
    assert_ne!(other.1, first.1);
    let second = put("a", NOW.plus(Duration::from_secs(60)));
    assert_eq!(second.0, NOW.plus(Duration::from_secs(60)));
    assert_ne!(second.1, first.1);
    // The clock is set back: a date of the future would be refused.
    assert_eq!(put("a", NOW).0, NOW);
}

fn parse_date(text: &str) -> Wall {
    crate::time_text::parse_http_date(text).unwrap()
}

#[test]
fn keys_are_read_however_they_came() {
    const PKCS1: &str = include_str!("../../../tests/keys/rsa-2048-pkcs1.pem");
    const PKCS8: &str = include_str!("../../../tests/keys/rsa-2048-pkcs8.pem");
    let one_line = PKCS8.replace('\n', "\\n");
    let oracles = format!("{PKCS1}\nOCI_API_KEY\n");
    let windows = PKCS8.replace('\n', "\r\n");
    let fingerprint = PrivateKey::from_pem(PKCS1, KEY_BITS_MIN).unwrap();
    let fingerprint = fingerprint.fingerprint().unwrap();
    for text in [PKCS8, &one_line, &oracles, &windows] {
        let key = PrivateKey::from_pem(text, KEY_BITS_MIN).unwrap();
        assert_eq!(key.fingerprint().unwrap(), fingerprint);
        assert_eq!(format!("{key:?}"), "PrivateKey(2048 bits)");
    }
    assert_eq!(
        key().fingerprint().unwrap().0,
        "73:61:a2:21:67:e0:df:be:7e:4b:93:1e:15:98:a5:b7"
    );
}

#[test]
fn what_is_no_key_says_what_it_is() {
    const PKCS1: &str = include_str!("../../../tests/keys/rsa-2048-pkcs1.pem");
    let cut = PKCS1.get(..700).unwrap();
    let hole = PKCS1.replace("MII", "MIJ");
    for (text, expected) in [
        ("", KeyError::NoPem),
        ("/etc/key.pem", KeyError::NoPem),
        (
            include_str!("../../../tests/keys/rsa-2048-encrypted.pem"),
            KeyError::Encrypted,
        ),
        (
            include_str!("../../../tests/keys/rsa-2048-encrypted-pkcs1.pem"),
            KeyError::Encrypted,
        ),
        (
            include_str!("../../../tests/keys/rsa-2048-public.pem"),
            KeyError::Other,
        ),
        (
            include_str!("../../../tests/keys/ec-sec1.pem"),
            KeyError::NotRsa,
        ),
        (
            include_str!("../../../tests/keys/ec-pkcs8.pem"),
            KeyError::NotRsa,
        ),
        (cut, KeyError::Broken),
        (&hole, KeyError::Broken),
        (PUBLISHED, KeyError::TooSmall(1_024)),
    ] {
        let error = PrivateKey::from_pem(text, KEY_BITS_MIN).unwrap_err();
        assert_eq!(error, expected, "{text}");
    }
}

#[test]
fn a_refused_signature_leads_to_its_cause() {
    let signer = signer();
    let minutes = |minutes: u64| NOW.plus(Duration::from_secs(60 * minutes));
    for (signer, theirs, ours, expected) in [
        (None, None, NOW, "not signed: configure stream.signing"),
        (
            Some(&signer),
            Some(NOW),
            minutes(7),
            "clock is 420 s ahead of the Stream's",
        ),
        (
            Some(&signer),
            Some(minutes(6)),
            NOW,
            "clock is 360 s behind the Stream's",
        ),
        (
            Some(&signer),
            Some(NOW),
            minutes(1),
            "the API key 73:61:a2:21:67:e0:df:be:7e:4b:93:1e:15:98:a5:b7 is still listed",
        ),
        (Some(&signer), None, NOW, "check this machine's clock"),
    ] {
        let text = explain(signer, theirs, ours);
        assert!(text.contains(expected), "{text}");
    }
}
