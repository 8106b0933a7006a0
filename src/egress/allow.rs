//! Which explicit targets and reply addresses are allowed (G7): a list of rules. A URL is allowed
//! if one rule allows every part of it. An empty list allows nothing.

use std::fmt;

use crate::egress::path::{is_plain_path, starts_with_segments};
use crate::egress::special_purpose::{is_local_name, special_purpose_address};
use crate::egress::target_url::{Host, Scheme, TargetUrl};

/// The hosts of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// `*`: any public name. With [`Rule::allow_private`] any name and any address.
    Any,
    /// `*.example.com`: every name below this one, but neither itself nor an address.
    Below(String),
    /// This name, or this very address.
    Exact(Host),
}

impl HostPattern {
    /// Reads `*`, `*.` with a name, a name, or an address.
    ///
    /// # Errors
    /// Any other text. The error says what to change.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some(parent) = text.strip_prefix("*.") {
            return match Host::name(parent) {
                Ok(Host::Name(name)) => Ok(Self::Below(name)),
                Ok(Host::V4(_) | Host::V6(_)) => {
                    Err("must have a name behind *., not an address".to_owned())
                }
                Err(error) => Err(error.to_string()),
            };
        }
        if text.contains('*') {
            return Err("must be *, *. with a name behind it, a name, or an address".to_owned());
        }
        Host::literal(text)
            .map(Self::Exact)
            .map_err(|error| error.to_string())
    }
}

/// One rule: it allows what each of its parts allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The scheme; `None` for both.
    pub scheme: Option<Scheme>,
    /// The hosts.
    pub host: HostPattern,
    /// The port; `None` for the scheme's own.
    pub port: Option<u16>,
    /// The start of the path, in whole segments; `None` for any path.
    pub path_prefix: Option<String>,
    /// Whether names and addresses that aren't public are included.
    pub allow_private: bool,
    /// Whether requests to it are signed in OCI's way, with the key of the Stream.
    pub is_signed: bool,
    /// The environment variable with the secrets that sign replies to it; `None` for those of the
    /// gateway.
    pub secrets: Option<String>,
}

/// What an allowed URL gets from all rules that allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed<'a> {
    /// Whether requests to it are signed in OCI's way: true if any of the rules says so.
    pub is_signed: bool,
    /// The variable with the secrets that sign replies to it, from the first rule that names one.
    pub secrets: Option<&'a str>,
}

/// A list of rules. Any of them may allow a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    /// The rules. Their order doesn't matter.
    pub rules: Vec<Rule>,
}

/// What no rule allows, by the rule that came nearest. The text completes "the target …" and
/// doesn't reveal any rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denied {
    /// The host.
    Host,
    /// An address that isn't public.
    SpecialAddress(&'static str),
    /// A name that isn't public.
    LocalName,
    /// The scheme, at this host.
    Scheme,
    /// The port, at this host.
    Port,
    /// The path, at this host.
    Path,
    /// A path that servers read in different ways, if a rule has a path.
    AmbiguousPath,
}

impl fmt::Display for Denied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Host => "has a host that is not allowed here",
            Self::SpecialAddress(meaning) => {
                return write!(
                    formatter,
                    "has an address that is not public ({meaning}) and not allowed here"
                );
            }
            Self::LocalName => "has a name that is not public and not allowed here",
            Self::Scheme => "has a scheme that is not allowed at this host",
            Self::Port => "has a port that is not allowed at this host",
            Self::Path => "has a path that is not allowed at this host",
            Self::AmbiguousPath => {
                "has a path with dot segments, empty segments or encoded separators: write it plain"
            }
        })
    }
}

impl std::error::Error for Denied {}

impl AllowList {
    /// Returns what the rules say about this URL, if one of them allows all of it.
    ///
    /// # Errors
    /// The part that the nearest rule doesn't allow.
    pub fn check(&self, target_url: &TargetUrl) -> Result<Allowed<'_>, Denied> {
        let mut nearest = match target_url.host.address().and_then(special_purpose_address) {
            Some(meaning) => Denied::SpecialAddress(meaning),
            None => Denied::Host,
        };
        let mut allowing: Option<Allowed<'_>> = None;
        for rule in &self.rules {
            match rule.check(target_url) {
                Ok(()) => {
                    let before = allowing.as_ref();
                    allowing = Some(Allowed {
                        is_signed: rule.is_signed || before.is_some_and(|rules| rules.is_signed),
                        secrets: before
                            .and_then(|rules| rules.secrets)
                            .or(rule.secrets.as_deref()),
                    });
                }
                Err(denied) => nearest = nearest.max(denied),
            }
        }
        allowing.ok_or(nearest)
    }
}

impl Rule {
    fn check(&self, target_url: &TargetUrl) -> Result<(), Denied> {
        self.check_host(&target_url.host)?;
        if self
            .scheme
            .is_some_and(|scheme| scheme != target_url.scheme)
        {
            return Err(Denied::Scheme);
        }
        let own_port = target_url.scheme.default_port();
        if target_url.port != self.port.unwrap_or(own_port) {
            return Err(Denied::Port);
        }
        let Some(prefix) = &self.path_prefix else {
            return Ok(());
        };
        let path = target_url.path();
        if !is_plain_path(path) {
            return Err(Denied::AmbiguousPath);
        }
        if starts_with_segments(path, prefix) {
            Ok(())
        } else {
            Err(Denied::Path)
        }
    }

    fn check_host(&self, host: &Host) -> Result<(), Denied> {
        let matches = match (&self.host, host) {
            // An operator who writes out a host means that host, public or not.
            (HostPattern::Exact(exact), _) => {
                return if exact == host {
                    Ok(())
                } else {
                    Err(Denied::Host)
                };
            }
            (HostPattern::Below(parent), Host::Name(name)) => name
                .strip_suffix(parent.as_str())
                .is_some_and(|rest| rest.ends_with('.')),
            (HostPattern::Below(_), Host::V4(_) | Host::V6(_)) => false,
            (HostPattern::Any, Host::Name(_)) => true,
            (HostPattern::Any, Host::V4(_) | Host::V6(_)) => self.allow_private,
        };
        match host {
            _ if !matches => Err(Denied::Host),
            Host::Name(name) if !self.allow_private && is_local_name(name) => {
                Err(Denied::LocalName)
            }
            Host::Name(_) | Host::V4(_) | Host::V6(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(rules: &[(&str, Option<&str>)]) -> AllowList {
        let rules = rules.iter().map(|(host, prefix)| Rule {
            scheme: Some(Scheme::Https),
            host: HostPattern::parse(host).unwrap(),
            port: None,
            path_prefix: prefix.map(str::to_owned),
            allow_private: false,
            is_signed: false,
            secrets: None,
        });
        AllowList {
            rules: rules.collect(),
        }
    }

    fn check(list: &AllowList, url: &str) -> Result<(), Denied> {
        list.check(&TargetUrl::parse(url).unwrap()).map(|_| ())
    }

    #[test]
    fn the_nearest_rule_says_what_is_wrong() {
        let list = list(&[("a.example", Some("/hooks")), ("*.b.example", None)]);
        for (url, expected) in [
            ("https://a.example/hooks", Ok(())),
            ("https://a.example/hooks/x?y", Ok(())),
            ("https://a.example/hooksx", Err(Denied::Path)),
            (
                "https://a.example/hooks/%2e%2e/x",
                Err(Denied::AmbiguousPath),
            ),
            ("https://a.example:8443/hooks", Err(Denied::Port)),
            ("http://a.example/hooks", Err(Denied::Scheme)),
            ("https://b.example/", Err(Denied::Host)),
            ("https://x.y.b.example/", Ok(())),
            ("https://xb.example/", Err(Denied::Host)),
            ("https://10.0.0.1/", Err(Denied::SpecialAddress("private"))),
        ] {
            assert_eq!(check(&list, url), expected, "{url}");
        }
    }

    #[test]
    fn what_a_url_gets_does_not_depend_on_the_order_of_rules() {
        let mut list = list(&[("*", None), ("a.example", None), ("a.example", Some("/x"))]);
        list.rules[1].secrets = Some("OF_A".to_owned());
        list.rules[2].is_signed = true;
        for _ in 0..3 {
            let get = |url: &str| {
                let allowed = list.check(&TargetUrl::parse(url).unwrap()).unwrap();
                (allowed.is_signed, allowed.secrets.map(str::to_owned))
            };
            assert_eq!(get("https://a.example/x"), (true, Some("OF_A".to_owned())));
            assert_eq!(get("https://a.example/"), (false, Some("OF_A".to_owned())));
            assert_eq!(get("https://b.example/x"), (false, None));
            list.rules.rotate_left(1);
        }
    }

    #[test]
    fn an_empty_list_allows_nothing() {
        let nothing = AllowList::default();
        assert_eq!(check(&nothing, "https://a.example/"), Err(Denied::Host));
    }

    #[test]
    fn a_prefix_that_ends_in_a_slash_needs_it() {
        assert!(starts_with_segments("/hooks/", "/hooks/"));
        assert!(starts_with_segments("/hooks/x", "/hooks/"));
        assert!(!starts_with_segments("/hooks", "/hooks/"));
    }

    #[test]
    fn patterns_are_hosts_or_stars() {
        for text in [
            "*.10.0.0.1",
            "a.*.example",
            "*a.example",
            "0x7f.1",
            "",
            "*.",
        ] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
        let loopback = HostPattern::parse("::1").unwrap();
        assert_eq!(loopback, HostPattern::parse("[::1]").unwrap());
    }
}
