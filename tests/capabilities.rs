//! Every host call of the filter is among the capabilities that the shipped configurations allow.
//! Envoy refuses any other one, and a refused host call ends the VM.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The SDK's functions, and what Envoy calls them.
const HOST_CALLS: [(&str, &str); 20] = [
    ("call_foreign_function", "proxy_call_foreign_function"),
    ("define_metric", "proxy_define_metric"),
    ("dequeue_shared_queue", "proxy_dequeue_shared_queue"),
    ("dispatch_http_call", "proxy_http_call"),
    ("enqueue_shared_queue", "proxy_enqueue_shared_queue"),
    ("get_buffer", "proxy_get_buffer_bytes"),
    ("get_map_bytes", "proxy_get_header_map_pairs"),
    ("get_map_value_bytes", "proxy_get_header_map_value"),
    ("get_property", "proxy_get_property"),
    ("get_shared_data", "proxy_get_shared_data"),
    ("increment_metric", "proxy_increment_metric"),
    ("log", "proxy_log"),
    ("record_metric", "proxy_record_metric"),
    ("register_shared_queue", "proxy_register_shared_queue"),
    ("resolve_shared_queue", "proxy_resolve_shared_queue"),
    ("send_grpc_response", "proxy_send_local_response"),
    ("send_http_response", "proxy_send_local_response"),
    ("set_effective_context", "proxy_set_effective_context"),
    ("set_shared_data", "proxy_set_shared_data"),
    ("set_tick_period", "proxy_set_tick_period_milliseconds"),
];

/// Returns the capabilities that a piece of the shipped configurations allows.
fn allowed(piece: &str) -> BTreeSet<String> {
    let yaml = read(&format!("tools/render/templates/filter/{piece}.yaml"));
    let (_, list) = yaml.split_once("allowed_capabilities:").unwrap();
    let (list, _) = list.split_once("vm_config:").unwrap();
    let names = list.split([' ', ',', '{', '}', '\n']);
    let names = names.filter_map(|name| name.strip_suffix(':'));
    names.map(str::to_owned).collect()
}

/// Returns what a source file asks of the host, in Envoy's words.
fn asked(source: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for rest in source.split("hostcalls::").skip(1) {
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let name = rest.split(|letter| !is_name(letter)).next().unwrap();
        if name.is_empty() {
            continue;
        }
        let known = HOST_CALLS.iter().find(|(function, _)| *function == name);
        let (_, capability) = known.unwrap_or_else(|| panic!("add {name} to the table"));
        all.insert((*capability).to_owned());
    }
    all
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn what_the_filter_asks_of_its_host_is_allowed() {
    let accept_and_drain = allowed("accept");
    assert!(accept_and_drain.contains("proxy_on_tick"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/host");
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let asked = asked(&read(&format!("src/host/{name}")));
        let missing: Vec<_> = asked.difference(&accept_and_drain).collect();
        assert!(missing.is_empty(), "{name}: {missing:?}");
    }
    let answer = asked(&read("src/host/answer.rs"));
    assert!(answer.is_subset(&allowed("answer")), "{answer:?}");
}
