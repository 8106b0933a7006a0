//! The result of a run.

use std::path::PathBuf;

use anyhow::Result;

use crate::history::History;
use crate::scene::Scene;
use crate::verdict::Verdict;

/// The result of a run.
pub struct Outcome {
    /// What happened.
    pub history: History,
    /// The verdict on it.
    pub verdict: Verdict,
    /// Lines of Envoys' logs about VMs that have died.
    pub traps: Vec<String>,
    /// What became of the scene at the end, if there was one.
    pub scene: Option<Result<Scene>>,
    /// Configurations, logs and the history.
    pub folder: PathBuf,
}

impl Outcome {
    /// Returns whether nothing forbidden has happened.
    #[must_use]
    pub fn is_good(&self) -> bool {
        let is_played = self.scene.as_ref().is_none_or(Result::is_ok);
        self.verdict.is_good() && self.traps.is_empty() && is_played
    }
}
