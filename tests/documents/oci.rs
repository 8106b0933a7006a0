//! `envoy/gateway.oci.yaml` is `envoy/gateway.yaml` with another Stream: Oracle's.

use serde_json::Value;
use sluice::accept::config::AcceptConfig;
use sluice::config::Document;
use sluice::drain::config::DrainConfig;

use super::{read, settle};

const HEAD: &str = "\
# The gateway of envoy/gateway.yaml with its Stream at Oracle (docs/oci.md). Generated from that
# file and filter-config/*.oci.json: UPDATE_DOCUMENTS=1 cargo test --test documents
#
# Before it runs: put your OCIDs, your host and your key's fingerprint in place of these, and the
# key into the environment variable OCI_PRIVATE_KEY.
#
";

/// The way to the messages endpoint. Its host is verified, and so is every name on the way.
const CLUSTER: &str = r#"
    # The Stream's data plane at Oracle: HTTP/1.1 over TLS. Host and path must arrive as they
    # were signed, so nothing may rewrite them.
    - name: stream
      type: STRICT_DNS
      dns_lookup_family: V4_PREFERRED
      connect_timeout: 5s
      circuit_breakers: *wide
      load_assignment:
        cluster_name: stream
        endpoints:
          - lb_endpoints:
              - endpoint: { address: { socket_address: { address: HOST, port_value: 443 } } }
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
          sni: HOST
          common_tls_context:
            # Unless it is told, Envoy offers servers no more than 1.2.
            tls_params:
              tls_minimum_protocol_version: TLSv1_2
              tls_maximum_protocol_version: TLSv1_3
            validation_context:
              # The authorities that the system trusts; other systems keep them elsewhere.
              trusted_ca: { filename: /etc/ssl/certs/ca-certificates.crt }
              match_typed_subject_alt_names:
                - { san_type: DNS, matcher: { exact: HOST } }

"#;

/// Replaces what stands between two texts, the first of them included.
pub(super) fn replace(text: &mut String, from: &str, to: &str, with: &str) {
    let start = text.find(from).unwrap_or_else(|| panic!("no {from}"));
    let length = text[start..].find(to);
    let length = length.unwrap_or_else(|| panic!("no {to} behind {from}"));
    text.replace_range(start..start + length, with);
}

/// Replaces a plugin's configuration, which stands in a block of its own.
pub(super) fn replace_configuration(text: &mut String, role: &str, name: &str, json: &str) {
    let note = format!("# The same as filter-config/{role}.local.json, which a test ensures.\n");
    let start = text.find(&note).unwrap_or_else(|| panic!("no {note}"));
    let value = text[start..].find("value: |\n").unwrap() + start + "value: |\n".len();
    let indent = " ".repeat(text[value..].len() - text[value..].trim_start_matches(' ').len());
    let end = text[value..]
        .find(&format!("\n{indent}}}\n"))
        .map(|end| value + end + indent.len() + 3)
        .unwrap();
    let block: String = json
        .lines()
        .map(|line| format!("{indent}{line}\n"))
        .collect();
    text.replace_range(value..end, &block);
    let own = note.replace(".local.json", &format!(".{name}.json"));
    text.replace_range(start..start + note.len(), &own);
}

#[test]
fn the_gateway_at_oracle_is_the_local_one_with_another_stream() {
    let accept = read("filter-config/accept.oci.json");
    let drain = read("filter-config/drain.oci.json");
    let settings = AcceptConfig::from_json(accept.as_bytes()).unwrap();
    assert_eq!(
        DrainConfig::from_json(drain.as_bytes()).unwrap().stream,
        settings.stream
    );
    assert!(settings.stream.signing.is_some());
    let mut text = read("envoy/gateway.yaml");
    replace(&mut text, "# A gateway", "# Ports:", HEAD);
    let ports = "8080 your function, 8090 the stream server,";
    replace(&mut text, ports, " 10001", "8080 your function,");
    replace_configuration(&mut text, "accept", "oci", &accept);
    replace_configuration(&mut text, "drain", "oci", &drain);
    let host = &settings.stream.authority;
    let cluster = CLUSTER.trim_start_matches('\n').replace("HOST", host);
    let to = "    # The way back into this gateway.";
    replace(&mut text, "    # The Stream's data plane.\n", to, &cluster);
    // And what requests to the Stream are signed with.
    let keys = "SLUICE_SEAL_KEYS] }";
    assert_eq!(text.matches(keys).count(), 2);
    text = text.replace(keys, "SLUICE_SEAL_KEYS, OCI_PRIVATE_KEY] }");
    settle("envoy/gateway.oci.yaml", &text);
}

#[test]
fn what_oci_allows_each_second_is_kept() {
    let drain: Value = serde_json::from_str(&read("filter-config/drain.oci.json")).unwrap();
    for key in ["minIntervalMs", "commitIntervalMs"] {
        let pace = drain["fetch"][key].as_u64().unwrap();
        assert!(pace > 200, "{key}: OCI takes 5 requests a second");
    }
}
