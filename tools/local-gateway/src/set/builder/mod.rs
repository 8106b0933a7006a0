//! The settings of a set before it starts.

mod describe;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{LocalSet, Part, Ports, STREAMS, temporary};
use crate::ports;
use crate::render::{self, Changes, Target, UnfilteredTargets};
use provision::dist::Variant;
use provision::{Programs, Project};

type Edit = Box<dyn FnOnce(&mut Value) -> Result<()>>;

/// The settings of a set. Everything has a default that suits a test: free ports, a folder of its
/// own, one Envoy worker, and the demo function as target.
pub struct Builder {
    project: Project,
    programs: Option<Programs>,
    variant: Variant,
    configuration: PathBuf,
    name: String,
    folder: Option<PathBuf>,
    data: Option<PathBuf>,
    gateway_port: Option<u16>,
    admin_port: Option<u16>,
    stream_port: Option<u16>,
    drain_port: Option<u16>,
    function_port: Option<u16>,
    shared_stream_port: Option<u16>,
    streams: Vec<String>,
    stream_server_arguments: Vec<OsString>,
    target: Option<Target>,
    concurrency: u32,
    accept_patch: Option<Value>,
    drain_patch: Option<Value>,
    stats_flush_interval: Option<Duration>,
    environment: Vec<(String, String)>,
    log_level: String,
    edits: Vec<Edit>,
    unfiltered: UnfilteredTargets,
    is_verbose: bool,
    is_in_container: bool,
}

impl Default for Builder {
    fn default() -> Self {
        let project = Project::here();
        Self {
            programs: None,
            variant: Variant::Shipped,
            configuration: project.root().join("envoy/gateway.yaml"),
            project,
            name: "set".into(),
            folder: None,
            data: None,
            gateway_port: None,
            admin_port: None,
            stream_port: None,
            drain_port: None,
            function_port: None,
            shared_stream_port: None,
            streams: STREAMS.map(String::from).to_vec(),
            stream_server_arguments: Vec::new(),
            target: None,
            concurrency: 1,
            accept_patch: None,
            drain_patch: None,
            stats_flush_interval: None,
            environment: Vec::new(),
            log_level: "info".into(),
            edits: Vec::new(),
            unfiltered: UnfilteredTargets::default(),
            is_verbose: false,
            is_in_container: false,
        }
    }
}

impl Builder {
    /// Sets the name of the folder below `target/local-sets/`, such as the test's name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Sets the folder for configuration and logs, which stay there afterwards.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_path_buf());
        self
    }

    /// Sets the folder for the stream server's records; by default it is below the set's folder.
    #[must_use]
    pub fn data(mut self, data: &Path) -> Self {
        self.data = Some(data.to_path_buf());
        self
    }

    /// Sets the programs, which were provided before.
    #[must_use]
    pub fn programs(mut self, programs: Programs) -> Self {
        self.programs = Some(programs);
        self
    }

    /// Selects one of the two built filters; the default is the shipped one.
    #[must_use]
    pub fn variant(mut self, variant: Variant) -> Self {
        self.variant = variant;
        self
    }

    /// Sets another file than `envoy/gateway.yaml`.
    #[must_use]
    pub fn configuration(mut self, file: &Path) -> Self {
        self.configuration = file.to_path_buf();
        self
    }

    /// Sets the gateway's port; the default is a free one.
    #[must_use]
    pub fn gateway_port(mut self, port: u16) -> Self {
        self.gateway_port = Some(port);
        self
    }

    /// Sets the port of Envoy's admin interface; the default is a free one.
    #[must_use]
    pub fn admin_port(mut self, port: u16) -> Self {
        self.admin_port = Some(port);
        self
    }

    /// Sets the stream server's port; the default is a free one.
    #[must_use]
    pub fn stream_port(mut self, port: u16) -> Self {
        self.stream_port = Some(port);
        self
    }

    /// Sets the port of the drain's listener; the default is a free one.
    #[must_use]
    pub fn drain_port(mut self, port: u16) -> Self {
        self.drain_port = Some(port);
        self
    }

    /// Sets the demo function's port; the default is a free one.
    #[must_use]
    pub fn function_port(mut self, port: u16) -> Self {
        self.function_port = Some(port);
        self
    }

    /// Uses a stream server (or its substitute) that somebody else runs, instead of starting one.
    #[must_use]
    pub fn shared_stream(mut self, port: u16) -> Self {
        self.shared_stream_port = Some(port);
        self
    }

    /// Sets the streams as `name:partitions`; the default is `calls:4`, `calls-dead:1`, and a lane
    /// for each delay of the local configuration.
    #[must_use]
    pub fn streams(mut self, streams: &[&str]) -> Self {
        self.streams = streams.iter().map(|stream| (*stream).to_owned()).collect();
        self
    }

    /// Adds arguments of the stream server. With another engine it gets no folder.
    #[must_use]
    pub fn stream_server_arguments<A: Into<OsString>>(
        mut self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into);
        self.stream_server_arguments = arguments.collect();
        self
    }

    /// Sets the target of the gateway's route `/`, instead of the demo function.
    #[must_use]
    pub fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    /// Sets the number of Envoy's workers; the default is one.
    #[must_use]
    pub fn concurrency(mut self, workers: u32) -> Self {
        self.concurrency = workers;
        self
    }

    /// Merges this into the accept filter's settings (RFC 7396).
    #[must_use]
    pub fn accept_patch(mut self, patch: Value) -> Self {
        self.accept_patch = Some(patch);
        self
    }

    /// Merges this into the drain's settings (RFC 7396).
    #[must_use]
    pub fn drain_patch(mut self, patch: Value) -> Self {
        self.drain_patch = Some(patch);
        self
    }

    /// Sets how often Envoy sums up its metrics.
    #[must_use]
    pub fn stats_flush_interval(mut self, interval: Duration) -> Self {
        self.stats_flush_interval = Some(interval);
        self
    }

    /// Adds a variable to Envoy's environment.
    #[must_use]
    pub fn envoy_environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets Envoy's `--log-level`; the default is `info`.
    #[must_use]
    pub fn log_level(mut self, level: &str) -> Self {
        level.clone_into(&mut self.log_level);
        self
    }

    /// Allows explicit targets on this machine, 127.0.0.0/8. The allow-lists still decide.
    #[must_use]
    pub fn allow_private_egress(self) -> Self {
        self.unfiltered_targets()
            .edit(render::egress::allow_loopback)
    }

    /// Leaves explicit targets to the RBAC filter alone where Envoy has no address filter.
    #[must_use]
    pub fn unfiltered_targets(mut self) -> Self {
        self.unfiltered = UnfilteredTargets::Accepted;
        self
    }

    /// Adds any other change of Envoy's configuration, which is made after all of the above.
    #[must_use]
    pub fn edit(mut self, edit: impl FnOnce(&mut Value) -> Result<()> + 'static) -> Self {
        self.edits.push(Box::new(edit));
        self
    }

    /// Prints what is being started.
    #[must_use]
    pub fn verbose(mut self) -> Self {
        self.is_verbose = true;
        self
    }

    /// Makes the set fit for a container: the gateway listens on all addresses, because published
    /// ports arrive at the container's own, and all parts write where this process writes, because
    /// that is the container's log. Nothing of a checkout is needed.
    #[must_use]
    pub fn in_container(mut self) -> Self {
        self.is_in_container = true;
        self
    }

    /// Starts every part and waits until all are ready.
    ///
    /// # Errors
    /// When a part doesn't get ready; the message has the end of its log.
    pub fn start(mut self) -> Result<LocalSet> {
        let provided = self.programs.take().map(Ok);
        let programs =
            provided.unwrap_or_else(|| Programs::for_tests(&self.project, self.variant))?;
        let is_temporary = self.folder.is_none();
        let folder = self.folder.take();
        let folder = folder.unwrap_or_else(|| temporary(&self.project, &self.name));
        let data = self.data.take().unwrap_or_else(|| folder.join("data"));
        let ports = self.choose_ports()?;
        for folder in [&folder, &data] {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let configuration = self.render(&programs, &folder, ports)?;
        let programs = self.describe(&programs, &folder, &data, &configuration, ports);
        let mut set = LocalSet {
            ports,
            folder,
            data,
            programs,
            running: BTreeMap::new(),
            is_temporary,
            is_quiet: !self.is_verbose,
            is_logged: !self.is_in_container,
        };
        for part in [Part::StreamServer, Part::Function, Part::Envoy] {
            set.start(part)?;
        }
        Ok(set)
    }

    fn choose_ports(&self) -> Result<Ports> {
        let or_free = |port: Option<u16>| port.map_or_else(ports::free, Ok);
        Ok(Ports {
            gateway: or_free(self.gateway_port)?,
            admin: or_free(self.admin_port)?,
            stream: or_free(self.shared_stream_port.or(self.stream_port))?,
            drain: or_free(self.drain_port)?,
            function: match self.target {
                Some(_) => None,
                None => Some(or_free(self.function_port)?),
            },
        })
    }

    fn render(&mut self, programs: &Programs, folder: &Path, ports: Ports) -> Result<PathBuf> {
        let file = &self.configuration;
        let yaml =
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let own = Target::local(ports.function.unwrap_or_default());
        let listen = if self.is_in_container {
            Ipv4Addr::UNSPECIFIED
        } else {
            Ipv4Addr::LOCALHOST
        };
        let changes = Changes {
            listen: IpAddr::V4(listen),
            stream_host: Ipv4Addr::LOCALHOST.to_string(),
            gateway_port: ports.gateway,
            admin_port: ports.admin,
            stream_port: ports.stream,
            drain_port: ports.drain,
            function: self.target.clone().unwrap_or(own),
            filter: programs.filter.clone(),
            accept_patch: self.accept_patch.take(),
            drain_patch: self.drain_patch.take(),
            stats_flush_interval: self.stats_flush_interval,
        };
        let mut config = render::render(&yaml, &changes)
            .with_context(|| format!("cannot use {}", file.display()))?;
        let mut edits = self.edits.drain(..);
        edits.try_for_each(|edit| edit(&mut config))?;
        render::for_envoy(&mut config, programs.envoy_version, self.unfiltered)?;
        let rendered = folder.join("envoy.json");
        fs::write(&rendered, serde_json::to_vec_pretty(&config)?)
            .with_context(|| format!("cannot write {}", rendered.display()))?;
        Ok(rendered)
    }
}
