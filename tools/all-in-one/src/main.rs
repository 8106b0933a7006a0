//! `all-in-one`: the local set in one container. It starts Envoy, the stream server and the demo
//! function, starts a part again that dies, and ends them in order when it gets SIGTERM.
//!
//! The Dockerfile puts everything where this looks for it. Collecting orphans is the work of the
//! init that starts this.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use local_gateway::LocalSet;
use local_gateway::render::Target;
use local_gateway::supervise::Supervisor;
use provision::tools::Tools;
use provision::{Programs, cancel, envoy};

/// Where the image has the programs.
const PROGRAMS: &str = "/usr/local/bin";

/// Where the image has the filter, and the configuration that the set's own is made from.
const ENVOY: &str = "/etc/envoy";

/// The one port that is published.
const GATEWAY_PORT: u16 = 10_000;
/// For the health check of the image.
const ADMIN_PORT: u16 = 9901;
/// For `sluice` in the container.
const STREAM_PORT: u16 = 8090;

/// Envoy with Sluice's filter, a stream server and a demo function, until SIGTERM
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Send the gateway's route `/` there instead of to the demo function, such as
    /// http://host.docker.internal:3000 (https is verified, and called by its own host name)
    #[arg(long, value_name = "URL")]
    target: Option<Target>,

    /// How many workers Envoy has
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: u32,

    /// Where the stream server keeps its records: a volume
    #[arg(long, value_name = "DIR", default_value = "/var/lib/stream-server")]
    data: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = cancel::install().and_then(|()| run(&arguments));
    match result {
        // Asked to end while it was starting: what had started has ended with the set.
        Err(_) if cancel::requested() => ExitCode::SUCCESS,
        result => cancel::exit_code(result.map(|()| ExitCode::SUCCESS)),
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let programs = programs()?;
    let envoy = Path::new(ENVOY);
    let mut builder = LocalSet::builder()
        .verbose()
        .in_container()
        .programs(programs)
        .configuration(&envoy.join("gateway.yaml"))
        // The only place to write to but for the data. It is another process's after each start.
        .folder(&env::temp_dir().join("sluice"))
        .data(&arguments.data)
        .gateway_port(GATEWAY_PORT)
        .admin_port(ADMIN_PORT)
        .stream_port(STREAM_PORT)
        .concurrency(arguments.concurrency);
    if let Some(target) = &arguments.target {
        builder = builder.target(target.clone());
    }
    let mut set = builder.start()?;
    set.wait_until_draining()?;
    println!("Sluice is up: the gateway listens on port {GATEWAY_PORT} of the container");
    Supervisor::new(set).run(|_, _| Ok(()))
}

/// Returns the programs at their places in the image.
fn programs() -> Result<Programs> {
    let program = |name| Path::new(PROGRAMS).join(name);
    let envoy = program("envoy");
    Ok(Programs {
        envoy_version: envoy::version(&envoy)?,
        envoy,
        tools: Tools {
            with_parent: program("with-parent"),
            stream_server: program("stream-server"),
            demo_function: program("demo-function"),
            sluice: program("sluice"),
        },
        filter: Path::new(ENVOY).join("sluice.wasm"),
    })
}
