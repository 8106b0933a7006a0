//! The Dockerfile and docker-compose.yml, by a real Docker.

use anyhow::Result;
use provision::Project;
use provision::docker::{Docker, Found, images};
use provision::progress::say;

use super::runner::{self, Outcome, cargo};

/// The package whose tests need a Docker.
pub(super) const CONTAINERS: &str = "containers";

/// Builds the containers and has them used, killed and taken down.
pub(super) fn run(project: &Project) -> Result<Outcome> {
    let docker = match Docker::find(project)? {
        Found::Docker(docker) => docker,
        Found::Nothing(reason) => {
            let outcome = Outcome::success("nothing was run");
            return Ok(outcome.skipping(&format!("everything: {reason}")));
        }
    };
    let whose = match docker.own_engine() {
        Some(engine) => format!("one of our own, below {}", project.display(engine.folder())),
        None => "this machine's".into(),
    };
    let version = docker.version()?;
    say(&format!("Docker's engine {version}: {whose}"));
    let images = images::provide(project, &docker)?;
    let mut command = cargo(project, &["test", "--package", CONTAINERS, "--locked"]);
    command
        .args(["--no-fail-fast", "--", "--test-threads=1", "--nocapture"])
        .envs(docker.environment().iter().cloned())
        .envs(images.environment);
    let mut outcome = runner::tests(&mut command)?;
    let stand_ins = match images.are_stand_ins {
        true => "; base images are stand-ins",
        false => "",
    };
    outcome.remark = format!("Docker {version}{stand_ins} {}", outcome.remark);
    Ok(outcome)
}
