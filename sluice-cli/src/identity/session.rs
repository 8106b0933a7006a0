//! The session token of a profile, which `oci session authenticate` has got: it is renewed as
//! `oci session refresh` does it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sluice::principal::exchange::{instance_token, refresh_request, text};
use sluice::principal::token::Token;
use sluice::stream::signing::{KeyId, Signer};
use sluice::time::Wall;

use super::sources::{Sources, now};
use super::{key, signing::Signing};
use crate::files;
use crate::limits::KEY_FILE_BYTES_MAX;

/// A session, as a profile has it.
pub(super) struct Session {
    /// The file of the token.
    pub(super) token: PathBuf,
    /// The file of the session key.
    pub(super) key: PathBuf,
    /// The auth service; without it nothing is renewed.
    pub(super) auth: Option<String>,
}

impl Session {
    /// Signs by its token. A token that isn't one of OCI's is used as it is.
    pub(super) fn signing(self) -> Result<Signing, String> {
        let text = self.read()?;
        if Token::ends(&text).is_none() {
            return Ok(self.signer(&text)?.into());
        }
        Signing::renewed(Box::new(move || self.current(now())), now())
    }

    fn read(&self) -> Result<String, String> {
        let text = files::read_text(&self.token, KEY_FILE_BYTES_MAX);
        let text = text.map_err(|problem| format!("security_token_file: {problem}"))?;
        Ok(text.trim().to_owned())
    }

    fn signer(&self, token: &str) -> Result<Signer, String> {
        let key_id = KeyId::parse(&format!("ST${token}")).map_err(|problem| {
            let file = self.token.display();
            format!("security_token_file: the token in {file} {problem}")
        })?;
        let (rsa, _) = key::read(&self.key).map_err(|problem| format!("key_file: {problem}"))?;
        Ok(Signer::new(key_id, rsa))
    }

    /// The token of the file, or another one if half of its time is over. Somebody else may have
    /// renewed it in between.
    fn current(&self, now: Wall) -> Result<(Signer, Wall), String> {
        let text = self.read()?;
        let token = Token::read(&text, now).map_err(|why| {
            let file = self.token.display();
            format!(
                "security_token_file: the token in {file} {why}. Run `oci session authenticate`"
            )
        })?;
        let mut signer = self.signer(token.text())?;
        let is_due = token.half_time(token.issued) <= now;
        let Some(auth) = self.auth.as_ref().filter(|_| is_due) else {
            return Ok((signer, token.expires));
        };
        match renew(auth, &token, &mut signer, now) {
            Ok(next) => {
                let signer = self.signer(next.text())?;
                if let Err(error) = replace(&self.token, next.text()) {
                    let file = self.token.display();
                    eprintln!("sluice: the renewed token is not written to {file}: {error}");
                }
                Ok((signer, next.expires))
            }
            Err(why) => {
                eprintln!(
                    "sluice: the session's token is not renewed: {why}. It serves until {}",
                    token.expires
                );
                Ok((signer, token.expires))
            }
        }
    }
}

fn renew(auth: &str, token: &Token, signer: &mut Signer, now: Wall) -> Result<Token, String> {
    let sources = Sources::at(auth)?;
    let mut request = refresh_request(sources.authority(), token.text())?;
    signer.sign(&mut request, now)?;
    let answer = text(
        &format!("the auth service at {auth}"),
        sources.post(&request),
    )?;
    let next = instance_token(&answer);
    let next = next.map_err(|why| format!("the auth service's answer {why}"))?;
    Token::read(&next, now).map_err(|why| format!("the new token {why}"))
}

/// Replaces a file as a whole; only its owner may read it.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    // Not the link that it may be.
    let path = fs::canonicalize(path)?;
    let mut new = path.clone().into_os_string();
    new.push(format!(".{}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(&new);
    let written = file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)
    });
    if written.is_err() {
        let _gone = fs::remove_file(&new);
    }
    written
}
