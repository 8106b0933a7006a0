//! stream-server: the binary. See `stream-server --help`.

use std::io::Write as _;
use std::process::ExitCode;
#[cfg(feature = "copy")]
use std::sync::Arc;
#[cfg(feature = "copy")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser as _;
use rustix::process::{Resource, getrlimit, setrlimit};
use stream_server::cli::{Arguments, Command};
use stream_server::limits::{CONNECTIONS_MAX, OTHER_FILES_MAX};
use stream_server::logging;
use stream_server::server::Server;
use stream_server::settings::{AuthSetting, Settings};
use tokio::signal::unix::{SignalKind, signal};

/// The system's allocator takes several times as long, and every request needs some dozens of
/// allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Something failed that is not the user's fault.
const FAILURE: u8 = 1;
/// The command line or the configuration is wrong; also clap's own code.
const USAGE: u8 = 2;

/// How long threads that wait for something are waited for at the end.
const END_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if let Some(command) = arguments.command.take() {
        return run_command(command);
    }
    let only_check = arguments.check;
    let settings = match arguments.settings() {
        Ok(settings) => settings,
        Err(error) => {
            // This comes before the log is started, because the form of the log is one of the
            // settings.
            eprintln!("stream-server: {error}");
            return ExitCode::from(USAGE);
        }
    };
    logging::start(settings.log_format, settings.log_level);
    if only_check {
        return match Server::check(&settings) {
            Ok(()) => tell("stream-server: the configuration is right"),
            Err(error) => complain(USAGE, &error),
        };
    }
    allow_open_files(settings.connections_max.unwrap_or(CONNECTIONS_MAX));
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return complain(FAILURE, &format!("cannot start threads: {error}")),
    };
    let code = runtime.block_on(run(settings));
    // What still waits for others (brokers that don't answer) is not waited for.
    runtime.shutdown_timeout(END_TIMEOUT);
    code
}

/// Does something else than serving.
#[cfg(feature = "copy")]
fn run_command(command: Command) -> ExitCode {
    let Command::Copy(arguments) = command;
    let stop = Arc::new(AtomicBool::new(false));
    if let Err(error) = stop_by_signals(&stop) {
        eprintln!("stream-server: cannot handle signals: {error}");
        return ExitCode::from(FAILURE);
    }
    let mut out = std::io::stdout().lock();
    match stream_server::copy::copy(&arguments, stop, &mut out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stream-server: {error}");
            ExitCode::from(if error.is_usage() { USAGE } else { FAILURE })
        }
    }
}

/// Sets `stop` at the first SIGINT or SIGTERM. The second one ends the process.
#[cfg(feature = "copy")]
fn stop_by_signals(stop: &Arc<AtomicBool>) -> std::io::Result<()> {
    let stop = Arc::clone(stop);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let entered = runtime.enter();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    drop(entered);
    let wait = async move {
        for last in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.store(true, Ordering::Relaxed);
            if last {
                std::process::exit(i32::from(FAILURE));
            }
        }
    };
    std::thread::spawn(move || runtime.block_on(wait));
    Ok(())
}

#[cfg(not(feature = "copy"))]
fn run_command(Command::Copy { .. }: Command) -> ExitCode {
    eprintln!("stream-server: this build can't copy: build it with --features copy");
    ExitCode::from(USAGE)
}

async fn run(settings: Settings) -> ExitCode {
    // Before anything else, so that no signal finds the default action in place.
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        return complain(FAILURE, &"cannot handle signals");
    };
    let remote = !settings.listen.ip().is_loopback();
    let (open, faults) = (settings.auth == AuthSetting::Open, settings.faults);
    let started = tokio::select! {
        started = Server::start(settings) => started,
        _ = terminate.recv() => return complain(FAILURE, &"stopped before it was ready"),
        _ = interrupt.recv() => return complain(FAILURE, &"stopped before it was ready"),
    };
    let server = match started {
        Ok(server) => server,
        Err(error) if error.is_usage() => return complain(USAGE, &error),
        Err(error) => return complain(FAILURE, &error),
    };
    let url = server.url();
    if open {
        warn_of_openness(&url, remote);
    }
    if faults {
        tracing::warn!("{url}/faults tells this server what to do wrong; for tests only");
    }
    tracing::info!(url, "ready");
    tell(&format!("stream-server listens on {url}"));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: requests in flight are answered first");
    tokio::select! {
        () = server.stop() => {}
        // A second signal: its sender does not want to wait.
        _ = terminate.recv() => return complain(FAILURE, &"stopped before it was done"),
        _ = interrupt.recv() => return complain(FAILURE, &"stopped before it was done"),
    }
    tracing::info!("stopped");
    ExitCode::SUCCESS
}

/// Raises the limit of open files for so many connections, as far as the system allows.
fn allow_open_files(connections_max: usize) {
    let connections = u64::try_from(connections_max).unwrap_or(u64::MAX);
    let wanted = connections.saturating_add(OTHER_FILES_MAX);
    let mut limit = getrlimit(Resource::Nofile);
    let allowed = limit.maximum.unwrap_or(u64::MAX);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(wanted.min(allowed));
        // A refusal shows below.
        let _ = setrlimit(Resource::Nofile, limit);
    }
    let open_max = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if open_max < wanted {
        tracing::warn!(
            "this process may open {open_max} files, and {connections_max} connections take up to \
             {wanted}: raise the limit, or lower --connections-max"
        );
    }
}

fn warn_of_openness(url: &str, remote: bool) {
    if remote {
        tracing::warn!(
            "SIGNATURES ARE NOT VERIFIED (--auth open), and other machines can reach {url}. \
             Everyone who does can read, write and delete streams. Give it keys with --auth keys \
             DIR, let a firewall stand before it, or listen on 127.0.0.1."
        );
    } else {
        tracing::warn!(
            "signatures are NOT verified (--auth open): every program on this machine can use it"
        );
    }
}

/// Writes a line to standard output. If nobody reads it, that is not a failure.
fn tell(line: &str) -> ExitCode {
    let mut out = std::io::stdout();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        tracing::warn!("nobody reads standard output");
    }
    ExitCode::SUCCESS
}

fn complain(code: u8, problem: &dyn std::fmt::Display) -> ExitCode {
    tracing::error!("{problem}");
    ExitCode::from(code)
}
