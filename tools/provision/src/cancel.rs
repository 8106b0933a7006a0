//! Ctrl-C and SIGTERM as a question that every wait asks, so that whoever waits ends what it has
//! started.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// What shells report for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Installs the handlers: the first of these signals asks the process to end, a second one ends it
/// at once.
///
/// # Errors
/// When the system refuses.
pub fn install() -> Result<()> {
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the default action checks the flag before this signal sets it.
        flag::register_conditional_default(signal, &REQUESTED)
            .and_then(|_| flag::register(signal, &REQUESTED))
            .context("cannot listen for Ctrl-C")?;
    }
    Ok(())
}

/// Returns whether the process was asked to end.
#[must_use]
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// Fails if the process was asked to end.
///
/// # Errors
/// When it was asked to end.
pub fn check() -> Result<()> {
    if requested() {
        bail!("interrupted");
    }
    Ok(())
}

/// Returns the exit code of a program with this result, and prints an error.
#[must_use]
pub fn exit_code(result: Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(_) if requested() => ExitCode::from(INTERRUPTED),
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
