//! What a container may not do: what Docker says of it, and what happens when it is tried.

use serde_json::{Value, json};

use crate::docker::{inside, inspect, told_inside};

/// The user of everything that runs.
const USER: &str = "10001";

/// Checks that a container runs without root, without capabilities, without a way to get more
/// rights, and without a place to write to but what it was given.
///
/// # Panics
/// When it has more rights.
pub fn check(container: &str) {
    let seen = inspect(container);
    assert_eq!(seen["Config"]["User"], format!("{USER}:{USER}"));
    let host = &seen["HostConfig"];
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!(host["CapDrop"], json!(["ALL"]));
    assert_eq!(host["SecurityOpt"], json!(["no-new-privileges:true"]));
    assert_eq!(host["Privileged"], false);
    for more in ["CapAdd", "Devices", "GroupAdd"] {
        let list = host[more].as_array();
        assert!(list.is_none_or(Vec::is_empty), "{more}: {}", host[more]);
    }
    for namespace in ["PidMode", "UsernsMode", "UTSMode"] {
        assert_eq!(host[namespace], "", "{namespace}");
    }
    check_ports(host);
    check_the_first_process(container);
    check_files(container, host);
}

/// All ports are for this machine, and Envoy's admin interface has none.
fn check_ports(host: &Value) {
    for (port, bindings) in host["PortBindings"].as_object().into_iter().flatten() {
        assert!(!port.starts_with("9901"), "{port}");
        for binding in bindings.as_array().into_iter().flatten() {
            assert_eq!(binding["HostIp"], "127.0.0.1", "{port}");
        }
    }
}

fn check_the_first_process(container: &str) {
    let status = told_inside(container, "cat /proc/1/status");
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let words = line.unwrap_or_else(|| panic!("{name} in\n{status}"));
        words.split_whitespace().collect::<Vec<_>>()
    };
    assert_eq!(value("Uid:"), [USER; 4]);
    assert_eq!(value("Gid:"), [USER; 4]);
    assert_eq!(value("NoNewPrivs:"), ["1"]);
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(value(set), ["0000000000000000"], "{set}");
    }
}

fn check_files(container: &str, host: &Value) {
    for file in ["/x", "/etc/x", "/usr/local/bin/x", "/var/lib/x", "/home/x"] {
        let output = inside(container, &format!("echo x > {file}"));
        let said = String::from_utf8_lossy(&output.stderr);
        let is_refused = !output.status.success() && said.contains("Read-only file system");
        assert!(is_refused, "{file}: {said}");
    }
    for (folder, _) in host["Tmpfs"].as_object().into_iter().flatten() {
        let script = format!("cp /bin/true {folder}/x && {folder}/x");
        let output = inside(container, &script);
        let said = String::from_utf8_lossy(&output.stderr);
        let is_refused = !output.status.success() && said.contains("Permission denied");
        assert!(is_refused, "{script}: {said}");
    }
}
