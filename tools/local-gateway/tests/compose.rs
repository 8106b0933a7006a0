//! docker-compose.yml and the Dockerfile name only what is there. No Docker is needed for this.
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

fn compose() -> Value {
    let text = fs::read_to_string(root().join("docker-compose.yml")).unwrap();
    yaml_serde::from_str(&text).unwrap()
}

fn services() -> Vec<(String, Value)> {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    services
        .iter()
        .map(|(name, service)| (name.clone(), service.clone()))
        .collect()
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
    for (name, service) in services() {
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
        let volumes = compose()["volumes"].clone();
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
}

#[test]
fn every_service_has_a_health_check_and_only_loopback_ports() {
    for (name, service) in services() {
        assert!(service["healthcheck"]["test"].is_array(), "{name}");
        for port in strings(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
        for (needed, _) in service["depends_on"].as_object().into_iter().flatten() {
            assert!(
                services().iter().any(|(other, _)| other == needed),
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
        let member = member.trim_end_matches("/*");
        assert!(
            ignore.lines().any(|line| line == format!("!{member}")),
            "{member} is left out"
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
        for (service, description) in services() {
            let arguments = strings(&description["build"]["args"]);
            assert!(arguments.contains(name), "{service} can't choose {name}");
        }
    }
}

#[test]
fn nothing_runs_with_more_rights_than_it_needs() {
    let dockerfile = fs::read_to_string(root().join("Dockerfile")).unwrap();
    for (name, service) in services() {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(strings(&service["cap_drop"]), ["ALL"], "{name}");
        let options = strings(&service["security_opt"]);
        assert_eq!(options, ["no-new-privileges:true"], "{name}");
        for more in ["privileged", "cap_add", "pid", "network_mode", "user"] {
            assert!(service[more].is_null(), "{name}: {more}");
        }
    }
    let services = services().into_iter();
    let targets = services.map(|(_, service)| service["build"]["target"].clone());
    for target in targets.chain(["all-in-one".into(), "sluice-cli".into()]) {
        let ending = format!(" AS {}", target.as_str().unwrap());
        let mut stages = dockerfile.split("\nFROM ");
        let stage = stages.find(|stage| stage.lines().next().unwrap().ends_with(&ending));
        let lines = stage.unwrap().lines();
        let mut users = lines.filter_map(|line| line.strip_prefix("USER "));
        assert_eq!(users.next_back(), Some("10001:10001"), "{target}");
    }
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
