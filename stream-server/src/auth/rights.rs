//! What the owner of a key may do.

use std::fmt;

/// One kind of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// PutMessages.
    Publish,
    /// Cursors, GetMessages, and all that is done with groups.
    Consume,
    /// The control plane: streams, stream pools and work requests.
    Manage,
}

/// All rights.
const ALL: [Right; 3] = [Right::Publish, Right::Consume, Right::Manage];

impl Right {
    fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Consume => "consume",
            Self::Manage => "manage",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// The rights of one key: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights(Vec<Right>);

impl Rights {
    /// Returns all rights.
    #[must_use]
    pub fn all() -> Self {
        Self(ALL.to_vec())
    }

    /// Reads names of rights, with white space or commas between them.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_between = |c: char| c.is_whitespace() || c == ',';
        let mut rights = Vec::new();
        for name in text.split(is_between).filter(|name| !name.is_empty()) {
            let right = ALL.into_iter().find(|right| right.name() == name);
            rights.push(right.ok_or_else(|| {
                format!("has {name:?}, which is not a right; they are publish, consume and manage")
            })?);
        }
        match rights.is_empty() {
            true => Err("names no right; write publish, consume or manage, or several".to_owned()),
            false => Ok(Self(rights)),
        }
    }

    /// Returns whether the key has this right.
    #[must_use]
    pub fn has(&self, right: Right) -> bool {
        self.0.contains(&right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_words() {
        let parse = |text: &str| Rights::parse(text).map(|rights| ALL.map(|one| rights.has(one)));
        assert_eq!(parse("publish\n"), Ok([true, false, false]));
        assert_eq!(parse("consume,publish"), Ok([true, true, false]));
        assert_eq!(parse(" manage\tconsume "), Ok([false, true, true]));
        assert_eq!(Rights::all().0, ALL);
        for bad in ["", " ,\n", "Publish", "all", "publish read", "# publish"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
