//! A file of Compose as it is shipped, under a name of its own. A second file changes no more than
//! the machine forces: ports that are free, and the network of builds in stand-ins.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use local_gateway::ports;
use provision::docker::{self, images::BUILD_NETWORK};
use provision::progress::timed;
use provision::{Project, command};

use crate::docker::docker;

/// A file of Compose.
#[derive(Clone, Copy, Debug)]
pub struct ComposeFile {
    name: &'static str,
    /// The services that are built here and stay, with the port that each publishes.
    services: &'static [(&'static str, Option<u16>)],
    /// Services that are built here and end by themselves.
    passing: &'static [&'static str],
}

/// One of everything.
pub const PLAIN: ComposeFile = ComposeFile {
    name: "docker-compose.yml",
    services: &[
        ("gateway", Some(10_000)),
        ("stream-server", Some(8090)),
        ("demo-function", None),
    ],
    passing: &[],
};

/// Two gateways and two stream servers before three brokers of Kafka.
pub const ON_KAFKA: ComposeFile = ComposeFile {
    name: "docker-compose.kafka.yml",
    services: &[
        ("gateway-1", Some(10_000)),
        ("gateway-2", Some(10_000)),
        ("stream-server-1", Some(8090)),
        ("stream-server-2", Some(8090)),
        ("demo-function", None),
    ],
    passing: &["secret"],
};

/// The image of the Dockerfile that no service has.
const ALL_IN_ONE: &str = "all-in-one";

/// Seconds until every service is healthy, on a busy machine.
const HEALTHY_WITHIN_SECONDS: &str = "180";

/// A composition. Dropping it takes it down, with its volumes and images.
#[derive(Debug)]
pub struct Composition {
    file: ComposeFile,
    name: String,
    changes: PathBuf,
    ports: BTreeMap<&'static str, u16>,
}

impl Composition {
    /// Returns the composition, of which nothing runs yet.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn new(file: ComposeFile, name: &str) -> Self {
        let name = format!("sluice-{name}-{}", std::process::id());
        let folder = Project::here().target().join("containers");
        fs::create_dir_all(&folder).unwrap();
        let published = file.services.iter();
        let published = published.filter_map(|(service, port)| port.map(|_| *service));
        let ports = published.map(|service| (service, ports::free().unwrap()));
        let composition = Self {
            file,
            changes: folder.join(format!("{name}.yml")),
            ports: ports.collect(),
            name,
        };
        fs::write(&composition.changes, composition.text()).unwrap();
        composition
    }

    /// Returns the second file. The image without a service gets one there, so that Compose can
    /// build it: Docker's own command needs a plugin for that.
    fn text(&self) -> String {
        let network = env::var(BUILD_NETWORK).map(|network| format!("network: {network}"));
        let network = network.unwrap_or_default();
        let mut text = String::from("services:\n");
        for service in self.file.passing {
            let _ = writeln!(text, "  {service}:\n    build: {{ {network} }}");
        }
        for (service, port) in self.file.services {
            let _ = writeln!(text, "  {service}:\n    build: {{ {network} }}");
            if let (Some(inside), Some(outside)) = (port, self.ports.get(service)) {
                let _ = writeln!(
                    text,
                    "    ports: !override [\"127.0.0.1:{outside}:{inside}\"]"
                );
            }
        }
        let arguments = "args: [RUST_IMAGE, DEBIAN_IMAGE, ENVOY_IMAGE]";
        let _ = writeln!(
            text,
            "  {ALL_IN_ONE}:\n    profiles: [{ALL_IN_ONE}]\n    \
             build: {{ context: ., target: {ALL_IN_ONE}, {arguments}, {network} }}"
        );
        text
    }

    /// Returns the name of the image that has everything.
    #[must_use]
    pub fn all_in_one(&self) -> String {
        format!("{}-{ALL_IN_ONE}", self.name)
    }

    /// Returns the port of this machine that leads to a service.
    #[must_use]
    pub fn port(&self, service: &str) -> u16 {
        self.ports[service]
    }

    /// Builds the images of the services, and prints how long that takes.
    pub fn build(&self) {
        self.run(&["build"]);
    }

    /// Builds the image that has everything, and prints how long that takes.
    pub fn build_all_in_one(&self) {
        self.run(&["build", ALL_IN_ONE]);
    }

    /// Starts every service and waits until all are healthy.
    pub fn up(&self) {
        let deadline = ["--wait-timeout", HEALTHY_WITHIN_SECONDS];
        self.run(&[&["up", "--detach", "--wait"], deadline.as_slice()].concat());
    }

    /// Ends every service, and removes all but the volumes.
    pub fn down(&self) {
        self.run(&["down"]);
    }

    /// Removes the volumes and the images too.
    pub fn forget(&self) {
        self.run(&["down", "--volumes", "--rmi", "local"]);
    }

    /// Returns the names of the services that are built here and stay.
    pub fn services(&self) -> impl Iterator<Item = &'static str> {
        self.file.services.iter().map(|(service, _)| *service)
    }

    /// Returns the container of a service.
    #[must_use]
    pub fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.name)
    }

    /// Returns what there is of this composition: the names of its containers, networks and
    /// volumes.
    #[must_use]
    pub fn left(&self) -> Left {
        let filter = format!("label=com.docker.compose.project={}", self.name);
        let list = |arguments: &[&str]| {
            let told = docker(&[arguments, &["--quiet", "--filter", &filter]].concat());
            told.lines().map(str::to_owned).collect()
        };
        Left {
            containers: list(&["ps", "--all"]),
            networks: list(&["network", "ls"]),
            volumes: list(&["volume", "ls"]),
        }
    }

    fn run(&self, arguments: &[&str]) {
        let what = format!("docker compose {}", arguments.join(" "));
        let done = timed(&what, || command::run(self.compose().args(arguments)));
        done.unwrap_or_else(|error| panic!("{error:#}\n{}", self.logs()));
    }

    /// Returns the last lines that the services have written.
    fn logs(&self) -> String {
        let logs = command::capture(self.compose().args(["logs", "--no-color", "--tail", "30"]));
        logs.unwrap_or_default()
    }

    fn compose(&self) -> Command {
        let mut command = docker::compose().expect("docker compose");
        command
            .current_dir(Project::here().root())
            // Its usual display is for a terminal.
            .env("BUILDKIT_PROGRESS", "plain")
            .args(["--project-name", &self.name, "--file", self.file.name])
            .arg("--file")
            .arg(&self.changes);
        command
    }
}

impl Drop for Composition {
    fn drop(&mut self) {
        let mut command = self.compose();
        command.args([
            "--profile",
            "*",
            "down",
            "--volumes",
            "--rmi",
            "local",
            "--timeout",
            "5",
        ]);
        // A failed test has said why already.
        let _done = command::capture(&mut command);
        let _removed = fs::remove_file(&self.changes);
    }
}

/// What Docker has of a composition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Containers, running or not.
    pub containers: Vec<String>,
    /// Networks.
    pub networks: Vec<String>,
    /// Volumes.
    pub volumes: Vec<String>,
}
