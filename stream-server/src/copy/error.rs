//! Why a copy has ended.

/// Why a copy has ended before it was done.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The command line is wrong; nothing was changed.
    #[error("{0}")]
    Usage(String),
    /// One end failed.
    #[error("{0}. What is copied stays: run it again, and it goes on")]
    Stream(String),
    /// The copy would not be one, or is none.
    #[error("{0}")]
    Refused(String),
    /// All is done, but the source has lost messages on the way.
    #[error("{0}")]
    Lost(String),
    /// Somebody has asked for it.
    #[error("stopped. What is copied stays: run it again, and it goes on")]
    Stopped,
    /// Nobody reads the output.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
}

impl CopyError {
    /// Returns whether the command line is the reason.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Usage(_))
    }
}
