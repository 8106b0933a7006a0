//! What egctl makes of resources, as a configuration with which Envoy starts alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use local_gateway::ports;
use provision::dist::Variant;
use provision::{Programs as LocalPrograms, Project};
use serde_json::{Map, Value, json};
use wasm_tests::gateway::Gateway;
use wasm_tests::target::Target;

use super::Programs;
use super::manifests::{self, Module, Values, Xds};
use crate::behind::{self, Ports};

/// Where the functions are, for egctl: it refuses this machine. Reserved for documentation
/// (RFC 5737), so that it is nobody's.
const FUNCTIONS: &str = "192.0.2.10";

/// Starts an Envoy with what egctl has made of our resources, the stream server, and a function.
/// `change` is made to the resources before.
///
/// # Panics
/// When the resources aren't valid or a part doesn't get ready.
#[must_use]
pub fn start(
    programs: &Programs,
    name: &str,
    input: &Value,
    target: Target,
    change: impl FnOnce(&mut Vec<Value>),
) -> Gateway {
    let project = Project::here();
    let local = LocalPrograms::for_tests(&project, Variant::Shipped).unwrap();
    let [gateway, admin, stream, drain] = [(); 4].map(|()| ports::free().unwrap());
    let values = Values {
        gateway,
        stream,
        drain,
        functions: [target.port(); 2],
        address: FUNCTIONS,
        module: Module::Mounted(local.filter.clone()),
        envoy: local.envoy_version.to_string(),
        xds: Xds::V1,
        certificates: None,
        input: input.clone(),
    };
    let mut resources = manifests::all(&values, "function-a");
    change(&mut resources);
    let folder = format!("local-sets/egctl-{name}-{}", std::process::id());
    let folder = project.target().join(folder);
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("resources.yaml");
    fs::write(&file, manifests::text(&resources)).unwrap();
    let translated = bootstrap(&translate(programs, &file), admin);
    behind::start(
        name,
        target,
        Ports {
            gateway,
            admin,
            stream,
            drain,
        },
        translated,
    )
}

/// Has egctl judge and translate resources.
///
/// # Panics
/// When it finds a mistake.
#[must_use]
pub fn translate(programs: &Programs, file: &Path) -> Value {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&programs.egctl);
        let output = command.arg("x").args(arguments).arg("-f").arg(file);
        let output = output.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "egctl {arguments:?}: {error}");
        (String::from_utf8(output.stdout).unwrap(), error)
    };
    // Its exit code is 0 anyway.
    let (said, error) = run(&["validate"]);
    assert!(said.contains("OK") || error.contains("OK"), "{said}{error}");
    let all = [
        "--from",
        "gateway-api",
        "--to",
        "xds",
        "-t",
        "all",
        "-o",
        "json",
    ];
    let (xds, _) = run(&[&["translate"], &all[..]].concat());
    serde_json::from_str(&xds).unwrap()
}

/// What egctl shows: an Envoy's `/config_dump`.
struct Dump<'a>(&'a [Value]);

impl Dump<'_> {
    fn of(&self, kind: &str) -> Value {
        let mut of_kind = self.0.iter().filter(|dump| {
            let name = dump["@type"].as_str().unwrap_or_default();
            name.ends_with(kind)
        });
        of_kind.next().cloned().unwrap_or_default()
    }

    /// The resources of a kind: `pointer` leads to each in the items of the list.
    fn each(&self, kind: &str, list: &str, pointer: &str) -> Vec<Value> {
        let mut resources = listed(&self.of(kind)[list]);
        for resource in &mut resources {
            *resource = resource.pointer(pointer).unwrap().clone();
            // Each was wrapped for the dump.
            members(resource).remove("@type");
        }
        resources
    }

    /// Everything in it as the configuration of an Envoy that nobody tells more.
    fn configuration(&self) -> Value {
        let mut config = self.of(".BootstrapConfigDump")["bootstrap"].clone();
        for gone in ["dynamicResources", "clusterManager", "node"] {
            members(&mut config).remove(gone);
        }
        let mut clusters = listed(&config["staticResources"]["clusters"]);
        clusters.retain(|cluster| cluster["name"] != "xds_cluster" && cluster["type"] != "EDS");
        clusters.extend(self.clusters());
        let mut listeners = listed(&config["staticResources"]["listeners"]);
        listeners.extend(self.listeners());
        config["staticResources"] = json!({ "clusters": clusters, "listeners": listeners });
        config
    }

    fn clusters(&self) -> Vec<Value> {
        let kind = ".EndpointsConfigDump";
        let endpoints = self.each(kind, "dynamicEndpointConfigs", "/endpointConfig");
        let endpoints = named(endpoints, "clusterName");
        let mut clusters = self.each(".ClustersConfigDump", "dynamicActiveClusters", "/cluster");
        for cluster in clusters.iter_mut().filter(|one| one["type"] == "EDS") {
            let name = cluster.pointer("/edsClusterConfig/serviceName");
            let name = name.unwrap_or(&cluster["name"]).as_str().unwrap();
            let assignment = endpoints[name].clone();
            members(cluster).remove("edsClusterConfig");
            cluster["type"] = json!("STATIC");
            cluster["loadAssignment"] = assignment;
        }
        clusters
    }

    fn listeners(&self) -> Vec<Value> {
        let routes = self.each(".RoutesConfigDump", "dynamicRouteConfigs", "/routeConfig");
        let routes = named(routes, "name");
        let kind = ".ListenersConfigDump";
        let mut listeners = self.each(kind, "dynamicListeners", "/activeState/listener");
        // It has the same port everywhere.
        let is_probe = |name: &str| name.starts_with("envoy-gateway-proxy-ready-");
        listeners.retain(|listener| !listener["name"].as_str().is_some_and(is_probe));
        for listener in &mut listeners {
            inline_routes(listener, &routes);
        }
        listeners
    }
}

fn listed(list: &Value) -> Vec<Value> {
    list.as_array().cloned().unwrap_or_default()
}

fn named(resources: Vec<Value>, name: &str) -> BTreeMap<String, Value> {
    let pairs = resources.into_iter().map(|resource| {
        let name = resource[name].as_str().unwrap().to_owned();
        (name, resource)
    });
    pairs.collect()
}

/// The configuration: Envoy Gateway's bootstrap, with all that it would have told Envoy.
fn bootstrap(translated: &Value, admin: u16) -> Value {
    let dumps = listed(&translated["xds"]["default/eg"]["configs"]);
    let mut config = Dump(&dumps).configuration();
    config["admin"] = json!({ "address": { "socketAddress": {
        "address": "127.0.0.1", "portValue": admin } } });
    config["statsFlushInterval"] = json!("1s");
    on_this_machine(&mut config);
    config
}

fn members(value: &mut Value) -> &mut Map<String, Value> {
    value.as_object_mut().unwrap()
}

/// Puts routes where a listener would ask for them by name.
fn inline_routes(value: &mut Value, routes: &BTreeMap<String, Value>) {
    match value {
        Value::Object(members) => {
            if let Some(asked) = members.remove("rds") {
                let name = asked["routeConfigName"].as_str().unwrap();
                let found = routes
                    .get(name)
                    .unwrap_or_else(|| panic!("no routes {name}"));
                members.insert("routeConfig".into(), found.clone());
            }
            members
                .values_mut()
                .for_each(|member| inline_routes(member, routes));
        }
        Value::Array(elements) => {
            elements
                .iter_mut()
                .for_each(|element| inline_routes(element, routes));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Listens on loopback alone, where the functions are too.
fn on_this_machine(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let is_elsewhere = [FUNCTIONS, "0.0.0.0", "::"]
                    .map(Value::from)
                    .contains(member);
                if name == "address" && is_elsewhere {
                    *member = json!("127.0.0.1");
                }
                on_this_machine(member);
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(on_this_machine),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
