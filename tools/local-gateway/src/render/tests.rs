use std::net::Ipv4Addr;

use super::*;

const GATEWAY: &str = include_str!("../../../../envoy/gateway.yaml");
const SIDECAR: &str = include_str!("../../../../envoy/sidecar.yaml");

fn changes() -> Changes {
    Changes {
        listen: Ipv4Addr::LOCALHOST.into(),
        stream_host: "127.0.0.1".into(),
        gateway_port: 1,
        admin_port: 2,
        stream_port: 3,
        drain_port: 4,
        function: Target::local(5),
        filter: "/somewhere/sluice.wasm".into(),
        accept_patch: None,
        drain_patch: None,
        stats_flush_interval: None,
    }
}

#[test]
fn every_port_and_both_wasm_files_are_replaced() {
    let config = render(GATEWAY, &changes()).unwrap();
    let text = config.to_string();
    for default in ["10000", "10001", "9901", "8090", "8080"] {
        assert!(
            !text.contains(&format!("\"port_value\":{default}")),
            "{default} is left"
        );
    }
    assert_eq!(text.matches("/somewhere/sluice.wasm").count(), 5);
    assert!(!text.contains("target/dist"));
}

#[test]
fn a_sidecar_is_changed_where_a_gateway_is() {
    let mut changes = changes();
    changes.accept_patch = Some(json!({ "limits": { "bodyBytes": 7 } }));
    let mut config = render(SIDECAR, &changes).unwrap();
    let text = config.to_string();
    for default in ["10000", "10001", "9901", "8090", "8080"] {
        assert!(
            !text.contains(&format!("\"port_value\":{default}")),
            "{default} is left"
        );
    }
    assert_eq!(text.matches("/somewhere/sluice.wasm").count(), 6);
    assert_eq!(text.matches("\\\"bodyBytes\\\":7").count(), 2, "both ways");
    assert_eq!(*listener_port(&mut config, "outbound").unwrap(), 10_002);
    let notify = cluster(&mut config, "notify").unwrap();
    assert_eq!(*endpoint(notify, "port_value").unwrap(), 8081);
}

#[test]
fn in_a_container_only_the_gateway_leaves_loopback() {
    let mut changes = changes();
    changes.listen = Ipv4Addr::UNSPECIFIED.into();
    changes.stream_host = "stream-server".into();
    changes.function = "http://demo-function:8080".parse().unwrap();
    // Somebody's own configuration may have had it elsewhere.
    let open_admin = GATEWAY.replacen(
        "address: 127.0.0.1, port_value: 9901",
        "address: 0.0.0.0, port_value: 9901",
        1,
    );
    assert_ne!(open_admin, GATEWAY);
    for yaml in [GATEWAY, &open_admin] {
        let config = render(yaml, &changes).unwrap();
        let admin = config.pointer("/admin/address/socket_address/address");
        assert_eq!(admin, Some(&json!("127.0.0.1")));
        let text = config.to_string();
        let open = text.matches(r#""address":"0.0.0.0""#).count();
        assert_eq!(open, 1, "the gateway");
        let own = text.matches("127.0.0.1").count();
        assert_eq!(
            own, 3,
            "the drain, its health check, and the admin interface"
        );
    }
}

#[test]
fn patches_reach_the_plugin_they_are_meant_for() {
    let mut changes = changes();
    changes.accept_patch = Some(json!({ "limits": { "bodyBytes": 7 } }));
    changes.drain_patch = Some(json!({ "group": null }));
    changes.stats_flush_interval = Some(Duration::from_millis(1500));
    let mut config = render(GATEWAY, &changes).unwrap();
    assert_eq!(config["stats_flush_interval"], "1.5s");
    let settings = |filter: &mut Value| -> Value {
        let text = at(filter, "/typed_config/config/configuration/value").unwrap();
        serde_json::from_str(text.as_str().unwrap()).unwrap()
    };
    let accept = http_filter(listener(&mut config, "gateway").unwrap(), "sluice.accept").unwrap();
    assert_eq!(settings(accept)["limits"]["bodyBytes"], 7);
    assert_eq!(
        settings(accept)["stream"]["cluster"],
        "stream",
        "the rest stays"
    );
    let drain = http_filter(listener(&mut config, "drain").unwrap(), "sluice.drain").unwrap();
    assert!(settings(drain).get("group").is_none());
}

#[test]
fn an_https_target_is_verified_and_called_by_its_own_name() {
    let mut changes = changes();
    changes.function = "https://functions.example".parse().unwrap();
    let mut config = render(GATEWAY, &changes).unwrap();
    let function = cluster(&mut config, "function").unwrap().clone();
    assert_eq!(
        function["transport_socket"]["typed_config"]["sni"],
        "functions.example"
    );
    assert_eq!(
        config
            .to_string()
            .matches("\"auto_host_rewrite\":true")
            .count(),
        2
    );
}

#[test]
fn explicit_targets_on_loopback_are_a_matter_of_two_places() {
    let mut config = render(GATEWAY, &changes()).unwrap();
    let closed = config.to_string();
    egress::allow_loopback(&mut config).unwrap();
    egress::trust(&mut config, "/somewhere/own.pem".as_ref()).unwrap();
    let open = config.to_string();
    let count = |text: &str, what: &str| text.matches(what).count();
    assert_eq!(
        count(&open, "own-network") - count(&closed, "own-network"),
        2
    );
    let loopback = r#""address_prefix":"127.0.0.0""#;
    assert_eq!(count(&closed, loopback), 4, "two judges, two lists");
    assert_eq!(
        count(&open, loopback),
        4,
        "denied and allowed again by each judge"
    );
    for scheme in ["https", "http"] {
        let targets = cluster(&mut config, &format!("targets-{scheme}")).unwrap();
        assert!(!targets.to_string().contains("127.0.0.0"));
    }
    assert_eq!(count(&open, "/somewhere/own.pem"), 1);
}

#[test]
fn what_is_missing_is_named() {
    let yaml = GATEWAY.replace("- name: drain\n", "- name: other\n");
    let error = render(&yaml, &changes()).unwrap_err().to_string();
    assert_eq!(error, "the configuration has no listener named 'drain'");
}
