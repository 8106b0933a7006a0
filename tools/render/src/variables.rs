//! Variables of Envoy's environment that the plugins get to see.

use serde_json::Value;
use sluice::stream::signing::PrincipalKind;

use crate::principal;

/// Where a resource principal finds its token and key.
const RESOURCE_PRINCIPAL: [&str; 2] = [
    "OCI_RESOURCE_PRINCIPAL_RPST",
    "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM",
];

/// Their names.
#[derive(Clone, Debug)]
pub(crate) struct Variables {
    pub(crate) accept: Vec<String>,
    pub(crate) drain: Vec<String>,
    /// The one with the key that signs requests to the Stream, if a key does.
    pub(crate) key: Option<String>,
}

impl Variables {
    /// Those that the plugins read with this input.
    pub(crate) fn of(input: &Value) -> Self {
        let own = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        let mut accept = own(&["SLUICE_CALLER_KEY", "SLUICE_SEAL_KEYS"]);
        let mut drain = own(&["SLUICE_WEBHOOK_SECRETS", "SLUICE_SEAL_KEYS"]);
        let key = input.pointer("/stream/signing").and_then(key);
        let mut read: Vec<String> = key.iter().cloned().collect();
        if principal::kind_of(input) == Some(PrincipalKind::Resource) {
            read.extend(own(&RESOURCE_PRINCIPAL));
        }
        accept.extend(read.iter().cloned());
        drain.extend(read);
        for list in ["/targets/allow", "/replies/allow"] {
            let rules = input.pointer(list).and_then(Value::as_array);
            for rule in rules.into_iter().flatten() {
                let secrets = rule.get("secretsEnvironment").and_then(Value::as_str);
                let known = |name: &&str| !drain.iter().any(|known| known == name);
                let secrets = secrets.filter(known).map(str::to_owned);
                drain.extend(secrets);
            }
        }
        Self { accept, drain, key }
    }
}

/// The variable with the key by which a section `stream.signing` signs.
fn key(signing: &Value) -> Option<String> {
    if signing.get("principal").is_some() {
        return None;
    }
    let key = signing.get("privateKeyEnvironment").and_then(Value::as_str);
    Some(key.unwrap_or("OCI_PRIVATE_KEY").to_owned())
}
