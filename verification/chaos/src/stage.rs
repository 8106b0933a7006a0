//! The parts of a run: two gateways, what keeps the streams, targets, and links between them that
//! can be cut.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use local_gateway::render::Target as Origin;
use local_gateway::{LocalSet, Part as Program, ports};
use testkit::server::Server;
use testkit::stream::Stream;

use crate::gateway::{self, Ways};
use crate::history::{Engine, Fault, Gateway, How, Part};
use crate::kafka::Kafka;
use crate::link::{Link, Manner};
use crate::plan::{GATEWAYS, TARGETS};
use crate::record::Record;
use crate::target;

/// Everything that runs.
pub struct Stage {
    gateways: Vec<LocalSet>,
    targets: Vec<Server>,
    links: BTreeMap<Part, Link>,
    streams: Streams,
    record: Arc<Record>,
}

/// What keeps the streams.
pub enum Streams {
    /// A stream server on this port, which the first gateway's set has.
    Embedded(u16),
    /// Brokers, and fronts.
    Kafka(Box<Kafka>),
}

impl Streams {
    /// Returns one stream server with a disk, which is to be started.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn embedded() -> Result<Self> {
        ports::free().map(Self::Embedded)
    }
}

impl Stage {
    /// Starts all parts, and waits until both drains have joined their group.
    ///
    /// # Errors
    /// When one doesn't get ready.
    pub fn start(folder: &Path, seed: u64, record: &Arc<Record>, streams: Streams) -> Result<Self> {
        let targets = (0..TARGETS).map(|number| target::start(number, seed, record.clone()));
        let mut stage = Self {
            gateways: Vec::new(),
            targets: targets.collect(),
            links: BTreeMap::new(),
            streams,
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
        Stream::at(match &self.streams {
            Streams::Embedded(port) => *port,
            Streams::Kafka(kafka) => kafka.stream_port(),
        })
    }

    /// Returns what there is of Kafka.
    pub fn kafka(&mut self) -> Option<&mut Kafka> {
        match &mut self.streams {
            Streams::Embedded(_) => None,
            Streams::Kafka(kafka) => Some(kafka),
        }
    }

    /// Returns the port of the first target.
    #[must_use]
    pub fn target_port(&self) -> u16 {
        self.targets.first().map(Server::port).unwrap_or_default()
    }

    /// Begins a fault.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn begin(&mut self, part: Part, how: How) -> Result<Fault> {
        let from = self.record.now();
        match (self.kafka_of(part), part, how) {
            (Some(kafka), _, _) => kafka.begin(part, how)?,
            (None, Part::Target(target), _) => {
                self.targets.get_mut(target).context("a target")?.kill();
            }
            (None, _, How::Kill) => self.program(part, LocalSet::kill9)?,
            (None, _, How::Stop) => self.program(part, LocalSet::pause)?,
            (None, _, How::Refuse) => self.link(part)?.set(Manner::Refuse),
            (None, _, How::Drop) => self.link(part)?.set(Manner::Drop),
            (None, _, How::Restart | How::Full) => bail!("{part} is never {how}"),
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
        match (self.kafka_of(part), part, how) {
            (Some(kafka), _, _) => kafka.end(part, how)?,
            (None, Part::Target(target), _) => {
                self.targets.get_mut(target).context("a target")?.restart();
            }
            (None, _, How::Kill) => self.program(part, LocalSet::restart)?,
            (None, _, How::Stop) => self.program(part, LocalSet::resume)?,
            (None, _, How::Refuse | How::Drop) => self.link(part)?.set(Manner::Forward),
            (None, _, How::Restart | How::Full) => bail!("{part} is never {how}"),
        }
        fault.until = self.record.now();
        self.record.fault(fault);
        Ok(())
    }

    /// Returns Kafka, if the part belongs to it.
    fn kafka_of(&mut self, part: Part) -> Option<&mut Kafka> {
        let is_kafkas =
            part.is_of_brokers() || part.is_of_fronts() || matches!(part, Part::ToStream(_));
        self.kafka().filter(|_| is_kafkas)
    }

    fn program(
        &mut self,
        part: Part,
        act: impl Fn(&mut LocalSet, Program) -> Result<()>,
    ) -> Result<()> {
        let (gateway, program) = match part {
            Part::Gateway(gateway) => (gateway, Program::Envoy),
            Part::Stream => (0, Program::StreamServer),
            Part::Target(_)
            | Part::ToStream(_)
            | Part::ToTarget(..)
            | Part::Broker(_)
            | Part::Controller
            | Part::BetweenBrokers(_)
            | Part::Front(_)
            | Part::ToFront(..)
            | Part::ToBrokers(_) => bail!("{part} is not a program of a gateway's set"),
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
        if let Streams::Embedded(port) = self.streams {
            self.links.insert(Part::ToStream(gateway), Link::to(port)?);
        }
        for (target, server) in self.targets.iter().enumerate() {
            let part = Part::ToTarget(gateway, target);
            self.links.insert(part, Link::to(server.port())?);
        }
        Ok(())
    }

    fn gateway(&self, folder: &Path, gateway: Gateway) -> Result<LocalSet> {
        let mut to_targets = Vec::new();
        for target in 0..TARGETS {
            let port = self.link(Part::ToTarget(gateway, target))?.port();
            to_targets.push((format!("t{target}"), port));
        }
        let (engine, to_streams) = match &self.streams {
            Streams::Embedded(_) => {
                let port = self.link(Part::ToStream(gateway))?.port();
                (Engine::Embedded, vec![port])
            }
            Streams::Kafka(kafka) => (Engine::Kafka, kafka.ports(gateway)),
        };
        let (_, first) = to_targets.first().context("a target")?;
        let ways = Ways {
            to_streams,
            to_targets: to_targets.clone(),
        };
        let builder = LocalSet::builder()
            .folder(folder)
            .target(Origin::local(*first))
            .accept_patch(gateway::accept_settings())
            .drain_patch(gateway::drain_settings(engine))
            .edit(move |config| gateway::edit(config, gateway, &ways));
        let builder = match &self.streams {
            Streams::Embedded(port) if gateway == 0 => builder.stream_port(*port),
            Streams::Embedded(port) => builder.shared_stream(*port),
            Streams::Kafka(kafka) => builder.shared_stream(kafka.stream_port()),
        };
        builder
            .start()
            .with_context(|| format!("gateway {gateway}"))
    }
}
