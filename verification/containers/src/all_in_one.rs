//! The container that has everything, run in a network and with a volume of its own.

use std::process::Command;

use local_gateway::ports;
use provision::command::capture;
use serde_json::Value;
use testkit::{PATIENCE, wait};

use crate::docker::{docker, inspect};

/// Rights that a container doesn't need, and places to write to. `docs/containers.md` has the same.
pub const CONFINED: [&str; 7] = [
    "--read-only",
    "--tmpfs",
    "/tmp:noexec,nosuid,nodev,size=16m",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges:true",
];

/// A container. Dropping it removes it, with its network and its volume.
#[derive(Debug)]
pub struct AllInOne {
    name: String,
    port: u16,
}

impl AllInOne {
    /// Runs the image, and waits until the container says that it is healthy.
    ///
    /// # Panics
    /// When it isn't in time.
    #[must_use]
    pub fn run(image: &str) -> Self {
        let name = format!("{image}-1");
        let port = ports::free().unwrap();
        // An engine of our own has no network that containers get by themselves.
        let _network = docker(&["network", "create", &name]);
        let container = Self { name, port };
        let name = container.name.as_str();
        let publish = format!("127.0.0.1:{port}:10000");
        let volume = format!("{name}:/var/lib/stream-server");
        let run = ["run", "--detach", "--name", name, "--network", name];
        let places = ["--publish", &publish, "--volume", &volume];
        let _id = docker(&[run.as_slice(), &places, &CONFINED, &[image]].concat());
        container.wait_until_healthy();
        container
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the port of this machine that leads to its gateway.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Asks it to end, as Docker does by default: after 10 s it is killed. Returns its exit code.
    #[must_use]
    pub fn stop(&self) -> Value {
        let _stopped = docker(&["stop", &self.name]);
        inspect(&self.name)["State"]["ExitCode"].take()
    }

    /// Starts it again, and waits until it is healthy.
    pub fn start(&self) {
        let _started = docker(&["start", &self.name]);
        self.wait_until_healthy();
    }

    /// Returns everything that it has written.
    #[must_use]
    pub fn logs(&self) -> String {
        let output = Command::new("docker").args(["logs", &self.name]).output();
        let output = output.expect("docker");
        let both = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&both).into_owned()
    }

    fn wait_until_healthy(&self) {
        let is_healthy = || inspect(&self.name)["State"]["Health"]["Status"] == "healthy";
        assert!(wait::until(PATIENCE, is_healthy), "{}", self.logs());
    }
}

impl Drop for AllInOne {
    fn drop(&mut self) {
        let name = self.name.as_str();
        for arguments in [
            &["rm", "--force", "--volumes", name][..],
            &["volume", "rm", "--force", name],
            &["network", "rm", name],
        ] {
            // A failed test has said why already.
            let _removed = capture(Command::new("docker").args(arguments));
        }
    }
}
