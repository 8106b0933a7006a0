//! `cargo xtask render`: `envoy/gateway.yaml` for another place than this machine.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use local_gateway::render::{self, Changes, Target, UnfilteredTargets};
use provision::Project;
use provision::envoy::{self, Version};

/// Write envoy/gateway.yaml with other addresses, as containers need it
///
/// The Dockerfile uses it for the containers of docker-compose.yml.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Arguments {
    /// Where the gateway listens; Envoy's admin interface stays on loopback
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,

    /// Where the gateway's route `/` goes
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    target: Target,

    /// The stream server's host; its port is 8090
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    stream: String,

    /// The filter, as Envoy finds it [default: target/dist/sluice.wasm]
    #[arg(long, value_name = "FILE")]
    filter: Option<PathBuf>,

    /// The Envoy that it is for: what older ones lack is taken out [default: the newest]
    #[arg(long, value_name = "VERSION", default_value = envoy::VERSION, hide_default_value = true)]
    envoy: Version,

    /// Keep explicit targets for an Envoy before 1.39, which can't keep private addresses out of
    /// what a name resolves to (docs/explicit-targets.md)
    #[arg(long)]
    unfiltered_targets: bool,

    /// The file to write
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

impl Arguments {
    /// What docker-compose.yml and the Dockerfile need, with a filter that lies elsewhere.
    pub(crate) fn for_containers(output: &Path) -> Result<Self> {
        Ok(Self {
            listen: Ipv4Addr::UNSPECIFIED.into(),
            target: "http://demo-function:8080".parse()?,
            stream: "stream-server".into(),
            filter: None,
            envoy: envoy::VERSION.parse()?,
            unfiltered_targets: false,
            output: output.to_path_buf(),
        })
    }
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    let yaml = fs::read_to_string(project.root().join("envoy/gateway.yaml"))
        .context("cannot read envoy/gateway.yaml")?;
    let changes = Changes {
        listen: arguments.listen,
        gateway_port: 10_000,
        admin_port: 9901,
        stream_host: arguments.stream.clone(),
        stream_port: 8090,
        drain_port: 10_001,
        function: arguments.target.clone(),
        filter: arguments.filter.clone().unwrap_or_else(|| project.filter()),
        accept_patch: None,
        drain_patch: None,
        stats_flush_interval: None,
    };
    let mut config = render::render(&yaml, &changes)?;
    let unfiltered = if arguments.unfiltered_targets {
        UnfilteredTargets::Accepted
    } else {
        UnfilteredTargets::Refused
    };
    render::for_envoy(&mut config, arguments.envoy, unfiltered)?;
    let output = &arguments.output;
    if let Some(folder) = output.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(output, format!("{config:#}\n"))
        .with_context(|| format!("cannot write {}", output.display()))?;
    println!("{} is written", output.display());
    Ok(ExitCode::SUCCESS)
}
