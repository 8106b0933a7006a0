//! `cargo xtask render`: the gateway of `envoy/gateway.yaml` for another place than this machine.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use local_gateway::render::{Target, authorities, merge_patch};
use provision::Project;
use serde_json::{Value, json};
use sluice_render::{EnvoyVersion, Form, Host, Input};

/// Write envoy/gateway.yaml with other addresses, as containers need it
///
/// The Dockerfile uses it for the containers of docker-compose.yml. It is `sluice render --for
/// compose` of deploy/inputs/gateway.yaml.
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

    /// The Envoy that it is for: what older ones lack is taken out
    #[arg(long, value_name = "VERSION", default_value_t = EnvoyVersion::NEWEST)]
    envoy: EnvoyVersion,

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
            envoy: EnvoyVersion::NEWEST,
            unfiltered_targets: false,
            output: output.to_path_buf(),
        })
    }
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    let folder = project.root().join("deploy/inputs");
    let source = folder.join("gateway.yaml");
    let yaml =
        fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
    let mut settings: Value = yaml_serde::from_str(&yaml)?;
    let filter = arguments.filter.clone().unwrap_or_else(|| project.filter());
    let mut changes = json!({
        "module": filter,
        "function": arguments.target.to_string(),
        "gateway": { "address": arguments.listen },
        "stream": { "url": format!("http://{}:8090", arguments.stream) },
        "explicitTargets": { "withoutAddressFilter": arguments.unfiltered_targets },
    });
    if let (Some(authorities), Some(changes)) = (authorities(), changes.as_object_mut()) {
        changes.insert("trust".into(), json!(authorities));
    }
    merge_patch(&mut settings, &changes);
    let form = Form {
        host: Host::Compose,
        envoy: arguments.envoy,
    };
    let input = Input::from_value(settings, &folder, form)?;
    let output = &arguments.output;
    let text = sluice_render::render(&input, Some("deploy/inputs/gateway.yaml"), None)?;
    if let Some(folder) = output.parent() {
        fs::create_dir_all(folder)?;
    }
    // Envoy goes by the name of a file.
    let text = if output.extension().is_some_and(|ending| ending == "json") {
        let value: Value = yaml_serde::from_str(&text)?;
        format!("{value:#}\n")
    } else {
        text
    };
    fs::write(output, text).with_context(|| format!("cannot write {}", output.display()))?;
    println!("{} is written", output.display());
    Ok(ExitCode::SUCCESS)
}
