//! What is started for each part, and with which arguments.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use provision::Programs;

use super::{Builder, Part, Ports};
use crate::process::Program;

impl Builder {
    pub(super) fn describe(
        &self,
        programs: &Programs,
        folder: &Path,
        data: &Path,
        configuration: &Path,
        ports: Ports,
    ) -> BTreeMap<Part, Program> {
        let working = if self.is_in_container {
            folder
        } else {
            self.project.root()
        };
        let program =
            |name: &'static str, path: &Path, log: &str, arguments: Vec<OsString>| Program {
                name,
                with_parent: programs.tools.with_parent.clone(),
                path: path.to_path_buf(),
                arguments,
                environment: Vec::new(),
                folder: working.to_path_buf(),
                log: folder.join(log),
            };
        let mut parts = BTreeMap::new();
        if self.shared_stream_port.is_none() {
            let mut arguments = words(&["--listen", &format!("127.0.0.1:{}", ports.stream)]);
            if !self.stream_server_arguments.contains(&"--engine".into()) {
                arguments.extend(["--data".into(), data.into()]);
            }
            arguments.extend(self.stream_server_arguments.iter().cloned());
            arguments.extend(
                self.streams
                    .iter()
                    .flat_map(|stream| words(&["--stream", stream])),
            );
            let name = Part::StreamServer.name();
            let server = &programs.tools.stream_server;
            parts.insert(
                Part::StreamServer,
                program(name, server, "stream-server.log", arguments),
            );
        }
        if let Some(port) = ports.function {
            let arguments = words(&["--listen", &format!("127.0.0.1:{port}")]);
            let function = &programs.tools.demo_function;
            let name = Part::Function.name();
            parts.insert(
                Part::Function,
                program(name, function, "demo-function.log", arguments),
            );
        }
        let mut arguments = words(&["--disable-hot-restart", "--log-level", &self.log_level]);
        arguments.extend(words(&["--concurrency", &self.concurrency.to_string()]));
        arguments.extend(["--config-path".into(), configuration.into()]);
        let mut envoy = program(Part::Envoy.name(), &programs.envoy, "envoy.log", arguments);
        envoy.environment.clone_from(&self.environment);
        parts.insert(Part::Envoy, envoy);
        parts
    }
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}
