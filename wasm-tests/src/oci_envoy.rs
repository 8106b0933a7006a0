//! The clusters and the listener of docs/oci.md, as they stand there, for a gateway whose services
//! are stood in for.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use local_gateway::render::{at, cluster, endpoint};
use provision::Project;
use serde_json::{Value, json};

/// The auth service's name in docs/oci.md.
pub const AUTH_HOST: &str = "auth.eu-frankfurt-1.oraclecloud.com";

/// The `index`th example in YAML: a list.
fn documented(index: usize) -> Result<Vec<Value>> {
    let page = fs::read_to_string(Project::here().root().join("docs/oci.md"))?;
    let block = page
        .split("```yaml\n")
        .nth(index + 1)
        .context("an example")?;
    let block = block.split("```").next().unwrap_or_default();
    Ok(yaml_serde::from_str(block)?)
}

fn add(config: &mut Value, list: &str, item: Value) -> Result<()> {
    let list = at(config, &format!("/static_resources/{list}"))?;
    list.as_array_mut().context("a list")?.push(item);
    Ok(())
}

/// The clusters of the metadata service and of the auth service, on these ports of this machine.
/// The third one is that of the Stream, which speaks no TLS here. `trusted` is the file with the
/// auth service's authority.
///
/// # Errors
/// When the page or the configuration has something else.
pub fn add_clusters(config: &mut Value, ports: [u16; 3], trusted: &Path) -> Result<()> {
    const VALIDATION: &str = "/transport_socket/typed_config/common_tls_context/validation_context";
    let [metadata_port, auth_port, stream_port] = ports;
    let stream = cluster(config, "stream")?;
    let members = stream.as_object_mut().context("a mapping")?;
    members.remove("transport_socket");
    *endpoint(stream, "port_value")? = json!(stream_port);
    let [mut metadata, mut auth]: [Value; 2] = documented(0)?.try_into().ok().context("two")?;
    for (cluster, port) in [(&mut metadata, metadata_port), (&mut auth, auth_port)] {
        *endpoint(cluster, "address")? = json!("127.0.0.1");
        *endpoint(cluster, "port_value")? = json!(port);
    }
    *at(at(&mut auth, VALIDATION)?, "/trusted_ca/filename")? = json!(trusted);
    add(config, "clusters", metadata)?;
    add(config, "clusters", auth)
}

/// The listener that serves the files of a folder on this socket, and its cluster.
///
/// # Errors
/// When the page or the configuration has something else.
pub fn add_files(config: &mut Value, folder: &Path, socket: &Path) -> Result<()> {
    const MAPPINGS: &str = "/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config\
                            /path_mappings";
    const ENDPOINT: &str = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/pipe/path";
    let [mut listener, mut cluster]: [Value; 2] = documented(1)?.try_into().ok().context("two")?;
    *at(&mut listener, "/address/pipe/path")? = json!(socket);
    *at(&mut cluster, ENDPOINT)? = json!(socket);
    let mappings = at(&mut listener, MAPPINGS)?.as_array_mut();
    for mapping in mappings.context("a list")? {
        mapping["file_path_prefix"] = json!(folder);
    }
    add(config, "listeners", listener)?;
    add(config, "clusters", cluster)
}
