//! Runs the commands of a step, shows what they print while they print it, and counts.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, anyhow};
use provision::{Project, command};

use super::count::Counts;

/// How a step ended.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) counts: Counts,
    /// Why, if that is not to be seen from the counts.
    pub(super) remark: String,
    /// What this machine could not run, and why; empty if it ran all.
    pub(super) skipped: String,
}

impl Outcome {
    /// A check that has no single tests.
    pub(super) fn success(remark: &str) -> Self {
        let counts = Counts {
            passed: 1,
            ..Counts::default()
        };
        Self {
            counts,
            remark: remark.to_owned(),
            skipped: String::new(),
        }
    }

    /// Something that failed as a whole.
    pub(super) fn failure(remark: &str) -> Self {
        let counts = Counts {
            failed: 1,
            ..Counts::default()
        };
        Self {
            counts,
            remark: remark.to_owned(),
            skipped: String::new(),
        }
    }

    /// What this machine could not run, and why.
    pub(super) fn skipping(mut self, what: &str) -> Self {
        what.clone_into(&mut self.skipped);
        self
    }

    /// Both, as one.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.counts.passed += other.counts.passed;
        self.counts.failed += other.counts.failed;
        self.counts.ignored += other.counts.ignored;
        self.remark = format!("{}, {}", self.remark.trim(), other.remark.trim());
        self
    }

    pub(super) fn is_green(&self) -> bool {
        self.counts.failed == 0
    }
}

/// Cargo with these arguments, in the project's root.
pub(super) fn cargo(project: &Project, arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(project.root()).args(arguments);
    command
}

/// Runs a check: it passes or fails as a whole.
pub(super) fn check(command: &mut Command) -> Result<Outcome> {
    println!("$ {}", command::line(command));
    Ok(match command::run(command) {
        Ok(()) => Outcome::success(""),
        Err(error) => Outcome::failure(&format!("{error:#}")),
    })
}

/// Runs test programs and counts their tests.
pub(super) fn tests(command: &mut Command) -> Result<Outcome> {
    tests_shown_on(command, io::stdout())
}

fn tests_shown_on(command: &mut Command, terminal: impl Write + Send + 'static) -> Result<Outcome> {
    let line = command::line(command);
    println!("$ {line}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start: {line}"))?;
    let output = child.stdout.take().context("a pipe was asked for")?;
    let reader = thread::spawn(move || show_and_count(output, terminal));
    let status = command::wait(&mut child)?;
    let mut counts = reader
        .join()
        .map_err(|_| anyhow!("the output could not be read"))??;
    let mut remark = String::new();
    if !status.success() && counts.failed == 0 {
        // What does not compile, or dies, has counted nothing.
        counts.failed = 1;
        remark = format!("a test program did not come to its end ({status})");
    }
    Ok(Outcome {
        counts,
        remark,
        skipped: String::new(),
    })
}

fn show_and_count(mut output: impl Read, mut terminal: impl Write) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut line = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let length = output.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        // At once, also in the middle of a line: that names the test that is running.
        terminal.write_all(bytes)?;
        terminal.flush()?;
        for byte in bytes {
            if *byte == b'\n' {
                counts.add_line(&String::from_utf8_lossy(&line));
                line.clear();
            } else {
                line.push(*byte);
            }
        }
    }
    counts.add_line(&String::from_utf8_lossy(&line));
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Outcome {
        // Shown on our own output, these results would be counted by whoever runs this test.
        tests_shown_on(Command::new("sh").args(["-c", script]), io::sink()).unwrap()
    }

    #[test]
    fn a_program_that_dies_counts_as_a_failure() {
        let outcome = shell("echo 'test result: ok. 3 passed; 0 failed; 0 ignored'; exit 101");
        assert_eq!(
            outcome.counts,
            Counts {
                passed: 3,
                failed: 1,
                ignored: 0
            }
        );
        assert!(!outcome.is_green());
    }

    #[test]
    fn a_result_without_a_line_end_counts() {
        let outcome = shell("printf 'test result: ok. 3 passed; 0 failed; 0 ignored'");
        assert_eq!(outcome.counts.passed, 3);
        assert!(outcome.is_green());
    }
}
