//! Order keys that belong to their caller alone: nobody can hold up another caller's calls by
//! guessing a key.
//!
//! What is stored is a hash of the caller and of the key that the caller has sent. Every gateway
//! computes the same hash, before and after a restart, because the caller's identity is the same
//! there. A caller without an identity of its own (only an address, which a client may share with
//! others or change) uses the key as it was sent, like a client that publishes records itself. Such
//! a key never has the form of an own key.

use crate::caller::{CallerIdentity, CallerKey, CallerSecret};

/// The prefix of the hash. An own key is this prefix and 32 hexadecimal digits.
const PREFIX: &str = "own-";

/// The key of the hash if the operator has configured no secret at all. It is not secret, but the
/// hash still tells the keys of two callers apart.
const PUBLIC: &[u8] = b"sluice order keys";

/// Which callers have order keys of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrderKeyScope {
    /// None: all callers share one name space.
    Shared,
    /// Callers with an identity other than an address. All others share a name space.
    #[default]
    Marked,
    /// Every caller, even one that only an address tells apart.
    Everybody,
}

/// Makes the order keys that are stored.
#[derive(Clone, Debug)]
pub struct OrderKeys {
    scope: OrderKeyScope,
    secret: CallerSecret,
}

impl OrderKeys {
    /// Returns order keys without a secret.
    #[must_use]
    pub fn new(scope: OrderKeyScope) -> Self {
        Self {
            scope,
            secret: CallerSecret::of(PUBLIC),
        }
    }

    /// Returns the same with a secret that all gateways have. Then nobody who reads the Stream can
    /// try out which caller and which key are behind a hash.
    #[must_use]
    pub fn keyed_by(mut self, secret: CallerSecret) -> Self {
        self.secret = secret;
        self
    }

    /// Returns the stored form of a key that this caller has sent; `None` if the key looks like an
    /// own key of somebody.
    #[must_use]
    pub fn stored(&self, caller: Option<&CallerIdentity>, key: &str) -> Option<String> {
        if is_own(key) {
            return None;
        }
        let is_owner = match self.scope {
            OrderKeyScope::Shared => false,
            OrderKeyScope::Marked => caller.is_some_and(|identity| !identity.is_address()),
            OrderKeyScope::Everybody => true,
        };
        if !is_owner {
            return Some(key.to_owned());
        }
        let caller = caller.map_or(CallerKey::UNKNOWN, |identity| self.secret.caller(identity));
        let caller = caller.to_string();
        let hash = self
            .secret
            .hash(b"order key", [caller.as_bytes(), key.as_bytes()]);
        Some(format!("{PREFIX}{:032x}", u128::from_be_bytes(hash)))
    }
}

/// Returns the secret for order keys if there is none for callers and credentials are sealed.
/// Otherwise anybody who reads records could try out which credential is behind a hash. It is
/// derived from the key whose id is first in the alphabet, so that it changes only once while keys
/// are rotated.
#[must_use]
pub fn secret_of_seal_keys(keys: &str) -> Option<CallerSecret> {
    let key = keys.split_ascii_whitespace().min()?;
    Some(CallerSecret::of(key.as_bytes()))
}

/// Returns whether a key has the form of an own key.
#[must_use]
pub fn is_own(key: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    key.strip_prefix(PREFIX)
        .is_some_and(|hash| hash.len() == 32 && hash.bytes().all(is_hex))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::CallerRules;

    fn by_header(value: &str) -> CallerIdentity {
        let rules = CallerRules {
            headers: vec!["authorization".to_owned()],
            metadata: None,
        };
        let fields = vec![("authorization".to_owned(), value.into())];
        CallerIdentity::find(&rules, &fields, |_| None).unwrap()
    }

    fn stored(scope: OrderKeyScope, caller: Option<&CallerIdentity>) -> String {
        OrderKeys::new(scope).stored(caller, "k").unwrap()
    }

    #[test]
    fn a_marked_caller_has_keys_of_its_own_that_every_gateway_finds() {
        let (anna, bert) = (by_header("anna"), by_header("bert"));
        let key = stored(OrderKeyScope::Marked, Some(&anna));
        assert!(is_own(&key), "{key}");
        assert_eq!(key, stored(OrderKeyScope::Marked, Some(&anna)));
        assert_ne!(key, stored(OrderKeyScope::Marked, Some(&bert)));
        let keys = OrderKeys::new(OrderKeyScope::Marked);
        assert_ne!(keys.stored(Some(&anna), "l").as_deref(), Some(&*key));
        let keyed = keys.keyed_by(CallerSecret::of(b"s"));
        assert_ne!(keyed.stored(Some(&anna), "k").as_deref(), Some(&*key));
    }

    #[test]
    fn callers_without_a_identity_share_keys_and_never_meet_those_of_others() {
        let address = CallerIdentity::of_address("192.0.2.1");
        assert_eq!(stored(OrderKeyScope::Marked, Some(&address)), "k");
        assert_eq!(stored(OrderKeyScope::Marked, None), "k");
        let own = stored(OrderKeyScope::Marked, Some(&by_header("anna")));
        for scope in [OrderKeyScope::Shared, OrderKeyScope::Marked] {
            assert_eq!(OrderKeys::new(scope).stored(Some(&address), &own), None);
        }
        let almost = [own.to_uppercase(), format!("{own}0"), own.replace('-', "_")];
        for key in almost {
            let keys = OrderKeys::new(OrderKeyScope::Marked);
            assert_eq!(keys.stored(None, &key), Some(key));
        }
    }

    #[test]
    fn a_change_of_seal_keys_changes_order_keys_once() {
        for (old, new) in [("2026-11:a", "2027-01:b"), ("b:a", "a:b")] {
            let steps = [
                old.to_owned(),
                format!("{old} {new}"),
                format!(" {new}\n{old} "),
                new.to_owned(),
            ];
            let secrets = steps.map(|keys| secret_of_seal_keys(&keys).unwrap());
            let changes = secrets.windows(2).filter(|pair| pair[0] != pair[1]);
            assert_eq!(changes.count(), 1, "{old} becomes {new}");
        }
        assert_eq!(secret_of_seal_keys(" "), None);
    }

    #[test]
    fn an_operator_can_have_all_keys_shared_or_each_address_with_its_own() {
        let (anna, address) = (by_header("anna"), CallerIdentity::of_address("192.0.2.1"));
        assert_eq!(stored(OrderKeyScope::Shared, Some(&anna)), "k");
        let keys: std::collections::BTreeSet<String> = [
            Some(&anna),
            Some(&address),
            Some(&CallerIdentity::of_address("192.0.2.2")),
            None,
        ]
        .map(|caller| stored(OrderKeyScope::Everybody, caller))
        .into();
        assert_eq!(keys.len(), 4, "{keys:?}");
        assert!(keys.iter().all(|key| is_own(key)));
    }
}
