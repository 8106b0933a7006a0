//! What is known of a key of a document: the source of its reference, its schema and its example.

use std::fmt;
use std::ops::RangeInclusive;

use serde_json::Value;

/// What is known of one key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyDocumentation {
    /// The key's JSON path; a key in the items of a list is `$.list[].key`.
    pub path: String,
    /// Which values are allowed.
    pub kind: KeyKind,
    /// What happens if the key is absent.
    pub absent: Absent,
    /// One or more sentences.
    pub meaning: &'static str,
}

/// What the value of a key may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// `true` or `false`.
    Flag,
    /// A string that isn't empty.
    Text(TextForm),
    /// A whole number, from the first to the last of a range.
    Integer {
        /// What is counted.
        unit: &'static str,
        /// The least and the greatest.
        range: RangeInclusive<u64>,
    },
    /// A list of strings, none of them empty.
    Texts {
        /// The form of each string.
        form: TextForm,
        /// The most items.
        items_max: usize,
    },
    /// A list of objects. Their keys follow in the declaration.
    Objects {
        /// The most items.
        items_max: usize,
    },
}

/// The form of a string, as far as it can be described without the code that reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextForm {
    /// Any text.
    Any,
    /// One of these texts.
    OneOf(Vec<&'static str>),
    /// A regular expression (ECMA-262) that every valid text matches.
    Pattern(&'static str),
}

/// What happens if a key is absent.
#[derive(Clone, Debug, PartialEq)]
pub enum Absent {
    /// The document is refused.
    Refused,
    /// Something that no value can express.
    Unset,
    /// The same as with this value.
    Default(Value),
}

impl fmt::Display for KeyKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => formatter.write_str("true or false"),
            Self::Text(_) => formatter.write_str("string"),
            Self::Integer { unit, range } => write!(
                formatter,
                "integer, {unit}, {} to {}",
                range.start(),
                range.end()
            ),
            Self::Texts { items_max, .. } => {
                write!(formatter, "list of strings, up to {items_max}")
            }
            Self::Objects { items_max } => write!(formatter, "list of objects, up to {items_max}"),
        }
    }
}
