//! `sluice render`: writes what a host needs from one small input.

use std::fs;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use sluice_render::{EnvoyVersion, Form, Host, Input, input};

use crate::failure::Failure;

/// The name that stands for standard input.
const STANDARD_INPUT: &str = "-";

pub(crate) const AFTER_HELP: &str = "\
Hosts:
  envoy          Envoy with a configuration of its own
  envoy-oci      the same with its Stream at Oracle, which takes only signed requests over TLS
  sidecar        Envoy beside one application, for its calls and those to it
  istio          one of Istio's gateways: an EnvoyFilter
  envoy-gateway  one gateway of Envoy Gateway: an EnvoyProxy, a ClientTrafficPolicy and an
                 EnvoyPatchPolicy
  compose        Envoy in a container, reached from other containers

The input is YAML or JSON; --schema has all of its keys. Everything in it is checked before
anything is written, the plugins' settings by the filter's own parser, and all mistakes are told at
once.

Examples:
  sluice render --for envoy sluice.yaml -o envoy.yaml
  sluice render --for istio sluice.yaml | kubectl apply -f -
  sluice render --for envoy --envoy 1.37 sluice.yaml -o deploy/
  sluice render --schema > sluice.schema.json

The smallest input for --for envoy:
  function: http://127.0.0.1:8080
  stream: { url: http://127.0.0.1:8090, streamId: ocid1.stream.oc1.local.calls }
  deadLetters: { streamId: ocid1.stream.oc1.local.calls-dead }

Exit codes: 0 done, 1 failed (a file can't be written), 2 wrong usage, or mistakes in the input.";

/// `render`.
#[derive(Debug, Args)]
pub struct Render {
    /// Which host it is for: envoy, envoy-oci, sidecar, istio, envoy-gateway or compose
    #[arg(long = "for", value_name = "HOST", required_unless_present = "schema")]
    host: Option<Host>,
    /// The host's version of Envoy, 1.37 or newer
    #[arg(long, value_name = "VERSION", default_value_t = EnvoyVersion::NEWEST)]
    envoy: EnvoyVersion,
    /// The input; - is standard input
    #[arg(value_name = "INPUT", required_unless_present = "schema")]
    input: Option<PathBuf>,
    /// Where to write: a file, or a folder that is there or ends in / [default: standard output]
    #[arg(short, long, value_name = "FILE|DIR")]
    output: Option<PathBuf>,
    /// Write the input's JSON Schema instead
    #[arg(long, conflicts_with_all = ["host", "input"])]
    schema: bool,
}

/// Writes it.
///
/// # Errors
/// [`Failure::Usage`] with all mistakes of the input; [`Failure::Failed`] where a file can't be
/// written.
pub(crate) fn render(arguments: &Render, out: &mut dyn Write) -> Result<(), Failure> {
    let (Some(host), Some(source)) = (arguments.host, &arguments.input) else {
        return write(
            arguments.output.as_deref(),
            "sluice.schema.json",
            out,
            |_| Ok(input::json_schema()),
        );
    };
    let form = Form {
        host,
        envoy: arguments.envoy,
    };
    let text = read(source)?;
    let folder = source.parent().unwrap_or_else(|| Path::new(""));
    let input = Input::from_yaml(&text, folder, form)
        .map_err(|mistakes| Failure::Usage(format!("{}: {mistakes}", source.display())))?;
    let source = source.to_str().filter(|name| *name != STANDARD_INPUT);
    write(
        arguments.output.as_deref(),
        &format!("{host}.yaml"),
        out,
        |output| {
            let text = sluice_render::render(&input, source, output.and_then(Path::to_str));
            text.map_err(|error| Failure::Usage(error.to_string()))
        },
    )
}

fn read(source: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    // One byte more than an input may have, so that a longer one is refused.
    let limit = u64::try_from(input::BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let read = if source.as_os_str() == STANDARD_INPUT {
        std::io::stdin()
            .lock()
            .take(limit)
            .read_to_string(&mut text)
    } else {
        fs::File::open(source).and_then(|file| file.take(limit).read_to_string(&mut text))
    };
    let shown = source.display();
    read.map_err(|error| Failure::Usage(format!("cannot read {shown}: {error}")))?;
    Ok(text)
}

/// Writes a text to a file, into a folder under a name, or to `out`.
fn write(
    output: Option<&Path>,
    name: &str,
    out: &mut dyn Write,
    text: impl FnOnce(Option<&Path>) -> Result<String, Failure>,
) -> Result<(), Failure> {
    let Some(output) = output else {
        return Ok(out.write_all(text(None)?.as_bytes())?);
    };
    let is_folder = output.is_dir() || output.to_string_lossy().ends_with('/');
    let path = if is_folder {
        output.join(name)
    } else {
        output.to_path_buf()
    };
    let text = text(Some(&path))?;
    let written = match path.parent() {
        Some(folder) => fs::create_dir_all(folder).and_then(|()| fs::write(&path, text)),
        None => fs::write(&path, text),
    };
    let shown = path.display();
    written.map_err(|error| Failure::Failed(format!("cannot write {shown}: {error}")))?;
    Ok(writeln!(out, "{shown} is written")?)
}
