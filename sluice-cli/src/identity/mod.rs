//! Who signs requests: a profile of Oracle's configuration file, a named key, or a principal.

mod key;
mod principal;
mod profile;
mod session;
mod signing;
mod sources;

use std::path::Path;

use clap::Args;
use sluice::stream::signing::{KeyId, Signer};

use crate::files::expand_home;

pub use principal::Auth;
pub use profile::Profile;
pub use signing::Signing;

/// Options about signing.
#[derive(Clone, Debug, Default, Args)]
pub struct Credentials {
    /// Who signs, in the words of Oracle's CLI [default for https endpoints: $OCI_CLI_AUTH, else
    /// what the profile has]
    #[arg(
        long,
        global = true,
        help_heading = "Signing",
        value_name = "WHO",
        value_enum
    )]
    pub auth: Option<Auth>,
    /// Service that gives tokens to principals and sessions [default: that of the instance's or the
    /// profile's region, or of OKE]
    #[arg(long, global = true, help_heading = "Signing", value_name = "URL")]
    pub auth_endpoint: Option<String>,
    /// Sign as this profile of Oracle's configuration file [default for https endpoints:
    /// $OCI_CLI_PROFILE, else DEFAULT]
    #[arg(long, global = true, help_heading = "Signing", value_name = "NAME")]
    pub profile: Option<String>,
    /// Oracle's configuration file [default: $OCI_CLI_CONFIG_FILE, else ~/.oci/config]
    #[arg(long, global = true, help_heading = "Signing", value_name = "FILE")]
    pub config_file: Option<String>,
    /// Sign as TENANCY/USER/FINGERPRINT, instead of as a profile
    #[arg(long, global = true, help_heading = "Signing", value_name = "ID")]
    pub key_id: Option<String>,
    /// Private key of --key-id: RSA, PEM, without passphrase
    #[arg(long, global = true, help_heading = "Signing", value_name = "FILE")]
    pub key_file: Option<String>,
}

/// Returns a variable of the environment, if it has a value.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Who signs.
#[derive(Debug)]
pub struct Identity {
    /// Signs requests.
    pub signing: Signing,
    /// The region of the profile.
    pub region: Option<String>,
}

impl Credentials {
    /// Returns whether the command line asks for signatures.
    #[must_use]
    pub fn are_given(&self) -> bool {
        self.has_key() || self.auth.is_some() || self.auth_endpoint.is_some()
    }

    /// Returns whether the command line names a key.
    fn has_key(&self) -> bool {
        let keys = [
            &self.profile,
            &self.config_file,
            &self.key_id,
            &self.key_file,
        ];
        keys.iter().any(|option| option.is_some())
    }

    /// Reads keys and configuration.
    ///
    /// # Errors
    /// What to change.
    pub fn identity(&self, environment: Environment<'_>) -> Result<Identity, String> {
        let auth = match self.auth {
            Some(auth) => Some(auth),
            // A key that is named counts more than the environment.
            None if self.has_key() => None,
            None => Auth::of_environment(environment)?,
        };
        if let Some(kind) = auth.and_then(Auth::principal) {
            if self.has_key() {
                return Err(
                    "a principal signs without a key: leave out --auth, or --profile, \
                     --config-file, --key-id and --key-file"
                        .to_owned(),
                );
            }
            return principal::identity(kind, self.auth_endpoint.as_deref(), environment);
        }
        let is_token = auth == Some(Auth::SecurityToken);
        if self.auth_endpoint.is_some() && !is_token {
            return Err(
                "--auth-endpoint is for tokens: give --auth with who has one, or leave it out"
                    .to_owned(),
            );
        }
        match (&self.key_id, &self.key_file) {
            (None, None) => {
                let mut profile = Profile::read(self, environment)?;
                if is_token {
                    profile = profile.with_token()?;
                }
                profile.identity(self.auth_endpoint.as_deref())
            }
            (Some(_), Some(_)) if self.profile.is_some() || self.config_file.is_some() => Err(
                "--key-id and --key-file are instead of --profile and --config-file: leave out \
                 either"
                    .to_owned(),
            ),
            (Some(key_id), Some(file)) => {
                let key_id = KeyId::parse(key_id);
                let key_id = key_id.map_err(|problem| format!("--key-id: it {problem}"))?;
                let signer = signer(key_id, &expand_home(file), "--key-id")
                    .map_err(|problem| format!("--key-file: {problem}"))?;
                Ok(Identity {
                    signing: signer.into(),
                    region: None,
                })
            }
            (Some(_), None) | (None, Some(_)) => {
                Err("--key-id and --key-file belong together: give both".to_owned())
            }
        }
    }
}

/// Returns a signer for `key_id`, which `origin` names, with the key of a file.
fn signer(key_id: KeyId, file: &Path, origin: &str) -> Result<Signer, String> {
    let (rsa, found) = key::read(file)?;
    if let Some(named) = key_id.fingerprint()
        && named != found
    {
        return Err(format!(
            "{} is another key than {origin} names: its fingerprint is {found}, not {named}",
            file.display()
        ));
    }
    Ok(Signer::new(key_id, rsa))
}
