//! The host of a URL: a name of the DNS, or an address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::egress::target_url::TargetError;

/// Characters of a name (RFC 1035 §2.3.4: 255 octets on the wire).
const NAME_BYTES_MAX: usize = 253;

/// Characters between two dots (RFC 1035 §2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// The host of a URL (RFC 3986 §3.2.2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// A name in lower case, without a trailing dot.
    Name(String),
    /// An address in four decimal numbers.
    V4(Ipv4Addr),
    /// An address in brackets.
    V6(Ipv6Addr),
}

impl Host {
    /// Reads a name, or an IPv4 address, as URLs have it.
    ///
    /// # Errors
    /// A text that isn't a host name (RFC 1123 §2.1, with `_`), or that looks like a number in a
    /// form other than four decimal numbers. Resolvers read such a number as an address all the
    /// same (`inet_aton`).
    pub fn name(text: &str) -> Result<Self, TargetError> {
        if let Ok(address) = text.parse() {
            return Ok(Self::V4(address));
        }
        // A trailing dot says that the name is complete (RFC 1034 §3.1). Here names are always
        // complete.
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(TargetError::EmptyHost);
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(TargetError::HostTooLong);
        }
        name.split('.').try_for_each(check_label)?;
        let last = name.rsplit('.').next().unwrap_or_default();
        if looks_like_number(last) {
            return Err(TargetError::NumericHost);
        }
        Ok(Self::Name(name.to_ascii_lowercase()))
    }

    /// Reads a host as an operator writes it: like [`Host::name`], or an IPv6 address with or
    /// without brackets.
    ///
    /// # Errors
    /// The same as [`Host::name`].
    pub fn literal(text: &str) -> Result<Self, TargetError> {
        let inner = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        match inner.unwrap_or(text).parse() {
            Ok(address) => Ok(Self::V6(address)),
            Err(_) => Self::name(text),
        }
    }

    /// Returns the address, if it isn't a name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Name(_) => None,
            Self::V4(address) => Some(IpAddr::V4(*address)),
            Self::V6(address) => Some(IpAddr::V6(*address)),
        }
    }
}

/// Shows the host as URLs have it.
impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::V4(address) => write!(formatter, "{address}"),
            Self::V6(address) => write!(formatter, "[{address}]"),
        }
    }
}

fn check_label(label: &str) -> Result<(), TargetError> {
    if label.len() > LABEL_BYTES_MAX {
        return Err(TargetError::LabelTooLong);
    }
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = !label.is_empty()
        && label.bytes().all(is_known)
        && !label.starts_with('-')
        && !label.ends_with('-');
    if is_label {
        Ok(())
    } else {
        Err(TargetError::BadName)
    }
}

/// Returns whether a name that ends in this label may be an address: digits, or `0x` and
/// hexadecimal digits. No top-level domain has this form (RFC 3696 §2), so no name is lost.
fn looks_like_number(label: &str) -> bool {
    let hexadecimal = label
        .strip_prefix("0x")
        .or_else(|| label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}
