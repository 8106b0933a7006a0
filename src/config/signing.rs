//! How requests to the Stream are signed; the same keys in both roles.

use super::Problem;
use super::key::TextForm;
use super::reader::Section;
use crate::record::grammar::is_authority;
use crate::stream::signing::{
    KEY_BITS_MIN, KeyConfig, KeyId, PrincipalConfig, PrincipalKind, PrivateKey, SigningConfig,
};

/// The environment variable with the private key, unless another is named.
const VARIABLE: &str = "OCI_PRIVATE_KEY";

/// The Envoy clusters that principals ask, unless others are named.
const AUTH_CLUSTER: &str = "oci-auth";
const METADATA_CLUSTER: &str = "oci-metadata";
const FILES_CLUSTER: &str = "oci-files";

/// Where OKE exchanges the tokens of service accounts: this port of the Kubernetes service.
const WORKLOAD_AUTHORITY: &str = "kubernetes.default.svc:12250";

impl SigningConfig {
    /// Reads the section `signing` of the section `stream`; without one, nothing is signed. The
    /// Stream's authority tells in which region the auth service is.
    pub(super) fn read(stream: &mut Section<'_>, stream_authority: &str) -> Option<Self> {
        stream.section("signing", |signing| {
            let stated = StatedKey::read(signing);
            let principal = read_principal(signing, stream_authority);
            if !signing.has("principal") {
                return stated.check(signing).map(Self::Key);
            }
            if stated.is_there() {
                let message = "signs by tokens of its own: leave out keyId, tenancy, user, \
                               fingerprint and privateKeyEnvironment";
                signing.refuse("principal", message.to_owned());
            }
            principal.map(Self::Principal)
        })
    }
}

/// What a document says of a key.
struct StatedKey {
    key_id: Option<String>,
    parts: [(&'static str, Option<String>); 3],
    private_key_environment: String,
}

impl StatedKey {
    fn read(signing: &mut Section<'_>) -> Self {
        let key_id = signing.optional_text(
            "keyId",
            "As whom requests to the Stream are signed; without, they aren't: \
             `<tenancy OCID>/<user OCID>/<fingerprint>`, or `ST$<token>`. Either this or the \
             next three, or `principal`.",
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
        Self {
            key_id,
            parts,
            private_key_environment,
        }
    }

    /// Returns whether there is any of it. The variable's default alone asks for nothing.
    fn is_there(&self) -> bool {
        self.key_id.is_some()
            || self.parts.iter().any(|(_, part)| part.is_some())
            || self.private_key_environment != VARIABLE
    }

    fn check(self, signing: &mut Section<'_>) -> Option<KeyConfig> {
        let is_there = self.is_there();
        let key_id = is_there.then(|| read_key_id(signing, self.key_id, self.parts))??;
        Some(KeyConfig {
            key_id,
            private_key_environment: self.private_key_environment,
        })
    }
}

/// Who vouches for the gateway, and where tokens come from.
fn read_principal(signing: &mut Section<'_>, stream_authority: &str) -> Option<PrincipalConfig> {
    let kinds = [
        PrincipalKind::Instance,
        PrincipalKind::Resource,
        PrincipalKind::Workload,
    ];
    let name = signing.optional_text(
        "principal",
        "Instead of a key: requests are signed by a token that is had as the compute `instance`, \
         as the `resource` (container instance, and others with `OCI_RESOURCE_PRINCIPAL_VERSION` \
         2.2) or as the `workload` of OKE, and renewed ahead of its end.",
    );
    signing.declare_form(TextForm::OneOf(kinds.map(PrincipalKind::name).to_vec()));
    let auth_cluster = signing.text(
        "authCluster",
        AUTH_CLUSTER,
        "With `instance` and `workload`: Envoy cluster of the service that gives tokens.",
    );
    let auth_authority = signing.optional_text(
        "authAuthority",
        "Host that this service expects. None: for `instance` \
         `auth.REGION.oraclecloud.com`, where `stream.authority` tells region and realm; for \
         `workload` `kubernetes.default.svc:12250`.",
    );
    let metadata_cluster = signing.text(
        "metadataCluster",
        METADATA_CLUSTER,
        "With `instance`: Envoy cluster of the metadata service, 169.254.169.254:80.",
    );
    let files_cluster = signing.text(
        "filesCluster",
        FILES_CLUSTER,
        "With `resource` and `workload`: Envoy cluster of a listener of this Envoy that serves \
         files (docs/oci.md).",
    );
    let Some(name) = name else {
        // A name that is no string has been refused already. Defaults alone ask for nothing.
        let stated = [
            ("authCluster", auth_cluster != AUTH_CLUSTER),
            ("authAuthority", auth_authority.is_some()),
            ("metadataCluster", metadata_cluster != METADATA_CLUSTER),
            ("filesCluster", files_cluster != FILES_CLUSTER),
        ];
        let is_absent = !signing.has("principal");
        for (key, _) in stated.into_iter().filter(|(_, is_stated)| *is_stated) {
            if is_absent {
                signing.refuse(key, "means something with principal only".to_owned());
            }
        }
        return None;
    };
    let Some(kind) = kinds.into_iter().find(|kind| kind.name() == name) else {
        let message = "must be instance, resource or workload".to_owned();
        signing.refuse("principal", message);
        return None;
    };
    Some(PrincipalConfig {
        kind,
        auth_cluster,
        auth_authority: check_authority(signing, kind, auth_authority, stream_authority)?,
        metadata_cluster,
        files_cluster,
    })
}

/// The host of the service that gives tokens: the one that is stated, or the one that is known.
fn check_authority(
    signing: &mut Section<'_>,
    kind: PrincipalKind,
    stated: Option<String>,
    stream_authority: &str,
) -> Option<String> {
    if stated
        .as_ref()
        .is_some_and(|authority| !is_authority(authority))
    {
        let message = "must be a host, with a port or without".to_owned();
        signing.refuse("authAuthority", message);
    }
    let known = match kind {
        PrincipalKind::Instance => auth_host(stream_authority),
        PrincipalKind::Workload => Some(WORKLOAD_AUTHORITY.to_owned()),
        // Nobody is asked.
        PrincipalKind::Resource => Some(String::new()),
    };
    let authority = stated.or(known);
    if authority.is_none() {
        let message = "is required, because stream.authority isn't \
                       cell-N.streaming.REGION.oci.REALM: give the host of the region's auth \
                       service, as auth.eu-frankfurt-1.oraclecloud.com";
        signing.refuse("authAuthority", message.to_owned());
    }
    authority
}

/// The auth service in the region and realm of a messages endpoint.
fn auth_host(stream_authority: &str) -> Option<String> {
    let (_, place) = stream_authority.split_once(".streaming.")?;
    let (region, realm) = place.split_once(".oci.")?;
    Some(format!("auth.{region}.{realm}"))
}

impl KeyConfig {
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
        let Some(SigningConfig::Key(key)) = by_parts else {
            panic!("no key");
        };
        assert!(key.key(Some(KEY)).is_ok());
    }

    fn key_config(signing: &str) -> KeyConfig {
        match config(signing) {
            Ok(Some(SigningConfig::Key(key))) => key,
            other => panic!("{other:?}"),
        }
    }

    fn principal(authority: &str, signing: &str) -> Result<PrincipalConfig, String> {
        let json = format!(
            r#"{{"stream":{{"cluster":"s","authority":"{authority}","streamId":"s",
                "signing":{signing}}}}}"#
        );
        let config = AcceptConfig::from_json(json.as_bytes()).map_err(|error| error.to_string())?;
        match config.stream.signing {
            Some(SigningConfig::Principal(principal)) => Ok(principal),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_auth_service_is_that_of_the_streams_region_and_realm() {
        for (authority, expected) in [
            (
                "cell-1.streaming.eu-frankfurt-1.oci.oraclecloud.com",
                "auth.eu-frankfurt-1.oraclecloud.com",
            ),
            (
                "cell-2.streaming.uk-gov-london-1.oci.oraclegovcloud.uk",
                "auth.uk-gov-london-1.oraclegovcloud.uk",
            ),
        ] {
            let config = principal(authority, r#"{"principal":"instance"}"#).unwrap();
            assert_eq!(config.auth_authority, expected);
        }
        let stated = r#"{"principal":"instance","authAuthority":"auth.example"}"#;
        assert_eq!(
            principal("s", stated).unwrap().auth_authority,
            "auth.example"
        );
        let error = principal("s", r#"{"principal":"instance"}"#).unwrap_err();
        assert!(
            error.contains("$.stream.signing.authAuthority: is required"),
            "{error}"
        );
        let workload = principal("s", r#"{"principal":"workload"}"#).unwrap();
        assert_eq!(workload.auth_authority, WORKLOAD_AUTHORITY);
    }

    #[test]
    fn a_principal_and_a_key_exclude_each_other() {
        for (signing, expected) in [
            (
                r#"{"principal":"instance","user":"ocid1.user.oc1..u"}"#,
                "principal: signs by tokens of its own",
            ),
            (
                r#"{"principal":"me"}"#,
                "principal: must be instance, resource or workload",
            ),
            (r#"{"principal":7}"#, "principal: must be a string"),
            (
                r#"{"filesCluster":"x"}"#,
                "filesCluster: means something with principal only",
            ),
            (
                r#"{"principal":"workload","authAuthority":"a b"}"#,
                "authAuthority: must be a host",
            ),
        ] {
            let error = config(signing).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_wrong_variable_is_named_with_its_path() {
        let right = key_config(&parts(FINGERPRINT));
        let other = "00:".repeat(15) + "00";
        let other = key_config(&parts(&other));
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
