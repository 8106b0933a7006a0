//! An Envoy's version.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Error, Result};

/// A release of Envoy, such as 1.40.0. A later one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// The version of these three numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Reads `/path/of/envoy  version: 9e55…/1.40.0/Clean/RELEASE/BoringSSL`.
    pub(super) fn of_build(text: &str) -> Option<Self> {
        let (_, build) = text.rsplit_once("version: ")?;
        let full = build.split('/').nth(1)?;
        full.split('-').next()?.parse().ok()
    }
}

impl FromStr for Version {
    type Err = Error;

    /// Reads `1.40.0`, and `1.40` for the first release of that minor version.
    fn from_str(text: &str) -> Result<Self> {
        let numbers: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
        match numbers.as_deref() {
            Some([major, minor]) => Some(Self::new(*major, *minor, 0)),
            Some([major, minor, patch]) => Some(Self::new(*major, *minor, *patch)),
            _ => None,
        }
        .with_context(|| format!("'{text}' is no version such as 1.40.0"))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_build_is_read() {
        let line = "\n/opt/envoy  version: 9e558093/1.40.0/Clean/RELEASE/BoringSSL\n";
        assert_eq!(Version::of_build(line), Some(Version::new(1, 40, 0)));
        let line = "envoy  version: 9e558093/1.41.0-dev/Clean/RELEASE/BoringSSL";
        assert_eq!(Version::of_build(line), Some(Version::new(1, 41, 0)));
        assert_eq!(Version::of_build("envoy"), None);
    }

    #[test]
    fn a_version_may_lack_its_last_number() {
        assert_eq!("1.39".parse::<Version>().unwrap(), Version::new(1, 39, 0));
        assert_eq!("1.39.3".parse::<Version>().unwrap().to_string(), "1.39.3");
        for wrong in ["", "1", "1.x", "1.39.3.1", "-1.2"] {
            assert!(wrong.parse::<Version>().is_err(), "{wrong}");
        }
    }
}
