//! Lists of header names, as an operator writes them: whole names, and starts of names.

use crate::http::is_token;

/// A list of header fields, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameList(Vec<Pattern>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Whole(String),
    Start(String),
}

impl NameList {
    /// Reads names such as `location`, and starts such as `content-*`, in any case.
    ///
    /// # Errors
    /// The first text that is neither.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let pattern = |text: &'a str| {
            let name = text.strip_suffix('*').unwrap_or(text).to_ascii_lowercase();
            if !is_token(name.as_bytes()) || name.contains('*') {
                return Err(format!(
                    "{text:?} must be the name of a header, or the start of names with a * behind \
                     it, such as content-*"
                ));
            }
            Ok(match text.ends_with('*') {
                true => Pattern::Start(name),
                false => Pattern::Whole(name),
            })
        };
        Ok(Self(
            texts.into_iter().map(pattern).collect::<Result<_, _>>()?,
        ))
    }

    /// Returns whether the list has a field with this name, in lower case.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| match pattern {
            Pattern::Whole(whole) => whole == name,
            Pattern::Start(start) => name.starts_with(start.as_str()),
        })
    }

    /// Returns whether the list is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_and_starts_are_told_apart() {
        let list = NameList::parse(["Location", "content-*"]).unwrap();
        for name in ["location", "content-", "content-type"] {
            assert!(list.has(name), "{name}");
        }
        for name in ["locations", "x-location", "conten", ""] {
            assert!(!list.has(name), "{name}");
        }
        assert!(!NameList::default().has("location"));
        for bad in ["", "*", "a b", "*-type", "a*b", "a**", "a:"] {
            assert!(NameList::parse(["etag", bad]).is_err(), "{bad}");
        }
    }
}
