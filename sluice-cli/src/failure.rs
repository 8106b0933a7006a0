//! How a command ends if it fails, and the exit codes.

use crate::stream::StreamError;

/// Something failed: the endpoint can't be reached, or not everything could be done.
pub const EXIT_FAILED: u8 = 1;
/// The command line is wrong; also clap's own code.
pub const EXIT_USAGE: u8 = 2;
/// No letter matched.
pub const EXIT_NOTHING: u8 = 3;

/// Why a command didn't do what it should.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line is wrong, or a file that it names. Nothing was sent.
    #[error("{0}")]
    Usage(String),
    /// No letter matched.
    #[error("{0}")]
    Nothing(String),
    /// Some or all of the work failed.
    #[error("{0}")]
    Failed(String),
    /// The stream endpoint failed.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// Nobody reads the output.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
}

impl Failure {
    /// Returns the exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => EXIT_USAGE,
            Self::Nothing(_) => EXIT_NOTHING,
            Self::Failed(_) | Self::Stream(_) | Self::Output(_) => EXIT_FAILED,
        }
    }
}
