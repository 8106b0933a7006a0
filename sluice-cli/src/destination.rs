//! Where calls go back to. Everybody who can write on the dead stream decides what a letter says,
//! so the letter decides nothing. Calls go to the configured stream, and to another one only if a
//! person has said so.

/// The stream that calls go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Configured {
    /// Named by `--stream`: everything goes there.
    Named(String),
    /// Not named: this stream, for letters of calls that were on it.
    Default(String),
}

/// Where the call of one letter goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination<'a> {
    /// The call goes to this stream.
    Stream(&'a str),
    /// The call was on this other stream, so a person has to say where it goes.
    Unclear(&'a str),
}

impl Configured {
    /// Returns the stream itself.
    #[must_use]
    pub fn stream(&self) -> &str {
        match self {
            Self::Named(stream) | Self::Default(stream) => stream,
        }
    }

    /// Returns where the call of a letter goes that says it was on `stood_on`. Calls from the lanes
    /// of the default stream go to the default stream. The ids of its lanes are its own id with `-`
    /// and more.
    #[must_use]
    pub fn of<'a>(&'a self, stood_on: Option<&'a str>) -> Destination<'a> {
        let (Self::Default(stream), Some(stood_on)) = (self, stood_on) else {
            return Destination::Stream(self.stream());
        };
        match stood_on.strip_prefix(stream.as_str()) {
            Some(rest) if rest.is_empty() || rest.starts_with('-') => Destination::Stream(stream),
            Some(_) | None => Destination::Unclear(stood_on),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_decides_nothing() {
        let named = Configured::Named("ocid1.named".to_owned());
        for stood_on in [None, Some("ocid1.named"), Some("ocid1.other"), Some("../x")] {
            assert_eq!(named.of(stood_on), Destination::Stream("ocid1.named"));
        }
        let default = Configured::Default("ocid1.calls".to_owned());
        let ours = Destination::Stream("ocid1.calls");
        for stood_on in [None, Some("ocid1.calls"), Some("ocid1.calls-5s")] {
            assert_eq!(default.of(stood_on), ours);
        }
        for other in ["ocid1.other", "ocid1.calls2", "ocid1.call", "../x", ""] {
            assert_eq!(default.of(Some(other)), Destination::Unclear(other));
        }
    }
}
