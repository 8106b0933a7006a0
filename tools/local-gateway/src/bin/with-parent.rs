//! `with-parent PID PROGRAM ARGUMENT…`: becomes the program, which dies when its parent dies.
//!
//! What the project starts must not outlive it, however it ends. On Linux the system ensures that
//! once a process has asked for it, and the request survives `exec`. Elsewhere this only becomes
//! the program.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let [parent, program, arguments @ ..] = arguments.as_slice() else {
        eprintln!("with-parent PID PROGRAM ARGUMENT…");
        return ExitCode::from(2);
    };
    if !bind_to_parent(parent) {
        return ExitCode::FAILURE;
    }
    // It returns only if it failed.
    let error = Command::new(program).args(arguments).exec();
    eprintln!("cannot start {}: {error}", program.display());
    ExitCode::from(127)
}

#[cfg(target_os = "linux")]
fn bind_to_parent(parent: &OsString) -> bool {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        eprintln!("cannot bind to the parent: {error}");
        return false;
    }
    // The parent may have died before the request; then nobody is left to tell.
    getppid().is_some_and(|now| now.as_raw_nonzero().to_string().as_str() == parent)
}

#[cfg(not(target_os = "linux"))]
fn bind_to_parent(_parent: &OsString) -> bool {
    true
}
