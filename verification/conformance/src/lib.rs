//! Oracle's own clients against `stream-server`: what they take for OCI Streaming is OCI Streaming.
//!
//! Each test starts a server that verifies signatures, and has one client do one thing with it. The
//! Python and TypeScript SDKs are driven by scripts in `clients/`, one function for each test; the
//! CLI is called as a person would. The clients are pinned, and installed below `target/` when they
//! are needed first.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use local_gateway::process::{Process, Program};
use local_gateway::{http, ports};
use provision::command::capture;
use provision::tools::Tools;
use provision::{Project, oci_clients};
use serde_json::{Value, json};
use testkit::kafka;

mod come_and_go;
mod spread;

use come_and_go::{ComeAndGo, Gate, Mortal};
use spread::Spread;

/// Makes a test of each named function of a client's script. The first name is the method of
/// [`Server`] that runs them.
#[macro_export]
macro_rules! functions {
    ($client:ident: $($function:ident),* $(,)?) => {
        $(
            #[test]
            fn $function() {
                let name = concat!(stringify!($client), "-", stringify!($function));
                let server = $crate::Server::start(name).unwrap();
                if let Err(error) = server.$client(stringify!($function)) {
                    panic!("{error:#}");
                }
            }
        )*
    };
}

const TENANCY: &str = "ocid1.tenancy.oc1..aaaaaaaasluice";
const USER: &str = "ocid1.user.oc1..aaaaaaaasluice";

/// A token as a resource has it, which nobody has signed: it lasts from 2023 to 2100.
const SESSION_TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpYXQiOjE3MDAwMDAwMDAsImV4cCI6NDEwMjQ\
    0NDgwMCwicHR5cGUiOiJyZXNvdXJjZSJ9.c2ln";

/// How long a test waits for the server.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the arguments that say where the streams are kept.
fn engine(folder: &Path) -> Result<Vec<OsString>> {
    let Some(brokers) = kafka::brokers() else {
        return Ok(vec!["--data".into(), folder.join("data").into()]);
    };
    // A port is handed out once, and a prefix is short.
    let prefix = format!("conformance-{}.", ports::free()?);
    Ok(kafka::engine(&brokers, &prefix).map(OsString::from).into())
}

/// A `stream-server --auth keys --faults` with the stream `calls` of four partitions, the one key
/// that it knows, and one that it does not know.
#[derive(Debug)]
pub struct Server {
    project: Project,
    folder: PathBuf,
    url: String,
    fingerprints: Value,
    _come_and_go: Option<ComeAndGo>,
    _processes: Vec<Process>,
    _spread: Option<Spread>,
}

/// Who a client claims to be, and which key it signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The key that the server knows.
    Known,
    /// A key that the server does not know.
    Unknown,
    /// Another key, with the key id of the known one.
    Forged,
}

impl Server {
    /// Starts one in a folder of this name.
    ///
    /// # Errors
    /// When something that it needs is missing; the message says how to get it.
    pub fn start(name: &str) -> Result<Self> {
        let project = Project::here();
        let tools = Tools::for_tests(&project)?;
        let folder = project.target().join("conformance").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let keys = folder.join("keys");
        fs::create_dir_all(&keys)?;
        let fingerprints = write_keys(&project, &folder)?;
        fs::copy(folder.join("known.pub.pem"), keys.join("known.pub.pem"))?;
        let fingerprint = text(&fingerprints, "known")?;
        let key_id = format!("{TENANCY}/{USER}/{fingerprint}");
        fs::write(keys.join("known.keyid"), key_id)?;
        // A session's token is good for the same key.
        fs::copy(folder.join("known.pub.pem"), keys.join("session.pub.pem"))?;
        fs::write(keys.join("session.keyid"), format!("ST${SESSION_TOKEN}"))?;
        fs::write(folder.join("rpst"), SESSION_TOKEN)?;
        let mut arguments: Vec<OsString> = vec!["--auth".into(), "keys".into(), keys.into()];
        arguments.extend(engine(&folder)?);
        arguments.extend(["--stream", "calls:4", "--faults"].map(OsString::from));
        let server_ports = (0..kafka::fronts()).map(|_| ports::free());
        let server_ports = server_ports.collect::<Result<Vec<u16>>>()?;
        let first = *server_ports.first().context("no server")?;
        let gate = env::var_os(kafka::COME_AND_GO).map(|_| Arc::<Gate>::default());
        let is_one = server_ports.len() == 1;
        let spread = (!is_one).then(|| Spread::start(server_ports.clone(), gate.clone()));
        if let Some(spread) = &spread {
            // What clients are told, and sign, is the address that all servers share.
            let url = format!("http://127.0.0.1:{}", spread.port());
            arguments.extend(["--external-url", &url].map(OsString::from));
        }
        let mut servers = Vec::new();
        for port in server_ports {
            servers.push(start(&tools, &folder, port, &arguments)?);
        }
        let (processes, come_and_go) = match gate {
            Some(gate) => (Vec::new(), Some(ComeAndGo::start(servers, gate))),
            None => (servers.into_iter().map(|one| one.process).collect(), None),
        };
        let port = spread.as_ref().map_or(first, Spread::port);
        Ok(Self {
            project,
            folder,
            url: format!("http://127.0.0.1:{port}"),
            fingerprints,
            _come_and_go: come_and_go,
            _processes: processes,
            _spread: spread,
        })
    }

    /// Runs one function of `clients/python.py`.
    ///
    /// # Errors
    /// When it fails; the message has what it wrote.
    pub fn python(&self, function: &str) -> Result<()> {
        let mut command = Command::new(oci_clients::python_sdk(&self.project)?);
        command
            // Otherwise the SDK loads its clients of all services, which takes seconds.
            .env("OCI_PYTHON_SDK_NO_SERVICE_IMPORTS", "true")
            .arg("-I")
            .arg(script("python.py"))
            .arg(function)
            .arg(self.described()?);
        capture(&mut command).map(drop)
    }

    /// Runs one function of `clients/typescript/client.js`.
    ///
    /// # Errors
    /// When it fails; the message has what it wrote.
    pub fn typescript(&self, function: &str) -> Result<()> {
        let installed = oci_clients::typescript_sdk(&self.project)?;
        let mut command = Command::new(installed.node);
        command
            .env("NODE_PATH", installed.modules)
            .arg(script("typescript/client.js"))
            .arg(function)
            .arg(self.described()?);
        capture(&mut command).map(drop)
    }

    /// Calls the command line: `oci streaming …`. Returns the JSON that it prints.
    ///
    /// # Errors
    /// When it fails; the message has the error that it shows.
    pub fn cli(&self, signer: Signer, arguments: &[&str]) -> Result<Value> {
        let mut command = Command::new(oci_clients::cli(&self.project)?);
        command
            // The command sees nothing of the home of the person who runs the test.
            .env("HOME", &self.folder)
            .env("OCI_CLI_SUPPRESS_FILE_PERMISSIONS_WARNING", "True")
            .args(["--config-file".into(), self.config_file(signer)?])
            .args(["--endpoint", &self.url, "--no-retry", "streaming"])
            .args(arguments);
        let said = capture(&mut command)?;
        if said.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&said).with_context(|| format!("no JSON: {said}"))
    }

    /// Runs the script that asks Oracle's service what isn't known, with this server in its place,
    /// signed as the script's `--auth` says. Returns the report.
    ///
    /// # Errors
    /// When an item can't be asked; the message has what it wrote.
    pub fn oci_check(&self, auth: &str) -> Result<String> {
        let report = self.folder.join("oci-report.md");
        let mut command = Command::new(oci_clients::python_sdk(&self.project)?);
        if auth == "resource_principal" {
            let file = |name: &str| self.folder.join(name).into_os_string();
            command.envs([
                ("OCI_RESOURCE_PRINCIPAL_VERSION", "2.2".into()),
                ("OCI_RESOURCE_PRINCIPAL_REGION", "eu-frankfurt-1".into()),
                ("OCI_RESOURCE_PRINCIPAL_RPST", file("rpst")),
                ("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM", file("known.pem")),
            ]);
        }
        command
            .arg(self.project.root().join("deploy/oci-check/check.py"))
            .args(["--stream", "ocid1.stream.oc1.local.calls", "--quick"])
            .args(["--auth", auth, "--endpoint", &self.url, "--config-file"])
            .arg(self.config_file(Signer::Known)?)
            .arg("--report")
            .arg(&report);
        capture(&mut command)?;
        Ok(fs::read_to_string(report)?)
    }

    fn described(&self) -> Result<String> {
        let file = |name: &str| self.folder.join(name).display().to_string();
        Ok(json!({
            "endpoint": self.url, "tenancy": TENANCY, "user": USER,
            "known": { "fingerprint": text(&self.fingerprints, "known")?,
                "keyFile": file("known.pem") },
            "strange": { "fingerprint": text(&self.fingerprints, "strange")?,
                "keyFile": file("strange.pem") },
        })
        .to_string())
    }

    fn config_file(&self, signer: Signer) -> Result<PathBuf> {
        let (identity, key) = match signer {
            Signer::Known => ("known", "known"),
            Signer::Unknown => ("strange", "strange"),
            Signer::Forged => ("known", "strange"),
        };
        let fingerprint = text(&self.fingerprints, identity)?;
        let key = self.folder.join(format!("{key}.pem"));
        let file = self.folder.join(format!("{signer:?}.config"));
        let config = format!(
            "[DEFAULT]\nuser={USER}\ntenancy={TENANCY}\nregion=eu-frankfurt-1\n\
             fingerprint={fingerprint}\nkey_file={}\n",
            key.display()
        );
        fs::write(&file, config)?;
        Ok(file)
    }
}

/// Starts a server on this port and waits until it is ready.
fn start(tools: &Tools, folder: &Path, port: u16, arguments: &[OsString]) -> Result<Mortal> {
    let listen = ["--listen".into(), format!("127.0.0.1:{port}").into()];
    let program = Program {
        name: "stream-server",
        with_parent: tools.with_parent.clone(),
        path: env::var_os(kafka::SERVER).map_or(tools.stream_server.clone(), PathBuf::from),
        arguments: arguments.iter().cloned().chain(listen).collect(),
        environment: Vec::new(),
        folder: folder.to_owned(),
        log: folder.join(format!("stream-server-{port}.log")),
    };
    let mut process = Process::start(&program)?;
    let health = format!("http://127.0.0.1:{port}/health");
    process.wait_until(PATIENCE, "answer to GET /health", || {
        http::get(&health).is_ok_and(|answer| answer.status == 200)
    })?;
    Ok(Mortal {
        program,
        process,
        port,
    })
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(name)
}

/// Writes new key pairs into the folder. Returns their fingerprints.
fn write_keys(project: &Project, folder: &Path) -> Result<Value> {
    let mut command = Command::new(oci_clients::python_sdk(project)?);
    command.arg("-I").arg(script("key.py")).arg(folder);
    Ok(serde_json::from_str(&capture(&mut command)?)?)
}

fn text<'a>(value: &'a Value, member: &str) -> Result<&'a str> {
    let text = value.get(member).and_then(Value::as_str);
    text.with_context(|| format!("no {member} in {value}"))
}
