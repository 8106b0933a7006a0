//! `sluice`, the command line, run as an operator runs it.

use std::process::Command;

use provision::Project;
use provision::tools::Tools;
use serde_json::Value;

use crate::gateway::Gateway;

/// The output of a run.
#[derive(Clone, Debug)]
pub struct Said {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub error: String,
}

impl Said {
    /// Panics if the exit code is another one.
    #[must_use]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// Returns its output as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns the ids of the letters in its output, in order.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let json = self.json();
        let letters = json["letters"].as_array().expect("letters").iter();
        let id = |letter: &Value| letter["id"].as_str().expect("an id").to_owned();
        letters.map(id).collect()
    }
}

/// Runs `sluice`.
///
/// # Panics
/// When it can't be started or is killed.
#[must_use]
pub fn run(arguments: &[&str]) -> Said {
    said(Command::new(Tools::of(&Project::here()).sluice).args(arguments))
}

/// Runs `sluice dead` on the streams of a gateway.
///
/// # Panics
/// When it can't be started or is killed.
#[must_use]
pub fn dead(gateway: &Gateway, arguments: &[&str]) -> Said {
    let mut command = Command::new(Tools::of(&Project::here()).sluice);
    command
        .arg("dead")
        .args(arguments)
        .env("SLUICE_ENDPOINT", gateway.set.stream_url())
        .env_remove("SLUICE_DEAD_STREAM")
        .env_remove("SLUICE_STREAM");
    said(&mut command)
}

fn said(command: &mut Command) -> Said {
    let output = command.output().expect("sluice is there");
    Said {
        code: output.status.code().expect("an exit code"),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        error: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
