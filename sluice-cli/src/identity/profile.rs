//! Oracle's configuration file: an INI file with a section for each profile. The section `DEFAULT`
//! completes their values and the environment overrides them ("SDK and CLI Configuration File",
//! "CLI Environment Variables").

use std::path::Path;

use configparser::ini::{Ini, IniDefault};
use sluice::stream::signing::KeyId;

use super::session::Session;
use super::{Credentials, Environment, Identity, signer};
use crate::files;
use crate::limits::CONFIG_FILE_BYTES_MAX;

/// The file that Oracle's tools read.
const FILE_DEFAULT: &str = "~/.oci/config";
/// The profile that Oracle's tools use.
const PROFILE_DEFAULT: &str = "DEFAULT";
/// The prefix of an entry's name in the environment.
const VARIABLE_PREFIX: &str = "OCI_CLI_";

/// The entries of a profile that are needed here.
#[derive(Debug, Default)]
pub struct Profile {
    /// For messages, such as `profile DEFAULT of ~/.oci/config`.
    origin: String,
    user: Option<String>,
    tenancy: Option<String>,
    fingerprint: Option<String>,
    key_file: Option<String>,
    region: Option<String>,
    security_token_file: Option<String>,
}

impl Profile {
    /// Reads the profile that the options name, or else the environment.
    ///
    /// # Errors
    /// A text that says what to change.
    pub fn read(credentials: &Credentials, environment: Environment<'_>) -> Result<Self, String> {
        let variable = |name: &str| environment(&format!("{VARIABLE_PREFIX}{name}"));
        let named = credentials.config_file.clone();
        let named = named.or_else(|| variable("CONFIG_FILE"));
        let file = named.as_deref().unwrap_or(FILE_DEFAULT);
        let name = credentials.profile.clone();
        let name = name.or_else(|| variable("PROFILE"));
        let path = files::expand_home(file);
        let ini = if named.is_none() && name.is_none() && !path.exists() {
            // The environment may have everything. If not, an error names what is missing.
            Ini::new()
        } else {
            read_ini(&path)?
        };
        let name = name.as_deref().unwrap_or(PROFILE_DEFAULT);
        let has_profile = |section: &String| section.eq_ignore_ascii_case(name);
        if name != PROFILE_DEFAULT && !ini.sections().iter().any(has_profile) {
            return Err(format!(
                "{} has no profile {name}: it has {}",
                path.display(),
                listed(&ini.sections())
            ));
        }
        let entry = |key: &str| {
            let value = variable(&key.to_ascii_uppercase()).or_else(|| ini.get(name, key));
            value.filter(|value| !value.is_empty())
        };
        Ok(Self {
            origin: format!("profile {name} of {file}"),
            user: entry("user"),
            tenancy: entry("tenancy"),
            fingerprint: entry("fingerprint"),
            key_file: entry("key_file"),
            region: entry("region"),
            security_token_file: entry("security_token_file"),
        })
    }

    /// The same, if it has a security token.
    ///
    /// # Errors
    /// A text that says what to change.
    pub fn with_token(self) -> Result<Self, String> {
        match &self.security_token_file {
            Some(_) => Ok(self),
            None => Err(format!(
                "{} has no security_token_file: run `oci session authenticate`",
                self.origin
            )),
        }
    }

    /// Reads the key and, if there is one, the security token, which is renewed by the auth service
    /// of the profile's region, or by the given one.
    ///
    /// # Errors
    /// A text that says what to change.
    pub fn identity(self, auth_endpoint: Option<&str>) -> Result<Identity, String> {
        let Self { origin, .. } = &self;
        let wanted = match &self.security_token_file {
            Some(_) => vec![("key_file", &self.key_file)],
            None => vec![
                ("user", &self.user),
                ("tenancy", &self.tenancy),
                ("fingerprint", &self.fingerprint),
                ("key_file", &self.key_file),
            ],
        };
        let missing = wanted.iter().filter(|(_, value)| value.is_none());
        let missing: Vec<String> = missing.map(|(name, _)| (*name).to_owned()).collect();
        if !missing.is_empty() {
            return Err(format!(
                "no key to sign with: {origin} lacks {}. Write it with `oci setup config`, name \
                 another with --profile and --config-file, or give --key-id and --key-file",
                missing.join(", ")
            ));
        }
        let file = files::expand_home(self.key_file.as_deref().unwrap_or_default());
        let signing = if let Some(token) = &self.security_token_file {
            let region = self.region.as_deref().filter(|region| is_region(region));
            let auth = region.map(|region| format!("https://auth.{region}.oraclecloud.com"));
            let session = Session {
                token: files::expand_home(token),
                key: file,
                auth: auth_endpoint.map(str::to_owned).or(auth),
            };
            let signing = session.signing();
            signing.map_err(|problem| format!("{origin}: {problem}"))?
        } else {
            let key_id = self.key_id();
            let key_id = key_id.map_err(|problem| format!("{origin}: {problem}"))?;
            let signer = signer(key_id, &file, "the profile");
            let signer = signer.map_err(|problem| format!("{origin}: key_file: {problem}"))?;
            signer.into()
        };
        Ok(Identity {
            signing,
            region: self.region,
        })
    }

    fn key_id(&self) -> Result<KeyId, String> {
        let part = |value: &Option<String>| value.clone().unwrap_or_default();
        let (tenancy, user) = (part(&self.tenancy), part(&self.user));
        let key_id = format!("{tenancy}/{user}/{}", part(&self.fingerprint));
        KeyId::parse(&key_id)
            .map_err(|problem| format!("tenancy, user and fingerprint: together they {problem}"))
    }
}

/// Reads the file as Python's configparser does, which Oracle's tools use; but here, capitals in
/// names of profiles don't count.
fn read_ini(path: &Path) -> Result<Ini, String> {
    let mut rules = IniDefault::default();
    rules.cascade_defaults = true;
    rules.enable_inline_comments = false;
    let mut ini = Ini::new_from_defaults(rules);
    let text = files::read_text(path, CONFIG_FILE_BYTES_MAX)?;
    match ini.read(text) {
        Ok(_) => Ok(ini),
        Err(problem) => Err(format!("{}: {problem}", path.display())),
    }
}

/// Returns whether a text can be part of a host.
fn is_region(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_part)
}

fn listed(sections: &[String]) -> String {
    if sections.is_empty() {
        return "none".to_owned();
    }
    let mut sections = sections.to_vec();
    sections.sort();
    sections.join(", ")
}
