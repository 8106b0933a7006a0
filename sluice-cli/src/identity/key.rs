//! The private key, and signatures by it.

use std::path::Path;

use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::sign::Signer;
use sluice::stream::signing::{Fingerprint, KEY_BITS_MIN, PrivateKey, RsaSha256};

use crate::files;
use crate::limits::KEY_FILE_BYTES_MAX;

/// Returns the key of a file, and its fingerprint as OCI shows it.
pub(super) fn read(path: &Path) -> Result<(Box<dyn RsaSha256>, Fingerprint), String> {
    let pem = files::read_text(path, KEY_FILE_BYTES_MAX)?;
    parse(&pem).map_err(|problem| format!("{} {problem}", path.display()))
}

/// Returns the key of a PEM, and its fingerprint. An error completes "the file …".
pub(super) fn parse(pem: &str) -> Result<(Box<dyn RsaSha256>, Fingerprint), String> {
    let key = PrivateKey::from_pem(pem, KEY_BITS_MIN).map_err(|error| error.to_string())?;
    let fingerprint = key.fingerprint().map_err(|error| error.to_string())?;
    Ok((of(&key)?, fingerprint))
}

/// Signatures by a key.
pub(super) fn of(key: &PrivateKey) -> Result<Box<dyn RsaSha256>, String> {
    let der = key.to_der().map_err(|error| error.to_string())?;
    let unusable = || "holds an RSA key that can't be used; make one of 2048 to 4096 bits";
    let key = any_supported_type(&PrivatePkcs8KeyDer::from(der).into()).map_err(|_| unusable())?;
    let signer = key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]);
    Ok(Box::new(TlsLibrary(signer.ok_or_else(unusable)?)))
}

/// Signs with RSA by the library that TLS uses here, in constant time.
struct TlsLibrary(Box<dyn Signer>);

impl RsaSha256 for TlsLibrary {
    fn sign(&mut self, text: &[u8]) -> Result<Vec<u8>, String> {
        let signature = self.0.sign(text);
        signature.map_err(|error| format!("it can't be signed: {error}"))
    }

    fn name(&self) -> &'static str {
        "rustls with ring"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice::id::Entropy;

    const KEY: &str = include_str!("../../../tests/keys/rsa-2048-pkcs8.pem");

    #[test]
    fn both_implementations_of_rsa_agree() {
        let (mut here, fingerprint) = parse(KEY).unwrap();
        let key = PrivateKey::from_pem(KEY, KEY_BITS_MIN).unwrap();
        assert_eq!(fingerprint, key.fingerprint().unwrap());
        let mut there = key.signs_itself(Entropy::from_seed([7; 32]));
        assert_eq!(here.sign(b"text").unwrap(), there.sign(b"text").unwrap());
    }

    #[test]
    fn an_encrypted_key_says_what_to_do() {
        let encrypted = include_str!("../../../tests/keys/rsa-2048-encrypted.pem");
        let problem = parse(encrypted).err().unwrap();
        assert!(problem.contains("openssl pkey"), "{problem}");
    }
}
