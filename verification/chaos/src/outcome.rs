//! What came of a run.

use std::path::PathBuf;

use crate::history::History;
use crate::verdict::Verdict;

/// What came of a run.
pub struct Outcome {
    /// What happened.
    pub history: History,
    /// What it amounts to.
    pub verdict: Verdict,
    /// Lines of Envoys' logs that tell of a VM that has died.
    pub traps: Vec<String>,
    /// Configurations, logs and the history.
    pub folder: PathBuf,
}

impl Outcome {
    /// Returns whether nothing happened that must not.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.verdict.is_good() && self.traps.is_empty()
    }
}
