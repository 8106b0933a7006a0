//! The streams on Kafka: brokers, the stream servers in front of them, and links between all of
//! them that can be cut.
//!
//! Each front has a door of its own into each broker, and each broker finds each other one at an
//! address of its own, so that every way leads through its own link.

mod front;
mod ways;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kafka_cluster::{Cluster, Kafka as Programs, Setup};
use testkit::wait;

use crate::disk::Disk;
use crate::history::{Broker, Front, Gateway, How, Part};
use crate::link::{Link, Manner};
use crate::plan::GATEWAYS;
use crate::plan::faults::{BROKERS, FRONTS};

pub use front::{FrontServer, Served};
pub use ways::Way;

/// How long a broker may take to hand over what it leads, when it is ended.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long fronts may take until they serve.
const READY_DEADLINE: Duration = Duration::from_secs(90);

/// The times after which controllers give brokers up, as Kafka has them by default.
const DEFAULT_TIMES: [(&str, &str); 2] = [
    ("broker.session.timeout.ms", "9000"),
    ("broker.heartbeat.interval.ms", "2000"),
];

/// What is needed to start brokers and fronts.
#[derive(Clone, Debug)]
pub struct Provided {
    /// What runs brokers.
    pub kafka: Programs,
    /// The stream server with the engine kafka.
    pub server: PathBuf,
    /// What starts programs that die with this one.
    pub with_parent: PathBuf,
}

/// Running brokers and fronts.
pub struct Kafka {
    provided: Provided,
    folder: PathBuf,
    cluster: Cluster,
    fronts: Vec<FrontServer>,
    links: BTreeMap<Way, Link>,
    disk: Option<Disk>,
    /// The broker that was the active controller when a fault of it began.
    controller: Option<Broker>,
}

impl Kafka {
    /// Starts brokers, and then fronts. With a disk, the last broker keeps its data there. With
    /// default times, controllers give brokers up as late as those of a default cluster.
    ///
    /// # Errors
    /// When one doesn't get ready.
    pub fn start(
        folder: &Path,
        provided: Provided,
        disk: Option<Disk>,
        has_default_times: bool,
    ) -> Result<Self> {
        let mut links = BTreeMap::new();
        let ways = ways::between(&mut links)?;
        let told: Vec<String> = ways.doors.iter().map(|doors| ways::told(doors)).collect();
        let times = DEFAULT_TIMES.iter().filter(|_| has_default_times);
        let setup = Setup {
            brokers: BROKERS,
            properties: times
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ways: Some(ways),
            folder: Some(folder.join("kafka")),
            last_data: disk.as_ref().map(Disk::data),
            ..Setup::default()
        };
        let cluster = Cluster::start(&provided.kafka, "chaos", &setup)?;
        let mut kafka = Self {
            provided,
            folder: folder.to_path_buf(),
            cluster,
            fronts: Vec::new(),
            links,
            disk,
            controller: None,
        };
        for (front, brokers) in told.into_iter().enumerate() {
            kafka.add_front(front, brokers)?;
        }
        Ok(kafka)
    }

    fn add_front(&mut self, front: Front, brokers: String) -> Result<()> {
        let internal = local_gateway::ports::free()?;
        let link = Link::to(internal)?;
        let served = Served {
            name: format!("front-{front}"),
            brokers,
            internal: Some((internal, link.port())),
            more: Vec::new(),
        };
        self.links.insert(Way::FrontsToFront(front), link);
        let server = FrontServer::start(&self.folder, &self.provided, &served)?;
        for gateway in 0..GATEWAYS {
            let link = Link::to(server.port())?;
            self.links.insert(Way::ToFront(gateway, front), link);
        }
        self.fronts.push(server);
        Ok(())
    }

    /// Starts one more front, with more arguments, without links.
    ///
    /// # Errors
    /// When it doesn't get ready.
    pub fn one_more(&self, name: &str, arguments: &[&str]) -> Result<FrontServer> {
        let served = Served {
            name: name.to_owned(),
            brokers: self.cluster.brokers(),
            internal: None,
            more: arguments.iter().map(|one| (*one).to_owned()).collect(),
        };
        FrontServer::start(&self.folder, &self.provided, &served)
    }

    /// Returns the ports at which a gateway finds the fronts.
    #[must_use]
    pub fn ports(&self, gateway: Gateway) -> Vec<u16> {
        let fronts = 0..FRONTS;
        let links = fronts.filter_map(|front| self.links.get(&Way::ToFront(gateway, front)));
        links.map(Link::port).collect()
    }

    /// Returns the port of a front, without a link between.
    #[must_use]
    pub fn stream_port(&self) -> u16 {
        self.fronts
            .first()
            .map(FrontServer::port)
            .unwrap_or_default()
    }

    /// Begins a fault.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn begin(&mut self, part: Part, how: How) -> Result<()> {
        if part == Part::Controller {
            let broker = self.cluster.controller()?;
            self.controller = Some(broker);
            return self.begin(Part::Broker(broker), how);
        }
        match (part, how) {
            (_, How::Refuse) => self.set(part, Manner::Refuse),
            (_, How::Drop) => self.set(part, Manner::Drop),
            (Part::Broker(broker), How::Kill) => self.cluster.kill(broker),
            (Part::Broker(broker), How::Stop) => self.cluster.pause(broker),
            (Part::Broker(broker), How::Restart) => self.cluster.terminate(broker, PATIENCE),
            (Part::Broker(broker), How::Full) => match &self.disk {
                Some(disk) => disk.fill(),
                None => self.cluster.kill(broker),
            },
            (part, how) => self.front(part)?.begin(how),
        }
    }

    /// Ends a fault, and waits until the part is ready: a broker once all replicas are in sync.
    ///
    /// # Errors
    /// When it doesn't get ready.
    pub fn end(&mut self, part: Part, how: How) -> Result<()> {
        if part == Part::Controller {
            let broker = self
                .controller
                .take()
                .context("no controller was in trouble")?;
            return self.end(Part::Broker(broker), how);
        }
        match (part, how) {
            (_, How::Refuse | How::Drop) => self.set(part, Manner::Forward)?,
            (Part::Broker(broker), How::Kill | How::Restart) => self.cluster.restart(broker)?,
            (Part::Broker(broker), How::Stop) => self.cluster.go_on(broker)?,
            (Part::Broker(broker), How::Full) => {
                if let Some(disk) = &self.disk {
                    disk.make_room()?;
                }
                self.cluster.kill(broker)?;
                self.cluster.restart(broker)?;
            }
            (part, how) => self.front(part)?.end(how)?,
        }
        match part.is_of_brokers() {
            true => self.cluster.wait_until_in_sync(),
            false => Ok(()),
        }
    }

    /// Waits until everything works, after the last fault.
    ///
    /// # Errors
    /// When it doesn't in time.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        self.cluster.wait_until_in_sync()?;
        let is_ready = wait::until(READY_DEADLINE, || {
            self.fronts.iter().all(FrontServer::is_ready)
        });
        match is_ready {
            true => Ok(()),
            false => bail!("a front doesn't get ready; see the logs"),
        }
    }

    /// Returns the brokers.
    pub fn cluster(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    fn front(&mut self, part: Part) -> Result<&mut FrontServer> {
        let Part::Front(front) = part else {
            bail!("{part} can't have such a fault")
        };
        self.fronts.get_mut(front).context("a front")
    }

    fn set(&self, part: Part, manner: Manner) -> Result<()> {
        let ways = ways::of(part);
        if ways.is_empty() {
            bail!("{part} can't be cut off");
        }
        for way in ways {
            let link = self.links.get(&way);
            link.with_context(|| format!("no link {way:?}"))?
                .set(manner);
        }
        Ok(())
    }
}
