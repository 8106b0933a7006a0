//! Gateways for Oracle's service as `sluice render` writes them, before services that stand in for
//! Oracle's.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use local_gateway::render::{at, cluster, endpoint, listener, merge_patch};
use provision::Project;
use provision::envoy::Version;
use serde_json::{Value, json};
use sluice_render::{Form, Host, Input, render};

/// The auth service of the inputs' region.
pub const AUTH_HOST: &str = "auth.eu-frankfurt-1.oraclecloud.com";

/// What gives tokens to workloads.
pub const WORKLOAD_HOST: &str = "kubernetes.default.svc";

/// Writes the configuration of `deploy/inputs/NAME.yaml` for this Envoy to a file of `folder`, with
/// the streams that a local set has, and with this change of the input (RFC 7396).
///
/// # Errors
/// What `sluice render` says.
pub fn rendered(name: &str, folder: &Path, envoy: Version, change: &Value) -> Result<PathBuf> {
    let inputs = Project::here().root().join("deploy/inputs");
    let text = fs::read_to_string(inputs.join(format!("{name}.yaml")))?;
    let text = text.replace("oc1.eu-frankfurt-1.calls", "oc1.local.calls");
    let mut input: Value = yaml_serde::from_str(&text)?;
    // The local set has only some of these lanes.
    let own = json!({
        "lanes": [{ "streamId": "ocid1.stream.oc1.local.calls-5s", "delayMs": 5000 }],
        "attempt": { "backoffBaseMs": 20, "backoffMaxMs": 200 },
        "group": { "timeoutMs": 1000 },
        // Paths of sockets are short.
        "loopback": { "pipes": sockets(name) },
    });
    merge_patch(&mut input, &own);
    merge_patch(&mut input, change);
    let form = Form {
        host: Host::EnvoyOci,
        envoy: envoy.to_string().parse().map_err(anyhow::Error::msg)?,
    };
    let input = Input::from_value(input, &inputs, form)?;
    let written = render(&input, Some(name), None)?;
    let file = folder.join(format!("{name}.yaml"));
    if name != "instance" {
        fs::create_dir_all(sockets(name))?;
    }
    fs::create_dir_all(folder)?;
    fs::write(&file, written)?;
    Ok(file)
}

/// Returns the folder of this process for the socket of a gateway of this input.
#[must_use]
pub fn sockets(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("sluice-{}-{name}", std::process::id()))
}

/// Leads the Stream to this port of this machine, without TLS.
///
/// # Errors
/// When the configuration has no such cluster.
pub fn lead_stream(config: &mut Value, port: u16) -> Result<()> {
    let stream = cluster(config, "stream")?;
    let members = stream.as_object_mut().context("a mapping")?;
    members.remove("transport_socket");
    *endpoint(stream, "address")? = json!("127.0.0.1");
    *endpoint(stream, "port_value")? = json!(port);
    Ok(())
}

/// Leads `oci-metadata` to this port of this machine, as `oci-auth` is led by [`lead_auth`].
///
/// # Errors
/// When the configuration has no such cluster.
pub fn lead_metadata(config: &mut Value, port: u16) -> Result<()> {
    let metadata = cluster(config, "oci-metadata")?;
    *endpoint(metadata, "address")? = json!("127.0.0.1");
    *endpoint(metadata, "port_value")? = json!(port);
    Ok(())
}

/// Leads `oci-auth` to this port of this machine. `trusted` is the file with its authority.
///
/// # Errors
/// When the configuration has no such cluster.
pub fn lead_auth(config: &mut Value, port: u16, trusted: &Path) -> Result<()> {
    const VALIDATION: &str = "/transport_socket/typed_config/common_tls_context/validation_context";
    let auth = cluster(config, "oci-auth")?;
    *endpoint(auth, "address")? = json!("127.0.0.1");
    *endpoint(auth, "port_value")? = json!(port);
    *at(at(auth, VALIDATION)?, "/trusted_ca/filename")? = json!(trusted);
    Ok(())
}

/// Has the service account's token read from this folder.
///
/// # Errors
/// When the configuration serves no such file.
pub fn lead_account(config: &mut Value, folder: &Path) -> Result<()> {
    const BODY: &str = "/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0\
                        /routes/0/direct_response/body";
    let body = at(listener(config, "oci-files")?, BODY)?;
    *at(body, "/filename")? = json!(folder.join("token"));
    *at(body, "/watched_directory/path")? = json!(folder);
    Ok(())
}
