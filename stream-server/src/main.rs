//! stream-server: the binary. See `stream-server --help`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use stream_server::cli::Arguments;
use stream_server::server::Server;
use stream_server::settings::{AuthSetting, Settings};
use tokio::signal::unix::{SignalKind, signal};

/// Something failed that is not the user's fault.
const FAILURE: u8 = 1;
/// The command line or the configuration is wrong; also clap's own code.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let settings = match Arguments::parse().settings() {
        Ok(settings) => settings,
        Err(error) => return complain(USAGE, &error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return complain(FAILURE, &format!("cannot start threads: {error}")),
    };
    runtime.block_on(run(settings))
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
    let server = match Server::start(settings).await {
        Ok(server) => server,
        Err(error) if error.is_usage() => return complain(USAGE, &error),
        Err(error) => return complain(FAILURE, &error),
    };
    if open {
        warn_of_openness(&server.url(), remote);
    }
    if faults {
        eprintln!(
            "stream-server: WARNING: {}/faults tells this server what to do wrong; for tests only",
            server.url()
        );
    }
    let mut out = std::io::stdout();
    let printed = writeln!(out, "stream-server listens on {}", server.url());
    if printed.and_then(|()| out.flush()).is_err() {
        eprintln!(
            "stream-server: nobody reads standard output; listening on {}",
            server.url()
        );
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::select! {
        () = server.stop() => {}
        // A second signal: whoever sends it does not want to wait.
        _ = terminate.recv() => return complain(FAILURE, &"stopped before it was done"),
        _ = interrupt.recv() => return complain(FAILURE, &"stopped before it was done"),
    }
    ExitCode::SUCCESS
}

fn warn_of_openness(url: &str, remote: bool) {
    if remote {
        eprintln!(
            "stream-server: WARNING: SIGNATURES ARE NOT VERIFIED (--auth open), and other machines \
             can reach {url}. Everyone who does can read, write and delete streams. Give it keys \
             with --auth keys DIR, let a firewall stand before it, or listen on 127.0.0.1."
        );
    } else {
        eprintln!(
            "stream-server: WARNING: signatures are NOT verified (--auth open): every program on \
             this machine can use it"
        );
    }
}

fn complain(code: u8, problem: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("stream-server: {problem}");
    ExitCode::from(code)
}
