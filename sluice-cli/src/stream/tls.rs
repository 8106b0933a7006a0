//! Which certificates to trust, and what to do if trust fails.

use std::path::Path;
use std::sync::Arc;

use rustls::CertificateError;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::files;
use crate::limits::{CA_FILE_BYTES_MAX, ERROR_CHARS_MAX};
use crate::text;

/// Reads the certificates of the authorities that are trusted instead of the public ones, in PEM.
///
/// # Errors
/// What is wrong with the file.
pub fn read_authorities(path: &Path) -> Result<TlsConfig, String> {
    let pem = files::read_text(path, CA_FILE_BYTES_MAX)?;
    let mut authorities: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(pem.as_bytes()) {
        let item = item.map_err(|_| format!("{}: a PEM in it is damaged", path.display()))?;
        if let PemItem::Certificate(certificate) = item {
            authorities.push(certificate);
        }
    }
    if authorities.is_empty() {
        return Err(format!(
            "{} holds no certificate: give a PEM file with -----BEGIN CERTIFICATE-----",
            path.display()
        ));
    }
    // ureq would leave out what it can't read, and nobody would see the reason.
    let mut store = rustls::RootCertStore::empty();
    for (index, authority) in authorities.iter().enumerate() {
        let der = rustls::pki_types::CertificateDer::from(authority.der());
        store.add(der).map_err(|error| {
            let number = index.saturating_add(1);
            format!("{}: certificate {number} in it: {error}", path.display())
        })?;
    }
    let roots = RootCerts::Specific(Arc::new(authorities));
    Ok(TlsConfig::builder().root_certs(roots).build())
}

/// Returns what is wrong with a connection's security and what to change, if that is what has
/// failed.
pub(super) fn trouble(error: &ureq::Error) -> Option<(String, &'static str)> {
    let error = if let ureq::Error::Rustls(error) = error {
        error
    } else if let ureq::Error::Io(error) = error {
        error.get_ref()?.downcast_ref::<rustls::Error>()?
    } else {
        return None;
    };
    // It quotes the certificate, which nobody has vouched for.
    let problem = text::line(&error.to_string(), ERROR_CHARS_MAX);
    Some((problem, advice(error)))
}

fn advice(error: &rustls::Error) -> &'static str {
    use CertificateError as Bad;
    let rustls::Error::InvalidCertificate(bad) = error else {
        return "Check that --endpoint is the right one and speaks TLS (https), version 1.2 or 1.3";
    };
    let is_foreign = matches!(
        bad,
        Bad::NotValidForName | Bad::NotValidForNameContext { .. }
    );
    let is_dated = matches!(
        bad,
        Bad::Expired
            | Bad::ExpiredContext { .. }
            | Bad::NotValidYet
            | Bad::NotValidYetContext { .. }
    );
    // A signature is invalid if an authority was made again under its old name.
    if matches!(bad, Bad::UnknownIssuer | Bad::BadSignature) {
        "Nobody whom this tool trusts has issued the certificate: give the certificate of the \
         authority with --ca-file, if it is the right one"
    } else if is_foreign {
        "The certificate is another host's: name the endpoint by a name in its certificate"
    } else if is_dated {
        "Check this machine's clock; if it is right, the endpoint needs a new certificate"
    } else {
        "The endpoint needs another certificate"
    }
}
