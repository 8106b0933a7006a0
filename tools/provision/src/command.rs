//! Runs other programs and reports their failure with the command that failed.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::cancel;

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Runs a command to its end, with its output on this process's standard error. Ctrl-C ends it too.
///
/// # Errors
/// When it can't be started or fails, or after Ctrl-C.
pub fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    // Results go to this process's standard output. The output of other programs is progress.
    let mut child = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start: {line}"))?;
    let status = wait(&mut child)?;
    if !status.success() {
        bail!("failed ({status}): {line}");
    }
    Ok(())
}

/// Waits for a child that leads a process group. After Ctrl-C, ends the whole group.
///
/// # Errors
/// After Ctrl-C.
pub fn wait(child: &mut Child) -> Result<ExitStatus> {
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait()? {
            cancel::check()?;
            return Ok(status);
        }
        if cancel::requested() && !told {
            told = true;
            let group = Pid::from_child(child);
            // It may have ended meanwhile.
            let _ended_before = kill_process_group(group, Signal::TERM);
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Runs a command to its end and returns its standard output.
///
/// # Errors
/// When it can't be started or fails; the error has the end of its output.
pub fn capture(command: &mut Command) -> Result<String> {
    let line = line(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start: {line}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("failed ({}): {line}\n{}", output.status, tail(&said, 20));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns the last lines of a text.
#[must_use]
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    let from = all.len().saturating_sub(lines);
    all.get(from..).unwrap_or_default().join("\n")
}

/// Returns the program's path, if it is a file on `PATH`.
#[must_use]
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| is_executable(file))
}

/// Returns whether this is a file that may be executed.
#[must_use]
pub fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Returns the command as a person would type it.
#[must_use]
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_pasted_into_a_shell() {
        let mut command = Command::new("/bin/echo");
        command.args(["plain", "two words", "it's"]);
        assert_eq!(line(&command), r"/bin/echo plain 'two words' 'it'\''s'");
    }

    #[test]
    fn the_tail_keeps_the_last_lines() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a", 2), "a");
    }

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let failure = capture(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).unwrap_err();
        let text = failure.to_string();
        assert!(text.contains("sh -c") && text.contains("why"), "{text}");
    }
}
