//! Keys and configuration files as Oracle's tools have them.

use std::path::{Path, PathBuf};

pub const PRIVATE: &str = include_str!("../../../tests/keys/rsa-2048-pkcs8.pem");
pub const PUBLIC: &str = include_str!("../../../tests/keys/rsa-2048-public.pem");
pub const ENCRYPTED: &str = include_str!("../../../tests/keys/rsa-2048-encrypted.pem");
/// Another key's.
pub const OTHER_PUBLIC: &str = include_str!("../../../stream-server/tests/keys/official.pub.pem");

pub const TENANCY: &str = "ocid1.tenancy.oc1..t";
pub const USER: &str = "ocid1.user.oc1..u";
pub const TOKEN: &str = "eyJ.token";

/// Returns the fingerprint of [`PRIVATE`].
pub fn fingerprint() -> String {
    use sluice::stream::signing::{KEY_BITS_MIN, PrivateKey};
    let key = PrivateKey::from_pem(PRIVATE, KEY_BITS_MIN).unwrap();
    key.fingerprint().unwrap().to_string()
}

pub fn key_id() -> String {
    format!("{TENANCY}/{USER}/{}", fingerprint())
}

/// Returns a home with a key and Oracle's configuration file in it: a user's in DEFAULT, a session
/// of that user, and one profile without anything of its own.
pub fn home(folder: &Path) -> PathBuf {
    let oci = folder.join(".oci");
    std::fs::create_dir_all(&oci).unwrap();
    std::fs::write(oci.join("key.pem"), PRIVATE).unwrap();
    std::fs::write(oci.join("encrypted.pem"), ENCRYPTED).unwrap();
    std::fs::write(oci.join("token"), format!("{TOKEN}\n")).unwrap();
    let fingerprint = fingerprint();
    let text = format!(
        "# Oracle's tools\n[DEFAULT]\nuser={USER}\nfingerprint = {fingerprint}\n\
         key_file=~/.oci/key.pem\ntenancy={TENANCY}\n\n\
         [same]\n\n[session]\nsecurity_token_file=~/.oci/token\n\n\
         [secret]\nkey_file=~/.oci/encrypted.pem\n\n\
         [stranger]\nfingerprint=00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff\n"
    );
    std::fs::write(oci.join("config"), text).unwrap();
    folder.to_owned()
}
