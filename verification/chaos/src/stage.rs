//! The parts of a run: two gateways, a stream server, targets, and links between them that can be
//! cut.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use local_gateway::render::change_routes;
use local_gateway::render::{Target as Origin, add_target, at, cluster};
use local_gateway::{LocalSet, Part as Program, ports};
use serde_json::{Value, json};
use testkit::server::Server;
use testkit::stream::Stream;

use crate::history::{Fault, Gateway, How, Part};
use crate::link::{Link, Manner};
use crate::plan::{GATEWAYS, TARGETS};
use crate::record::Record;
use crate::target::{self, GATEWAY_HEADER};

/// Everything that runs.
pub struct Stage {
    gateways: Vec<LocalSet>,
    targets: Vec<Server>,
    links: BTreeMap<Part, Link>,
    stream_port: u16,
    record: Arc<Record>,
}

impl Stage {
    /// Starts all parts, and waits until both drains have joined their group.
    ///
    /// # Errors
    /// When one doesn't get ready.
    pub fn start(folder: &Path, seed: u64, record: &Arc<Record>) -> Result<Self> {
        let targets = (0..TARGETS).map(|number| target::start(number, seed, record.clone()));
        let mut stage = Self {
            gateways: Vec::new(),
            targets: targets.collect(),
            links: BTreeMap::new(),
            stream_port: ports::free()?,
            record: record.clone(),
        };
        for gateway in 0..GATEWAYS {
            stage.add_links(gateway)?;
            let set = stage.gateway(&folder.join(format!("gateway-{gateway}")), gateway)?;
            stage.gateways.push(set);
        }
        for gateway in &mut stage.gateways {
            gateway.wait_until_draining()?;
        }
        Ok(stage)
    }

    /// Returns the ports on which clients reach the gateways.
    #[must_use]
    pub fn ports(&self) -> [u16; GATEWAYS] {
        let mut ports = [0; GATEWAYS];
        for (port, gateway) in ports.iter_mut().zip(&self.gateways) {
            *port = gateway.ports().gateway;
        }
        ports
    }

    /// Returns a client of the stream server, without a link between.
    #[must_use]
    pub fn stream(&self) -> Stream {
        Stream::at(self.stream_port)
    }

    /// Begins a fault.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn begin(&mut self, part: Part, how: How) -> Result<Fault> {
        let from = self.record.now();
        match (part, how) {
            (Part::Target(target), _) => {
                self.targets.get_mut(target).context("a target")?.kill();
            }
            (_, How::Kill) => self.program(part, LocalSet::kill9)?,
            (_, How::Stop) => self.program(part, LocalSet::pause)?,
            (_, How::Refuse) => self.link(part)?.set(Manner::Refuse),
            (_, How::Drop) => self.link(part)?.set(Manner::Drop),
        }
        Ok(Fault {
            part,
            how,
            from,
            reborn: from,
            until: from,
        })
    }

    /// Ends a fault, and waits until the part is ready.
    ///
    /// # Errors
    /// When it doesn't get ready.
    pub fn end(&mut self, mut fault: Fault) -> Result<()> {
        let (part, how) = (fault.part, fault.how);
        fault.reborn = self.record.now();
        match (part, how) {
            (Part::Target(target), _) => {
                self.targets.get_mut(target).context("a target")?.restart();
            }
            (_, How::Kill) => self.program(part, LocalSet::restart)?,
            (_, How::Stop) => self.program(part, LocalSet::resume)?,
            (_, How::Refuse | How::Drop) => self.link(part)?.set(Manner::Forward),
        }
        fault.until = self.record.now();
        self.record.fault(fault);
        Ok(())
    }

    fn program(
        &mut self,
        part: Part,
        act: impl Fn(&mut LocalSet, Program) -> Result<()>,
    ) -> Result<()> {
        let (gateway, program) = match part {
            Part::Gateway(gateway) => (gateway, Program::Envoy),
            Part::Stream => (0, Program::StreamServer),
            Part::Target(_) | Part::ToStream(_) | Part::ToTarget(..) => {
                bail!("{part} is not a program")
            }
        };
        act(
            self.gateways.get_mut(gateway).context("a gateway")?,
            program,
        )
    }

    fn link(&self, part: Part) -> Result<&Link> {
        self.links
            .get(&part)
            .with_context(|| format!("no link from {part}"))
    }

    fn add_links(&mut self, gateway: Gateway) -> Result<()> {
        let to_stream = Link::to(self.stream_port)?;
        self.links.insert(Part::ToStream(gateway), to_stream);
        for (target, server) in self.targets.iter().enumerate() {
            let part = Part::ToTarget(gateway, target);
            self.links.insert(part, Link::to(server.port())?);
        }
        Ok(())
    }

    fn gateway(&self, folder: &Path, gateway: Gateway) -> Result<LocalSet> {
        let to_stream = self.link(Part::ToStream(gateway))?.port();
        let mut to_targets = Vec::new();
        for target in 0..TARGETS {
            let port = self.link(Part::ToTarget(gateway, target))?.port();
            to_targets.push((format!("t{target}"), port));
        }
        let (_, first) = to_targets.first().context("a target")?;
        let builder = LocalSet::builder()
            .folder(folder)
            .target(Origin::local(*first))
            .accept_patch(accept_settings())
            .drain_patch(drain_settings())
            .edit(move |config| edit(config, gateway, to_stream, &to_targets));
        let builder = if gateway == 0 {
            builder.stream_port(self.stream_port)
        } else {
            builder.shared_stream(self.stream_port)
        };
        builder
            .start()
            .with_context(|| format!("gateway {gateway}"))
    }
}

/// Where replies go: to the first target's [`REPLIES`](crate::target::REPLIES).
const REPLY_PATH: &str = "/t0/reply";

/// Returns settings of the accept filter. A client that waits longer learns nothing more.
fn accept_settings() -> Value {
    json!({ "publish": { "timeoutMs": 2_000 }, "replies": { "paths": [REPLY_PATH] } })
}

/// Returns settings of the drain: as quick as configuration allows, so that many sessions and
/// retries fit into a minute. No call may end because of its age or the number of its attempts.
fn drain_settings() -> Value {
    json!({
        "group": { "timeoutMs": 1_000 },
        "fetch": { "timeoutMs": 1_000 },
        "replies": { "paths": [REPLY_PATH] },
        "attempt": {
            "timeoutMs": 10_000,
            "backoffBaseMs": 50,
            "backoffMaxMs": 2_000,
            "retries": 10_000,
        },
    })
}

/// Edits the configuration so that the gateway says who it is, and reaches everything by its links.
fn edit(
    config: &mut Value,
    gateway: Gateway,
    to_stream: u16,
    to_targets: &[(String, u16)],
) -> Result<()> {
    const PORT: &str = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address\
                        /socket_address/port_value";
    *at(cluster(config, "stream")?, PORT)? = json!(to_stream);
    for (name, port) in to_targets {
        add_target(config, name, *port)?;
    }
    change_routes(config, |routes| {
        for route in routes.iter_mut().filter_map(Value::as_object_mut) {
            let header = json!({ "key": GATEWAY_HEADER, "value": gateway.to_string() });
            route.insert(
                "request_headers_to_add".to_owned(),
                json!([{ "header": header }]),
            );
        }
    })
}
