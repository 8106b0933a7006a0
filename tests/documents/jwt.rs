//! `envoy/gateway.jwt.yaml` is `envoy/gateway.yaml` with authentication and authorization.

use super::oci::{replace, replace_configuration};
use super::{read, settle};

const HEAD: &str = "\
# The gateway of envoy/gateway.yaml with authentication and authorization before the accept filter
# (docs/security.md). Generated from that file and filter-config/*.jwt.json:
# UPDATE_DOCUMENTS=1 cargo test --test documents
#
# Before it runs for others: put your own issuer and its keys in place of these. The private half
# of this key is known to everybody: it is tests/keys/rsa-2048-pkcs8.pem.
#
";

/// The file's last route is behind these.
const ROUTES: &str = include_str!("jwt.routes.yaml");

/// The start of its filters.
const FILTERS: &str = include_str!("jwt.filters.yaml");

/// Replaces what stands there once.
fn replace_once(text: &mut String, from: &str, with: &str) {
    assert_eq!(text.matches(from).count(), 1, "{from}");
    *text = text.replace(from, with);
}

#[test]
fn the_gateway_with_authorization_is_the_local_one_behind_two_filters() {
    let mut text = read("envoy/gateway.yaml");
    replace(&mut text, "# A gateway", "# Ports:", HEAD);
    let indent = " ".repeat(24);
    let function = format!("{indent}- name: function\n{indent}  match: {{ prefix: / }}\n");
    replace_once(&mut text, &function, ROUTES);
    let marks = "                http_filters:\n                  # Nobody outside may look";
    let (_, behind) = marks.split_once('\n').unwrap();
    replace_once(&mut text, marks, &format!("{FILTERS}{behind}"));
    for role in ["accept", "drain"] {
        let settings = read(&format!("filter-config/{role}.jwt.json"));
        replace_configuration(&mut text, role, "jwt", &settings);
    }
    settle("envoy/gateway.jwt.yaml", &text);
}
