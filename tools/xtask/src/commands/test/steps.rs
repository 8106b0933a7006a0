//! What there is to run, in order.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use provision::dist::{self, Variant};
use provision::toolchain::{WasmTarget, WasmToolchain};
use provision::{PREPARED, Project, command, docker, envoy, node, oci_clients};

use super::containers::{self, CONTAINERS};
use super::end_to_end::{self, CONTROL_PLANES, WASM_TESTS};
use super::kafka::{self, KAFKA_CLUSTER};
use super::module_image;
use super::runner::{self, Outcome, cargo};
use crate::commands::{chaos, overload, render, sim};

/// One step.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// About how long it takes on two cores, once everything is installed and built.
    pub(super) seconds: u32,
    needs: &'static [&'static str],
    pub(super) run: fn(&Project) -> Result<Outcome>,
}

impl Step {
    /// Whether this step makes no sense without that one.
    pub(super) fn needs(&self, other: &str) -> bool {
        self.needs.contains(&other)
    }
}

/// Steps that are run only where they are asked for: building their control planes, or everything
/// in containers, takes some ten minutes each on two cores, and Oracle's clients take as long to go
/// through several servers.
pub(super) const ON_DEMAND: &[&str] = &[
    "istio",
    "envoy-gateway",
    "kubernetes",
    "containers",
    "kafka",
];

/// All steps: the quick ones that find most come first.
pub(super) const STEPS: &[Step] = &[
    Step {
        name: "format",
        about: "cargo fmt",
        seconds: 1,
        needs: &[],
        run: format,
    },
    Step {
        name: "lints",
        about: "clippy on all native code",
        seconds: 50,
        needs: &[],
        run: lints,
    },
    Step {
        name: "documentation",
        about: "cargo doc: every link leads somewhere",
        seconds: 10,
        needs: &[],
        run: documentation,
    },
    Step {
        name: "native",
        about: "tests that need no Envoy",
        seconds: 210,
        needs: &[],
        run: native,
    },
    Step {
        name: "simulation",
        about: "gateways, a Stream and targets with faults: fixed seeds, and fresh ones",
        seconds: 100,
        needs: &[],
        run: simulation,
    },
    Step {
        name: "wasm-lints",
        about: "clippy on the filter for its host",
        seconds: 11,
        needs: &[],
        run: wasm_lints,
    },
    Step {
        name: "dist",
        about: "the filter that is shipped, checked",
        seconds: 64,
        needs: &[],
        run: dist,
    },
    Step {
        name: "module-image",
        about: "the filter as an OCI image, pushed to a registry and pulled from it",
        seconds: 5,
        needs: &["dist"],
        run: module_image::run,
    },
    Step {
        name: "wasm",
        about: "pure code under wasm, in Node",
        seconds: 74,
        needs: &[],
        run: wasm,
    },
    Step {
        name: "local-set",
        about: "Envoy and our own programs",
        seconds: 47,
        needs: &[],
        run: end_to_end::local_set,
    },
    Step {
        name: "conformance",
        about: "the stream server by Oracle's own clients",
        seconds: 39,
        needs: &["local-set"],
        run: conformance,
    },
    Step {
        name: "envoy",
        about: "end to end, with the shipped filter in a real Envoy",
        seconds: 320,
        needs: &["dist", "local-set"],
        run: end_to_end::newest,
    },
    Step {
        name: "envoy-oldest",
        about: "the same on the oldest supported Envoy, the short form",
        seconds: 120,
        needs: &["dist", "local-set"],
        run: end_to_end::oldest,
    },
    Step {
        name: "istio",
        about: "the real istiod and Envoy, by Istio's Gateway and by the Gateway API",
        seconds: 150,
        needs: &["dist", "local-set"],
        run: end_to_end::istio,
    },
    Step {
        name: "envoy-gateway",
        about: "the real Envoy Gateway serves a real Envoy with what we write for it",
        seconds: 180,
        needs: &["dist", "local-set"],
        run: end_to_end::envoy_gateway,
    },
    Step {
        name: "kubernetes",
        about: "the Helm chart, before the real kube-apiserver and in a real Envoy",
        seconds: 120,
        needs: &["dist", "local-set"],
        run: end_to_end::kubernetes,
    },
    Step {
        name: "kafka",
        about: "the stream server on three real brokers, and other clients of Kafka",
        seconds: 1200,
        needs: &["dist", "local-set"],
        run: kafka::run,
    },
    Step {
        name: "overload",
        about: "too much for the accept side, the short form",
        seconds: 150,
        needs: &["dist", "local-set"],
        run: overload,
    },
    Step {
        name: "chaos",
        about: "real parts killed, stopped and cut off under load: a short run with a fresh seed",
        seconds: 140,
        needs: &["dist", "local-set"],
        run: short_chaos,
    },
    Step {
        name: "chaos-kafka",
        about: "the same with the streams on three brokers, through three servers",
        seconds: 150,
        needs: &["dist", "local-set"],
        run: kafka::chaos,
    },
    Step {
        name: "compose",
        about: "the containers' configuration",
        seconds: 1,
        needs: &["dist", "local-set"],
        run: compose,
    },
    Step {
        name: "containers",
        about: "the containers, built, used, killed and taken down by a real Docker",
        seconds: 60,
        needs: &[],
        run: containers::run,
    },
];

/// `stream-server copy` isn't in every build.
const COPY: &str = "--features=stream-server/copy";

/// The package whose tests have the stream server used by Oracle's clients, which they install.
const CONFORMANCE: &str = "conformance";

fn format(project: &Project) -> Result<Outcome> {
    runner::check(&mut cargo(project, &["fmt", "--all", "--check"]))
}

fn lints(project: &Project) -> Result<Outcome> {
    let arguments = [
        "clippy",
        "--workspace",
        "--all-targets",
        COPY,
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    runner::check(&mut cargo(project, &arguments))
}

fn documentation(project: &Project) -> Result<Outcome> {
    let arguments = ["doc", "--workspace", "--no-deps", COPY, "--locked"];
    runner::check(cargo(project, &arguments).env("RUSTDOCFLAGS", "-D warnings"))
}

fn native(project: &Project) -> Result<Outcome> {
    let arguments = [
        "test",
        "--workspace",
        "--exclude",
        WASM_TESTS,
        "--exclude",
        CONFORMANCE,
        "--exclude",
        CONTROL_PLANES,
        "--exclude",
        CONTAINERS,
        "--exclude",
        KAFKA_CLUSTER,
        COPY,
        "--locked",
        "--no-fail-fast",
    ];
    runner::tests(&mut cargo(project, &arguments))
}

/// The fresh seeds are printed, so that what they find can be replayed.
fn simulation(project: &Project) -> Result<Outcome> {
    let gateways = simulate(project, &sim::GATEWAYS, "1500", "300")?;
    if !gateways.is_green() {
        return Ok(gateways);
    }
    Ok(gateways.and(simulate(project, &sim::FRONTS, "600", "200")?))
}

fn simulate(
    project: &Project,
    simulation: &sim::Simulation,
    fixed: &str,
    fresh: &str,
) -> Result<Outcome> {
    let outcome = runner::check(simulation.command(project).args(["--seeds", fixed]))?;
    if !outcome.is_green() {
        return Ok(outcome);
    }
    runner::check(
        simulation
            .command(project)
            .args(["--seeds", fresh, "--fresh"]),
    )
}

fn wasm_lints(project: &Project) -> Result<Outcome> {
    let toolchain = WasmToolchain::find(WasmTarget::Wasip1)?;
    // Debian's Rust comes without clippy; the compiler's own warnings are checked all the same.
    let mut command = if toolchain.has_clippy() {
        let mut command = toolchain.cargo(project, "clippy");
        command.args([
            "--package",
            "sluice",
            "--lib",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]);
        command
    } else {
        let mut command = toolchain.cargo(project, "check");
        command.args(["--package", "sluice", "--lib", "--locked"]);
        command
    };
    runner::check(&mut command)
}

fn dist(project: &Project) -> Result<Outcome> {
    let built = dist::build(project, Variant::Shipped)?;
    dist::build(project, Variant::Trap)?;
    Ok(Outcome::success(&format!(
        "{}: {} bytes, {} imports",
        project.display(&built.path),
        built.inspection.size_bytes,
        built.inspection.imports.len()
    )))
}

fn wasm(project: &Project) -> Result<Outcome> {
    let node = node::provide(project)?;
    let test_runner = node::test_runner(project)?;
    let toolchain = WasmToolchain::find(WasmTarget::Unknown)?;
    let mut command = toolchain.cargo(project, "test");
    command
        .args(["--package", WASM_TESTS, "--locked", "--no-fail-fast"])
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", test_runner)
        .env("PATH", path_with(&node)?);
    runner::tests(&mut command)
}

/// The runner calls `node`: the one that was chosen has to be the one that it finds. Nothing
/// changes where it is found anyway, because its folder may hold another Rust as well.
fn path_with(node: &Path) -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    if command::on_path("node").is_some_and(|found| found == node) {
        return Ok(path);
    }
    let folder = node
        .parent()
        .context("a program has a folder")?
        .to_path_buf();
    Ok(env::join_paths(
        std::iter::once(folder).chain(env::split_paths(&path)),
    )?)
}

fn conformance(project: &Project) -> Result<Outcome> {
    // Before the tests, because these hide what goes on until they fail.
    oci_clients::python_sdk(project)?;
    oci_clients::typescript_sdk(project)?;
    let arguments = [
        "test",
        "--package",
        CONFORMANCE,
        "--locked",
        "--no-fail-fast",
    ];
    runner::tests(cargo(project, &arguments).env(PREPARED, "1"))
}

fn overload(project: &Project) -> Result<Outcome> {
    runner::check(overload::command(project).arg("--short").env(PREPARED, "1"))
}

/// The seed is printed. What a longer run has found stands in `docs/chaos.md`.
fn short_chaos(project: &Project) -> Result<Outcome> {
    let mut command = chaos::command(project);
    command.args(["--seconds", "45"]).env(PREPARED, "1");
    runner::check(&mut command)
}

/// What containers run: Envoy's configuration for them, and the file that starts them.
fn compose(project: &Project) -> Result<Outcome> {
    let config = project.target().join("compose/envoy.json");
    render::run(project, &render::Arguments::for_containers(&config)?)?;
    let mut command = Command::new(envoy::provide(project)?);
    command
        .args([
            "--mode",
            "validate",
            "--log-level",
            "warning",
            "--config-path",
        ])
        .arg(&config);
    let validated = runner::check(&mut command)?;
    if !validated.is_green() {
        return Ok(validated);
    }
    for file in ["docker-compose.yml", "docker-compose.kafka.yml"] {
        let Some(mut command) = docker::compose() else {
            return Ok(Outcome::success(
                "no docker compose here: a native test reads its files",
            ));
        };
        let command = command.current_dir(project.root());
        let checked = runner::check(command.args(["--file", file, "config", "--quiet"]))?;
        if !checked.is_green() {
            return Ok(checked);
        }
    }
    Ok(validated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contributing_has_every_step_in_order() {
        let page = Project::here().root().join("CONTRIBUTING.md");
        let page = std::fs::read_to_string(page).unwrap();
        let told: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("| `") && line.ends_with(" s |"))
            .collect();
        let rows: Vec<String> = STEPS
            .iter()
            .map(|step| format!("| `{}` | {} | {} s |", step.name, step.about, step.seconds))
            .collect();
        assert_eq!(told, rows, "the table should be:\n{}", rows.join("\n"));
    }
    #[test]
    fn the_workflow_runs_every_step() {
        let workflow = Project::here().root().join(".github/workflows/checks.yml");
        let workflow = std::fs::read_to_string(workflow).unwrap();
        let named: Vec<&str> = workflow
            .split("--only ")
            .skip(1)
            .filter_map(|rest| rest.split_whitespace().next())
            .collect();
        for name in &named {
            assert!(STEPS.iter().any(|step| step.name == *name), "{name}");
        }
        for step in STEPS {
            let is_run = |other: &Step| named.contains(&other.name) && other.needs(step.name);
            assert!(
                named.contains(&step.name) || STEPS.iter().any(is_run),
                "{} is in no job",
                step.name
            );
        }
    }
}
