//! The files of Compose and the Dockerfile name only what is there. No Docker is needed for this.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

use provision::Project;
use serde_json::Value;

fn root() -> PathBuf {
    Project::here().root().to_path_buf()
}

const FILES: [&str; 2] = ["docker-compose.yml", "docker-compose.kafka.yml"];

/// What the names of Kafka's brokers begin with. Their image isn't ours.
const BROKERS: &str = "kafka-";
/// It ends by itself.
const PASSING: &str = "secret";

fn compose(file: &str) -> Value {
    let text = fs::read_to_string(root().join(file)).unwrap();
    merged(yaml_serde::from_str(&text).unwrap())
}

/// A document with the members of `<<` where they belong.
fn merged(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: serde_json::Map<_, _> = members
                .into_iter()
                .map(|(name, member)| (name, merged(member)))
                .collect();
            if let Some(Value::Object(others)) = members.remove("<<") {
                for (name, member) in others {
                    members.entry(name).or_insert(member);
                }
            }
            members.into()
        }
        Value::Array(items) => items.into_iter().map(merged).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn services_of(file: &str) -> Vec<(String, Value)> {
    let compose = compose(file);
    let services = compose["services"].as_object().unwrap();
    services
        .iter()
        .map(|(name, service)| (name.clone(), service.clone()))
        .collect()
}

/// All services of all files.
fn services() -> Vec<(String, Value)> {
    FILES.into_iter().flat_map(services_of).collect()
}

/// Those that are built here.
fn built() -> impl Iterator<Item = (String, Value)> {
    let is_built = |(name, _): &(String, Value)| !name.starts_with(BROKERS);
    services().into_iter().filter(is_built)
}

fn strings(list: &Value) -> Vec<String> {
    let entries = list.as_array().into_iter().flatten();
    entries
        .map(|entry| entry.as_str().unwrap().to_owned())
        .collect()
}

/// Returns the stages of the Dockerfile: `FROM image AS name`.
fn stages(dockerfile: &str) -> Vec<String> {
    let lines = dockerfile.lines().filter(|line| line.starts_with("FROM "));
    lines
        .map(|line| line.split_whitespace().nth(3).unwrap().to_owned())
        .collect()
}

#[test]
fn every_path_and_stage_of_the_services_exists() {
    for (name, service) in built() {
        let build = &service["build"];
        let context = root().join(build["context"].as_str().unwrap());
        assert!(context.is_dir(), "{name}: {}", context.display());
        let dockerfile = context.join(build["dockerfile"].as_str().unwrap_or("Dockerfile"));
        let dockerfile = fs::read_to_string(&dockerfile).unwrap();
        let target = build["target"].as_str().unwrap().to_owned();
        assert!(
            stages(&dockerfile).contains(&target),
            "{name}: no stage {target}"
        );
    }
    for file in FILES {
        let volumes = compose(file)["volumes"].clone();
        for (name, service) in services_of(file) {
            the_volumes_exist(&name, &service, &volumes);
        }
    }
}

fn the_volumes_exist(name: &str, service: &Value, volumes: &Value) {
    for volume in strings(&service["volumes"]) {
        let source = volume.split(':').next().unwrap();
        let is_path = source.starts_with(['.', '/']);
        let exists = if is_path {
            root().join(source).exists()
        } else {
            volumes.get(source).is_some()
        };
        assert!(exists, "{name}: {volume}");
    }
}

#[test]
fn every_service_has_a_health_check_and_only_loopback_ports() {
    for (file, (name, service)) in FILES
        .iter()
        .flat_map(|file| services_of(file).into_iter().map(move |one| (file, one)))
    {
        let is_checked = service["healthcheck"]["test"].is_array();
        assert!(is_checked || name == PASSING, "{name}");
        for port in strings(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
        for (needed, _) in service["depends_on"].as_object().into_iter().flatten() {
            let mut others = services_of(file).into_iter();
            assert!(
                others.any(|(other, _)| other == *needed),
                "{name}: {needed}"
            );
        }
    }
}

#[test]
fn the_build_context_has_every_member_of_the_workspace() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = manifest
        .lines()
        .find(|line| line.starts_with("members = "))
        .unwrap();
    let ignore = fs::read_to_string(root().join(".dockerignore")).unwrap();
    let members = members.split('"').skip(1).step_by(2);
    for member in members.filter(|member| *member != ".") {
        let member = Path::new(member.trim_end_matches("/*"));
        let mut kept = ignore.lines().filter_map(|line| line.strip_prefix('!'));
        assert!(
            kept.any(|folder| member.starts_with(folder)),
            "{} is left out",
            member.display()
        );
    }
    for kept in ignore.lines().filter_map(|line| line.strip_prefix('!')) {
        assert!(
            Path::new(&root()).join(kept).exists(),
            "{kept} does not exist"
        );
    }
}

/// Returns the images that a Dockerfile begins with, by the build arguments that name them.
fn base_images(dockerfile: &str) -> Vec<(String, String)> {
    let lines = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("ARG "));
    let images = lines.filter_map(|line| line.split_once('='));
    images
        .filter(|(name, _)| name.ends_with("_IMAGE"))
        .map(|(name, image)| (name.to_owned(), image.to_owned()))
        .collect()
}

#[test]
fn images_are_pinned_and_envoy_is_the_one_that_is_tested() {
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let known = stages(&dockerfile);
    let images = base_images(&dockerfile);
    for line in dockerfile.lines().filter(|line| line.starts_with("FROM ")) {
        let image = line.split_whitespace().nth(1).unwrap().to_owned();
        let is_pinned = images
            .iter()
            .any(|(name, _)| image == format!("${{{name}}}"));
        assert!(
            is_pinned || known.contains(&image) || image == "scratch",
            "{line}: name the image by an ARG, with its digest"
        );
    }
    for (name, image) in &images {
        let (tagged, digest) = image.split_once("@sha256:").unwrap_or((image, ""));
        let (repository, tag) = tagged.split_once(':').unwrap();
        assert_ne!(tag, "latest", "{image}");
        let is_hexadecimal = digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        if repository == "envoyproxy/envoy" {
            assert_eq!(tag, format!("v{}", provision::envoy::VERSION));
            // It is not known yet; the comment there says how it is found.
            assert!([0, 64].contains(&digest.len()) && is_hexadecimal, "{image}");
        } else {
            assert!(digest.len() == 64 && is_hexadecimal, "{image}");
        }
        for (service, description) in built() {
            let arguments = strings(&description["build"]["args"]);
            assert!(arguments.contains(name), "{service} can't choose {name}");
        }
    }
}

#[test]
fn nothing_runs_with_more_rights_than_it_needs() {
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).unwrap();
    for (name, service) in services() {
        let is_read_only = service["read_only"] == true;
        assert!(is_read_only || name.starts_with(BROKERS), "{name}");
        assert_eq!(strings(&service["cap_drop"]), ["ALL"], "{name}");
        let options = strings(&service["security_opt"]);
        assert_eq!(options, ["no-new-privileges:true"], "{name}");
        for more in ["privileged", "cap_add", "pid", "user"] {
            assert!(service[more].is_null(), "{name}: {more}");
        }
        let network = &service["network_mode"];
        assert!(network.is_null() || network == "none", "{name}: {network}");
    }
    let targets = built().map(|(_, service)| service["build"]["target"].clone());
    for target in targets.chain(["all-in-one".into(), "sluice-cli".into()]) {
        let ending = format!(" AS {}", target.as_str().unwrap());
        let mut stages = dockerfile.split("\nFROM ");
        let stage = stages.find(|stage| stage.lines().next().unwrap().ends_with(&ending));
        let lines = stage.unwrap().lines();
        let mut users = lines.filter_map(|line| line.strip_prefix("USER "));
        assert_eq!(users.next_back(), Some("10001:10001"), "{target}");
    }
}

/// The brokers are those that the tests of the engine run, and nobody but stream servers reaches
/// them.
#[test]
fn brokers_are_those_that_are_tested_and_apart() {
    let pom = root().join("verification/kafka-cluster/pom.xml");
    let pom = fs::read_to_string(pom).unwrap();
    for (name, service) in services_of("docker-compose.kafka.yml") {
        let networks = &service["networks"];
        let named = networks.as_object();
        let networks = named.map_or_else(
            || strings(networks),
            |named| named.keys().cloned().collect(),
        );
        let is_near = networks.contains(&"kafka".to_owned());
        let is_server = name.starts_with("stream-server");
        assert_eq!(is_near, is_server || name.starts_with(BROKERS), "{name}");
        if name.starts_with(BROKERS) {
            assert_eq!(networks, ["kafka"], "{name}");
            assert!(service["ports"].is_null(), "{name}");
            let image = service["image"].as_str().unwrap();
            let tag = image.strip_prefix("${KAFKA_IMAGE:-apache/kafka:").unwrap();
            let version = format!("<version>{}</version>", tag.trim_end_matches('}'));
            assert!(pom.contains(&version), "{image}");
        }
    }
    let networks = compose("docker-compose.kafka.yml")["networks"].clone();
    assert_eq!(networks["kafka"]["internal"], true);
}

/// Who reaches Envoy's admin interface can stop it.
#[test]
fn the_admin_interface_is_for_its_container_alone() {
    for (name, service) in services() {
        for port in strings(&service["ports"]) {
            assert!(!port.contains("9901"), "{name}: {port}");
        }
    }
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).unwrap();
    let exposed = dockerfile.lines().filter(|line| line.starts_with("EXPOSE"));
    assert!(exposed.clone().count() == 4 && !exposed.clone().any(|line| line.contains("9901")));
    let gateway = services().into_iter().find(|(name, _)| name == "gateway");
    let own = strings(&gateway.unwrap().1["healthcheck"]["test"]).join("\n");
    assert!(own.contains("127.0.0.1/9901"), "{own}");
}
