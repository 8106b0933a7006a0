//! How requests to the Stream are signed; the same keys in both roles.

use super::Problem;
use super::key::TextForm;
use super::reader::Section;
use crate::stream::signing::{KEY_BITS_MIN, KeyId, PrivateKey, SigningConfig};

/// The environment variable with the private key, unless another is named.
const VARIABLE: &str = "OCI_PRIVATE_KEY";

impl SigningConfig {
    /// Reads the section `signing` of the section `stream`; without one, nothing is signed.
    pub(super) fn read(stream: &mut Section<'_>) -> Option<Self> {
        stream.section("signing", |signing| {
            let key_id = signing.optional_text(
                "keyId",
                "As whom requests to the Stream are signed; without, they aren't: \
                 `<tenancy OCID>/<user OCID>/<fingerprint>`, or `ST$<token>`. Either this or the \
                 next three.",
            );
            signing.declare_form(TextForm::Pattern("^(ST\\$.+|[^/]+/[^/]+/[^/]+)$"));
            let mut part = |key, meaning| signing.optional_text(key, meaning);
            let parts = [
                ("tenancy", part("tenancy", "OCID of the tenancy.")),
                (
                    "user",
                    part("user", "OCID of the user whose API key it is."),
                ),
                (
                    "fingerprint",
                    part("fingerprint", "The API key's fingerprint, as OCI shows it."),
                ),
            ];
            let private_key_environment = signing.text(
                "privateKeyEnvironment",
                VARIABLE,
                "Environment variable of the filter's VM that holds the private key, a PEM without \
                 passphrase (`vm_config.environment_variables.host_env_keys`).",
            );
            signing.declare_form(VARIABLE_NAME);
            if !is_variable(&private_key_environment) {
                let message = "must be the name of an environment variable, not the key itself";
                signing.refuse("privateKeyEnvironment", message.to_owned());
            }
            // The default of the variable alone does not ask for signatures.
            let is_there = key_id.is_some()
                || parts.iter().any(|(_, part)| part.is_some())
                || private_key_environment != VARIABLE;
            let key_id = is_there.then(|| read_key_id(signing, key_id, parts))??;
            Some(Self {
                key_id,
                private_key_environment,
            })
        })
    }

    /// Reads the key from the value of the environment variable.
    ///
    /// # Errors
    /// What is wrong with the variable, with the path of the key that names it.
    pub fn key(&self, variable: Option<&str>) -> Result<PrivateKey, Problem> {
        let name = &self.private_key_environment;
        let problem = |key: &str, message: String| Problem {
            path: format!("$.stream.signing.{key}"),
            message,
        };
        let at_variable = |what: String| {
            let message = format!("the environment variable {name} {what}");
            problem("privateKeyEnvironment", message)
        };
        let Some(text) = variable.filter(|text| !text.trim().is_empty()) else {
            let what = "is not set: give Envoy the key by it, and name it in the plugin's \
                        vm_config.environment_variables.host_env_keys";
            return Err(at_variable(what.to_owned()));
        };
        let key = PrivateKey::from_pem(text, KEY_BITS_MIN);
        let key = key.map_err(|error| at_variable(error.to_string()))?;
        let own = key.fingerprint();
        let own = own.map_err(|error| at_variable(error.to_string()))?;
        match self.key_id.fingerprint() {
            Some(stated) if stated != own => {
                let message = format!(
                    "is {stated}, but the key in the environment variable {name} has the \
                     fingerprint {own}"
                );
                Err(problem("fingerprint", message))
            }
            _ => Ok(key),
        }
    }
}

/// The name of an environment variable.
pub(super) const VARIABLE_NAME: TextForm = TextForm::Pattern("^[A-Za-z_][A-Za-z0-9_]*$");

/// Returns whether this is a valid name by the Open Group's "Environment Variables", in either
/// case.
pub(super) fn is_variable(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(fits) && !name.starts_with(|first: char| first.is_ascii_digit())
}

fn read_key_id(
    signing: &mut Section<'_>,
    whole: Option<String>,
    parts: [(&'static str, Option<String>); 3],
) -> Option<KeyId> {
    if let Some(whole) = whole {
        for (key, _) in parts.iter().filter(|(_, part)| part.is_some()) {
            signing.refuse(
                key,
                "stands in keyId already: leave out one of them".to_owned(),
            );
        }
        return match KeyId::parse(&whole) {
            Ok(key_id) => Some(key_id),
            Err(error) => {
                signing.refuse("keyId", error);
                None
            }
        };
    }
    let mut words = Vec::new();
    for (key, part) in parts {
        match part {
            Some(word) => words.push(word),
            None => signing.refuse(key, "is required, or else keyId".to_owned()),
        }
    }
    if words.len() < 3 {
        return None;
    }
    match KeyId::parse(&words.join("/")) {
        Ok(key_id) => Some(key_id),
        Err(error) => {
            signing.refuse("fingerprint", format!("with tenancy and user {error}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accept::config::AcceptConfig;
    use crate::config::Document;

    const KEY: &str = include_str!("../../tests/keys/rsa-2048-pkcs8.pem");
    const FINGERPRINT: &str = "79:1e:d4:79:05:63:52:b2:30:b6:27:c4:ae:cc:70:7e";

    fn config(signing: &str) -> Result<Option<SigningConfig>, String> {
        let json = format!(
            r#"{{"stream":{{"cluster":"s","authority":"s","streamId":"s","signing":{signing}}}}}"#
        );
        let config = AcceptConfig::from_json(json.as_bytes()).map_err(|error| error.to_string())?;
        Ok(config.stream.signing)
    }

    fn parts(fingerprint: &str) -> String {
        format!(
            r#"{{"tenancy":"ocid1.tenancy.oc1..t","user":"ocid1.user.oc1..u",
                "fingerprint":"{fingerprint}"}}"#
        )
    }

    #[test]
    fn both_ways_to_say_who_signs_are_the_same() {
        let by_parts = config(&parts(FINGERPRINT)).unwrap();
        let whole =
            format!(r#"{{"keyId":"ocid1.tenancy.oc1..t/ocid1.user.oc1..u/{FINGERPRINT}"}}"#);
        assert_eq!(config(&whole).unwrap(), by_parts);
        assert!(by_parts.unwrap().key(Some(KEY)).is_ok());
    }

    #[test]
    fn a_wrong_variable_is_named_with_its_path() {
        let right = config(&parts(FINGERPRINT)).unwrap().unwrap();
        let other = "00:".repeat(15) + "00";
        let other = config(&parts(&other)).unwrap().unwrap();
        let ec = include_str!("../../tests/keys/ec-pkcs8.pem");
        for (config, variable, path, message) in [
            (
                &right,
                None,
                "privateKeyEnvironment",
                "OCI_PRIVATE_KEY is not set",
            ),
            (&right, Some(" \n"), "privateKeyEnvironment", "is not set"),
            (
                &right,
                Some(ec),
                "privateKeyEnvironment",
                "OCI_PRIVATE_KEY holds a private key that",
            ),
            (&other, Some(KEY), "fingerprint", FINGERPRINT),
        ] {
            let problem = config.key(variable).unwrap_err();
            assert_eq!(problem.path, format!("$.stream.signing.{path}"));
            assert!(problem.message.contains(message), "{problem}");
        }
    }
}
