//! Why a URL is refused, in words for the person who wrote it.

use std::fmt;

use crate::limits::DESTINATION_BYTES_MAX;

/// Why a text is not a valid [`crate::egress::target_url::TargetUrl`]. The message says what to
/// change, and completes the name of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// More than [`DESTINATION_BYTES_MAX`] bytes.
    TooLong,
    /// A character outside ASCII.
    NotAscii {
        /// Its first byte, from 0.
        position: usize,
    },
    /// A `\`, which some parsers take for a `/`.
    Backslash {
        /// Its byte, from 0.
        position: usize,
    },
    /// A control character or a space.
    ControlOrSpace {
        /// Its byte, from 0.
        position: usize,
    },
    /// No scheme, or no `//` after it.
    NotAbsolute,
    /// A scheme other than `http` and `https`.
    Scheme,
    /// Text before an `@`.
    UserInfo,
    /// A `#`.
    Fragment,
    /// No host.
    EmptyHost,
    /// A `%` in the host.
    EncodedHost,
    /// A `%` in an IPv6 address.
    ZoneId,
    /// An address literal of a future version (RFC 3986 §3.2.2).
    UnknownAddressVersion,
    /// A number that isn't an address in four decimal numbers.
    NumericHost,
    /// More than 253 characters.
    HostTooLong,
    /// More than 63 characters between two dots.
    LabelTooLong,
    /// Not a host name.
    BadName,
    /// A port that is empty, zero, starts with a zero, or is too large.
    Port,
    /// Anything else that RFC 3986 doesn't allow.
    Syntax {
        /// The first byte that can't be there, from 0.
        position: usize,
    },
}

impl fmt::Display for TargetError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::TooLong => {
                return write!(
                    formatter,
                    "is longer than {DESTINATION_BYTES_MAX} bytes: shorten it"
                );
            }
            Self::NotAscii { position } => {
                return write!(
                    formatter,
                    "has a character outside ASCII at byte {position}: write a host name in its \
                     ASCII form xn--\u{2026}, and percent-encode the rest"
                );
            }
            Self::Backslash { position } => {
                return write!(
                    formatter,
                    "has a backslash at byte {position}: write / or percent-encode it as %5C"
                );
            }
            Self::ControlOrSpace { position } => {
                return write!(
                    formatter,
                    "has a control character or a space at byte {position}: percent-encode it"
                );
            }
            Self::Syntax { position } => {
                return write!(
                    formatter,
                    "is not a URL by RFC 3986 from byte {position} on: percent-encode what isn't \
                     allowed there"
                );
            }
            Self::NotAbsolute => "must be an absolute URL that starts with https:// or http://",
            Self::Scheme => "must start with https:// or http://",
            Self::UserInfo => {
                "must not have user information before an @: send credentials in a header"
            }
            Self::Fragment => "must not have a fragment: leave out the # and what follows it",
            Self::EmptyHost => "has no host: write one behind the //",
            Self::EncodedHost => "must not have % in its host: write the name itself",
            Self::ZoneId => {
                "must not have a zone in its IPv6 address: leave out the % and the zone"
            }
            Self::UnknownAddressVersion => "has an address that is neither IPv4 nor IPv6",
            Self::NumericHost => {
                "has a host that looks like a number: write an IPv4 address as four decimal \
                 numbers without leading zeros"
            }
            Self::HostTooLong => "has a host name of more than 253 characters",
            Self::LabelTooLong => "has more than 63 characters between two dots of its host name",
            Self::BadName => {
                "has a host that is not a valid name: use letters, digits, - and _ between single \
                 dots, and no - at either end"
            }
            Self::Port => {
                "must have a port from 1 to 65535 without leading zeros, or no port and no colon"
            }
        };
        formatter.write_str(text)
    }
}

impl std::error::Error for TargetError {}
