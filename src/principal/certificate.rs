//! The certificate by which OCI knows an instance.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// What stands before the tenancy in a part of the subject. The second one is what certificates of
/// OCI's own services have.
const TENANCY: [&str; 2] = ["opc-tenant:", "opc-identity:"];

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// An instance's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceCertificate {
    /// `<tenancy OCID>/fed-x509/<fingerprint>`: as whom the request for a token is signed.
    pub key_id: String,
}

impl InstanceCertificate {
    /// Reads the first certificate of a PEM (RFC 7468).
    ///
    /// # Errors
    /// What is wrong with it; the text completes "the certificate …".
    pub fn read(pem: &str) -> Result<Self, String> {
        let body = pem
            .split_once(BEGIN)
            .and_then(|(_, rest)| rest.split_once(END));
        let (body, _) = body.ok_or("is not a PEM of a certificate")?;
        let body: String = body.split_ascii_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| "is not valid base64")?;
        let certificate = Certificate::from_der(&der);
        let certificate = certificate.map_err(|_| "is not an X.509 certificate in DER")?;
        let subject = &certificate.tbs_certificate.subject;
        let parts = subject.0.iter().flat_map(|set| set.0.iter());
        // All kinds of strings that such names have are ASCII or UTF-8.
        let mut texts = parts.filter_map(|part| std::str::from_utf8(part.value.value()).ok());
        let tenancy =
            texts.find_map(|text| TENANCY.iter().find_map(|kind| text.strip_prefix(kind)));
        let tenancy = tenancy.ok_or("names no tenancy: it is not a certificate of an instance")?;
        if !is_ocid(tenancy) {
            return Err("names a tenancy that is not an OCID".to_owned());
        }
        // Oracle's SDKs name it by SHA-1, which says which certificate it is and proves nothing.
        let fingerprint = Sha1::digest(&der);
        let fingerprint: Vec<String> = fingerprint.iter().map(|b| format!("{b:02X}")).collect();
        let fingerprint = fingerprint.join(":");
        Ok(Self {
            key_id: format!("{tenancy}/fed-x509/{fingerprint}"),
        })
    }
}

/// Returns whether a text has the characters of an OCID (it stands in a header field).
fn is_ocid(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=255).contains(&text.len()) && text.bytes().all(fits)
}

/// What Oracle's SDKs make of a PEM: its base64 without line breaks.
///
/// # Errors
/// There is something else in it; the text completes "the certificate …".
pub fn bare(pem: &str) -> Result<String, String> {
    let text = pem.trim().replace(BEGIN, "").replace(END, "");
    let text = text.replace(['\n', '\r'], "");
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    if text.is_empty() || !text.bytes().all(fits) {
        return Err("is not a PEM of a certificate".to_owned());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAF: &str = include_str!("../../tests/keys/instance.pem");

    #[test]
    fn it_names_its_tenancy_and_has_a_fingerprint() {
        let certificate = InstanceCertificate::read(LEAF).unwrap();
        let (tenancy, rest) = certificate.key_id.split_once('/').unwrap();
        assert_eq!(tenancy, "ocid1.tenancy.oc1..ours");
        let fingerprint = rest.strip_prefix("fed-x509/").unwrap();
        assert_eq!(fingerprint.split(':').count(), 20);
        // What stands around it is no matter.
        let around = format!("text\n{}\n\n", LEAF.replace('\n', "\r\n"));
        assert_eq!(InstanceCertificate::read(&around), Ok(certificate));
    }

    #[test]
    fn what_is_none_says_why() {
        let cut = LEAF.split_at(LEAF.len() / 2).0;
        for (text, expected) in [
            ("", "not a PEM"),
            (cut, "not a PEM"),
            (&format!("{BEGIN}!{END}"), "not valid base64"),
            (&format!("{BEGIN}AAAA{END}"), "not an X.509"),
            (
                include_str!("../../tests/keys/other-subject.pem"),
                "no tenancy",
            ),
        ] {
            let error = InstanceCertificate::read(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(bare("<html>").is_err());
        assert!(bare("").is_err());
    }
}
