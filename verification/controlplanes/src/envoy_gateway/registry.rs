//! A registry on this machine, with the filter in it as an image.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use local_gateway::ports;
use local_gateway::process::{Process, Program};
use provision::Programs as LocalPrograms;
use provision::command::capture;
use provision::image;

use super::Programs;

/// It keeps everything in memory, and starts at once but on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// The registry. Dropping it ends it.
#[derive(Debug)]
pub struct Registry {
    /// The image's name there: with its digest, so that nobody else's is taken for it.
    pub reference: String,
    _process: Process,
}

impl Registry {
    /// Starts it and pushes the image.
    ///
    /// # Panics
    /// When it doesn't get ready or refuses the image.
    #[must_use]
    pub fn start(programs: &Programs, local: &LocalPrograms, work: &Path) -> Self {
        let port = ports::free().unwrap();
        let program = Program {
            name: "the registry",
            with_parent: local.tools.with_parent.clone(),
            path: programs.crane.clone(),
            arguments: vec![
                "registry".into(),
                "serve".into(),
                "--address".into(),
                format!("127.0.0.1:{port}").into(),
            ],
            environment: Vec::new(),
            folder: work.to_path_buf(),
            log: work.join("registry.log"),
        };
        let mut process = Process::start(&program).unwrap();
        let accepts = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        let ready = process.wait_until(DEADLINE, "connection", accepts);
        ready.unwrap();
        let layout = work.join("image");
        let digest = image::write(&layout, &fs::read(&local.filter).unwrap()).unwrap();
        let name = format!("127.0.0.1:{port}/sluice-filter");
        let mut push = Command::new(&programs.crane);
        push.args(["push", "--insecure"]).arg(&layout);
        capture(push.arg(format!("{name}:tried"))).unwrap();
        Self {
            reference: format!("{name}@{digest}"),
            _process: process,
        }
    }
}
