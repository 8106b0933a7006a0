//! The steps that start Envoy with the shipped filter.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use provision::tools::Tools;
use provision::{PREPARED, Project, command, envoy};

use super::runner::{self, Outcome, cargo};

/// The package whose native tests need the built filter and Envoy, and whose library has the tests
/// that run in Node.
pub(super) const WASM_TESTS: &str = "wasm-tests";

/// The package whose tests have real control planes, which they build.
pub(super) const CONTROL_PLANES: &str = "controlplanes";

/// The Envoy of the Istio that `verification/controlplanes/istio/go.mod` names.
const ISTIOS_ENVOY: &str = "1.39";

/// The Envoy of the Envoy Gateway that `verification/controlplanes/envoy-gateway/go.mod` names.
const ENVOY_GATEWAYS_ENVOY: &str = "1.39";

/// What depends most on Envoy's version, as files of `wasm-tests/tests/`.
const SHORT: &[&str] = &[
    "accept",
    "answers",
    "configurations",
    "deliver",
    "egress",
    "envoy_versions",
    "ext_proc",
    "fidelity",
    "principals",
    "security",
    "sidecar",
    "trap",
    "waiting",
    "wake",
];

/// Provides Envoy and our own programs.
pub(super) fn local_set(project: &Project) -> Result<Outcome> {
    let envoy = envoy::provide(project)?;
    Tools::build(project)?;
    Ok(Outcome::success(&format!(
        "Envoy {}",
        envoy::version(&envoy)?
    )))
}

/// All end-to-end tests, with the Envoy that was chosen or the newest.
pub(super) fn newest(project: &Project) -> Result<Outcome> {
    on_envoy(project, &envoy::provide(project)?, WASM_TESTS, &[])
}

/// Some of them, with the oldest supported Envoy.
pub(super) fn oldest(project: &Project) -> Result<Outcome> {
    let envoy = envoy::install(project, &envoy::OLDEST.to_string())?;
    on_envoy(project, &envoy, WASM_TESTS, SHORT)
}

/// What the real istiod serves, with the Envoy that its release has and with the newest.
pub(super) fn istio(project: &Project) -> Result<Outcome> {
    if command::on_path("go").is_none() {
        let outcome = Outcome::success("nothing was run");
        return Ok(outcome.skipping("everything, because no Go is here to build Istio with"));
    }
    let of_istio = envoy::install(project, ISTIOS_ENVOY)?;
    let outcome = on_envoy(project, &of_istio, CONTROL_PLANES, &["istio"])?;
    if !outcome.is_green() {
        return Ok(outcome);
    }
    let newest = on_envoy(
        project,
        &envoy::provide(project)?,
        CONTROL_PLANES,
        &["istio"],
    )?;
    Ok(newest.and(outcome))
}

/// What Envoy Gateway translates and serves, with the Envoy that its release has and with the
/// newest.
pub(super) fn envoy_gateway(project: &Project) -> Result<Outcome> {
    if command::on_path("go").is_none() {
        let outcome = Outcome::success("nothing was run");
        let reason = "everything, because no Go is here to build Envoy Gateway with";
        return Ok(outcome.skipping(reason));
    }
    let own = envoy::install(project, ENVOY_GATEWAYS_ENVOY)?;
    let outcome = on_envoy(project, &own, CONTROL_PLANES, &["envoy_gateway"])?;
    if !outcome.is_green() {
        return Ok(outcome);
    }
    let newest = envoy::provide(project)?;
    let newest = on_envoy(project, &newest, CONTROL_PLANES, &["envoy_gateway"])?;
    Ok(unless_in_a_network_of_its_own(
        newest.and(outcome),
        "its server",
    ))
}

/// The Helm chart, before Kubernetes' real API and in a real Envoy.
pub(super) fn kubernetes(project: &Project) -> Result<Outcome> {
    if command::on_path("go").is_none() {
        let outcome = Outcome::success("nothing was run");
        let reason = "everything, because no Go is here to build Helm and Kubernetes' API with";
        return Ok(outcome.skipping(reason));
    }
    let envoy = envoy::provide(project)?;
    let outcome = on_envoy(project, &envoy, CONTROL_PLANES, &["kubernetes"])?;
    Ok(unless_in_a_network_of_its_own(outcome, "Kubernetes' API"))
}

/// Says that a part was left out where this machine lets nobody have a network of their own: the
/// tests ask the same.
fn unless_in_a_network_of_its_own(outcome: Outcome, part: &str) -> Outcome {
    if !outcome.is_green() {
        return outcome;
    }
    let mut network = Command::new("unshare");
    network.args([
        "--map-root-user",
        "--net",
        "--",
        "ip",
        "link",
        "set",
        "lo",
        "up",
    ]);
    match command::capture(&mut network) {
        Ok(_) => outcome,
        Err(error) => outcome.skipping(&format!(
            "{part}, because no network of our own is to be had: {error:#}"
        )),
    }
}

/// Runs a package's end-to-end tests in these files, or all of them, with this Envoy.
fn on_envoy(project: &Project, envoy: &Path, package: &str, files: &[&str]) -> Result<Outcome> {
    let version = envoy::version(envoy)?;
    println!("with Envoy {version}: {}", envoy.display());
    let mut command = cargo(
        project,
        &["test", "--package", package, "--locked", "--no-fail-fast"],
    );
    command.args(files.iter().flat_map(|file| ["--test", *file]));
    command.env(PREPARED, "1").env(envoy::ENVOY_BIN, envoy);
    let mut outcome = runner::tests(&mut command)?;
    outcome.remark = format!("Envoy {version} {}", outcome.remark);
    Ok(outcome)
}
