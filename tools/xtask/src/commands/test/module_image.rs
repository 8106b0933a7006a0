//! The filter as an OCI image: the same bytes each time, and a registry gives back what it got.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use local_gateway::ports;
use provision::command::{capture, run as run_command};
use provision::{Project, cancel, go, image};

use super::runner::Outcome;

/// A registry that keeps everything in memory starts at once, but on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

pub(super) fn run(project: &Project) -> Result<Outcome> {
    let module = fs::read(project.filter()).context("cannot read the filter")?;
    let folder = project.image();
    let digest = image::write(&folder, &module)?;
    let again = image::write(&project.target().join("dist/sluice-oci-again"), &module)?;
    ensure!(digest == again, "{digest} became {again}");
    let Some(crane) = go::provide(project, go::CRANE)? else {
        let outcome = Outcome::success(&digest);
        return Ok(outcome.skipping("a registry, because no Go is here to build one"));
    };
    let registry = Registry::start(&crane)?;
    let reference = format!("127.0.0.1:{}/sluice:{}", registry.port, image::VERSION);
    let crane = |arguments: &[&str]| {
        let mut command = Command::new(&crane);
        command.args(arguments).arg("--insecure");
        command
    };
    // It reads the layout by itself, and checks every digest.
    let layout = folder.display().to_string();
    run_command(&mut crane(&["push", &layout, &reference]))?;
    run_command(&mut crane(&["validate", "--remote", &reference]))?;
    let known_as = capture(&mut crane(&["digest", &reference]))?;
    ensure!(known_as.trim() == digest, "{digest} became {known_as}");
    let archive = project.target().join("dist/sluice-oci-exported.tar");
    let exported = archive.display().to_string();
    run_command(&mut crane(&["export", &reference, &exported]))?;
    let exported = fs::read(&archive).context("cannot read what was exported")?;
    ensure!(
        image::module_in(&exported)? == module,
        "the registry has another module"
    );
    Ok(Outcome::success(&format!("pushed and pulled {digest}")))
}

/// A registry on this machine. Dropping it ends it.
struct Registry {
    port: u16,
    process: Child,
}

impl Registry {
    fn start(crane: &Path) -> Result<Self> {
        let port = ports::free()?;
        let process = Command::new(crane)
            .args(["registry", "serve", "--address"])
            .arg(format!("127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start a registry")?;
        let mut registry = Self { port, process };
        registry.wait()?;
        Ok(registry)
    }

    fn wait(&mut self) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("the registry ended: {status}");
            }
            cancel::check()?;
            thread::sleep(POLL_INTERVAL);
        }
        bail!("the registry does not listen after {PATIENCE:?}")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}
