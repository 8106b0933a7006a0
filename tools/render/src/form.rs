//! For which host something is written, and which Envoy it has.

use std::fmt;
use std::str::FromStr;

/// Who runs Envoy, and in which words it is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// Envoy with a configuration of its own: `envoy/gateway.yaml`.
    Envoy,
    /// The same with its Stream at Oracle: `envoy/gateway.oci.yaml`.
    EnvoyOci,
    /// Envoy beside one application: `envoy/sidecar.yaml`.
    Sidecar,
    /// Envoy in a container, reached from other containers.
    Compose,
    /// Istio's gateways, by an `EnvoyFilter`.
    Istio,
    /// Envoy Gateway, by an `EnvoyPatchPolicy` and what goes with it.
    EnvoyGateway,
}

impl Host {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 6] = [
        Self::Envoy,
        Self::EnvoyOci,
        Self::Sidecar,
        Self::Istio,
        Self::EnvoyGateway,
        Self::Compose,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Envoy => "envoy",
            Self::EnvoyOci => "envoy-oci",
            Self::Sidecar => "sidecar",
            Self::Compose => "compose",
            Self::Istio => "istio",
            Self::EnvoyGateway => "envoy-gateway",
        }
    }

    /// Whether the whole of Envoy's configuration is written, and not only what a control plane
    /// adds to its own.
    #[must_use]
    pub const fn is_bootstrap(self) -> bool {
        match self {
            Self::Envoy | Self::EnvoyOci | Self::Sidecar | Self::Compose => true,
            Self::Istio | Self::EnvoyGateway => false,
        }
    }

    /// Returns the version of Envoy that is taken where nobody names one. A control plane of an
    /// older version drops fields that it doesn't know without a word, and with them what protects
    /// explicit targets: so it is the oldest, for which those are refused.
    #[must_use]
    pub const fn envoy_by_default(self) -> EnvoyVersion {
        match self.is_bootstrap() {
            true => EnvoyVersion::NEWEST,
            false => EnvoyVersion::OLDEST,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|host| host.name() == text);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|host| host.name()).collect();
            format!("is none of {}", names.join(", "))
        })
    }
}

/// A version of Envoy, as far as configurations differ: its second number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnvoyVersion {
    minor: u32,
}

impl EnvoyVersion {
    /// The oldest that is written for.
    pub const OLDEST: Self = Self { minor: 37 };
    /// The newest that is known.
    pub const NEWEST: Self = Self { minor: 40 };
    /// The first with the filter that serves files (`envoy.filters.http.file_server`).
    pub const FILE_SERVER: Self = Self { minor: 38 };

    /// Whether it can take addresses out of what an explicit target's name resolves to
    /// (`resolved_address_filter`).
    #[must_use]
    pub const fn has_address_filter(self) -> bool {
        self.minor >= 39
    }

    /// Returns whether it can serve files as they are at the moment.
    #[must_use]
    pub const fn has_file_server(self) -> bool {
        self.minor >= Self::FILE_SERVER.minor
    }
}

impl fmt::Display for EnvoyVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "1.{}", self.minor)
    }
}

impl FromStr for EnvoyVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.strip_prefix('v').unwrap_or(text);
        let mut numbers = numbers.split('.');
        let minor = match (numbers.next(), numbers.next()) {
            (Some("1"), Some(minor)) => minor.parse().ok(),
            _ => None,
        };
        let rest = numbers
            .next()
            .is_none_or(|patch| patch.parse::<u32>().is_ok());
        let version = minor.filter(|_| rest && numbers.next().is_none());
        let version = version
            .map(|minor| Self { minor })
            .ok_or("is not a version such as 1.39 or 1.39.4")?;
        if version < Self::OLDEST {
            return Err(format!(
                "is too old: Sluice needs Envoy {} or newer",
                Self::OLDEST
            ));
        }
        Ok(version)
    }
}

/// What is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// For whom.
    pub host: Host,
    /// For which Envoy.
    pub envoy: EnvoyVersion,
}

impl Form {
    /// For the newest Envoy.
    #[must_use]
    pub const fn newest(host: Host) -> Self {
        Self {
            host,
            envoy: EnvoyVersion::NEWEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_with_their_last_number_or_without() {
        for text in ["1.39", "1.39.4", "v1.39.0"] {
            let version: EnvoyVersion = text.parse().unwrap();
            assert_eq!(version.to_string(), "1.39");
            assert!(version.has_address_filter());
        }
        assert!(!"1.38".parse::<EnvoyVersion>().unwrap().has_address_filter());
        for wrong in ["", "1", "2.0", "1.x", "1.39.x", "1.39.1.1", "1.36.2"] {
            assert!(wrong.parse::<EnvoyVersion>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn hosts_have_names() {
        for host in Host::ALL {
            assert_eq!(host.name().parse(), Ok(host));
        }
        assert!(
            "kubernetes"
                .parse::<Host>()
                .unwrap_err()
                .contains("envoy-oci")
        );
    }
}
