//! The Dockerfile and the files of Compose, by a real Docker.

use anyhow::Result;
use kafka_cluster::Jars;
use provision::Project;
use provision::docker::images::BaseImages;
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
    let kafka = for_kafka(project, &docker, &images)?;
    let mut command = cargo(project, &["test", "--package", CONTAINERS, "--locked"]);
    command
        .args(["--no-fail-fast", "--", "--test-threads=1", "--nocapture"])
        .envs(docker.environment().iter().cloned())
        .envs(images.environment)
        .envs(kafka.variables);
    let mut outcome = runner::tests(&mut command)?;
    if let Some(reason) = kafka.missing {
        outcome = outcome.skipping(&format!("the containers on Kafka: {reason}"));
    }
    let stand_ins = match images.are_stand_ins {
        true => "; base images are stand-ins",
        false => "",
    };
    outcome.remark = format!("Docker {version}{stand_ins} {}", outcome.remark);
    Ok(outcome)
}

/// Set for the tests where the containers on Kafka can't be had.
const NO_KAFKA: &str = "SLUICE_NO_KAFKA";

/// What the containers on Kafka need.
#[derive(Default)]
struct ForKafka {
    variables: Vec<(String, String)>,
    /// Why this machine hasn't got it.
    missing: Option<String>,
}

fn for_kafka(project: &Project, docker: &Docker, images: &BaseImages) -> Result<ForKafka> {
    // Other engines pull the brokers' image. Only a stand-in needs jars.
    if docker.own_engine().is_none() {
        return Ok(ForKafka::default());
    }
    let (variables, missing) = match Jars::provide(project)? {
        Jars::Folder(jars) => {
            let variables = images::provide_kafka(project, docker, images, &jars)?;
            (variables, None)
        }
        Jars::Missing(reason) => (vec![(NO_KAFKA.to_owned(), reason.clone())], Some(reason)),
    };
    Ok(ForKafka { variables, missing })
}
