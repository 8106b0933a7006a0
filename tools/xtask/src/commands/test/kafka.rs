//! The stream server on real brokers of Apache Kafka.

use anyhow::Result;
use kafka_cluster::{Cluster, Kafka, Provided, Setup};
use provision::tools::{Tools, stream_server_with_kafka};
use provision::{PREPARED, Project, oci_clients};

use super::runner::{self, Outcome, cargo};
use crate::commands::chaos as member;

/// Tests of the stream server that hold on every engine, as files of `stream-server/tests/`. The
/// others are about files of the embedded one, about what one process remembers, or about HTTP.
const TESTS: &[&str] = &[
    "control_plane",
    "copy",
    "copy_kafka",
    "copy_refusals",
    "copy_trouble",
    "cursors",
    "groups",
    "kafka",
    "kafka_clients",
    "kafka_hostile",
    "messages",
    "streams",
];

/// The package that starts brokers, and whose own tests kill them.
pub(super) const KAFKA_CLUSTER: &str = "kafka-cluster";

/// Names the brokers, for the tests.
const BROKERS: &str = "SLUICE_KAFKA_BROKERS";
/// How many servers stand in front of them, for the tests.
const FRONTS: &str = "SLUICE_KAFKA_FRONTS";
/// Has these servers killed, ended and started again while Oracle's clients use them.
const COME_AND_GO: &str = "SLUICE_KAFKA_COME_AND_GO";
/// Tests that count on servers which stay: the members of a group are in one server's memory, and
/// so are the rules of faults.
const NOT_WHILE_THEY_GO: &[&str] = &["group", "bad_days", "errors"];
/// Names the program to test, for the tests with servers of their own.
const SERVER: &str = "SLUICE_STREAM_SERVER";

/// Runs the short form of `cargo xtask chaos --kafka`. The seed is printed.
pub(super) fn chaos(project: &Project) -> Result<Outcome> {
    let tools = Tools::of(project);
    if let Provided::Missing(reason) = Kafka::provide(project, &tools.with_parent)? {
        let outcome = Outcome::success("nothing was run");
        return Ok(outcome.skipping(&format!("everything, because {reason}")));
    }
    let mut command = member::command(project);
    command
        .args(["--kafka", "--seconds", "45"])
        .env(PREPARED, "1");
    runner::check(&mut command)
}

/// Runs the tests with three brokers, through one server and through two.
pub(super) fn run(project: &Project) -> Result<Outcome> {
    let tools = Tools::of(project);
    let kafka = match Kafka::provide(project, &tools.with_parent)? {
        Provided::Kafka(kafka) => kafka,
        Provided::Missing(reason) => {
            let outcome = Outcome::success("nothing was run");
            return Ok(outcome.skipping(&format!("everything, because {reason}")));
        }
    };
    let server = stream_server_with_kafka(project)?;
    oci_clients::python_sdk(project)?;
    oci_clients::typescript_sdk(project)?;
    let mut brokers_own = cargo(project, &["test", "--package", KAFKA_CLUSTER, "--locked"]);
    brokers_own.arg("--no-fail-fast").env(SERVER, &server);
    let mut outcome = runner::tests(brokers_own.env(PREPARED, "1"))?;
    let cluster = Cluster::start(&kafka, "step", &Setup::default())?;
    let brokers = cluster.brokers();
    for fronts in ["1", "2"] {
        println!("through {fronts} of its servers");
        let mut own = cargo(project, &["test", "--package=stream-server", "--locked"]);
        own.args(["--features=kafka,copy", "--lib", "--no-fail-fast"]);
        own.args(TESTS.iter().flat_map(|file| ["--test", *file]));
        let mut clients = cargo(project, &["test", "--package=conformance", "--locked"]);
        clients.arg("--no-fail-fast").env(SERVER, &server);
        for command in [&mut own, &mut clients] {
            command.env(BROKERS, &brokers).env(FRONTS, fronts);
            let ran = runner::tests(command.env(PREPARED, "1"))?;
            outcome = ran.and(outcome);
        }
    }
    println!("through two of its servers, which come and go");
    let mut clients = cargo(project, &["test", "--package=conformance", "--locked"]);
    clients.args([
        "--no-fail-fast",
        "--test=python",
        "--test=typescript",
        "--test=cli",
        "--",
    ]);
    clients.args(NOT_WHILE_THEY_GO.iter().flat_map(|name| ["--skip", *name]));
    clients
        .env(SERVER, &server)
        .env(BROKERS, &brokers)
        .env(FRONTS, "2");
    let ran = runner::tests(clients.env(COME_AND_GO, "1").env(PREPARED, "1"))?;
    let outcome = ran.and(outcome);
    // A gateway, `sluice`, and clients of Kafka that know nothing of either.
    let mut others = cargo(project, &["test", "--package=wasm-tests", "--locked"]);
    others.args(["--test=kafka_clients", "--no-fail-fast"]);
    others.env(BROKERS, &brokers).env(SERVER, &server);
    Ok(runner::tests(others.env(PREPARED, "1"))?.and(outcome))
}
