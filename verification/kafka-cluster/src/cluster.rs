//! Some brokers that are one cluster.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use local_gateway::process::Process;
use rustix::process::Signal;

use crate::metadata::{Known, controller_known_to, known_to};
use crate::node::Node;
use crate::programs::Kafka;
use crate::setup::{Listener, Ports, Setup};

/// How long brokers may take until all have found each other: some 6 s on two idle cores, and these
/// are not idle.
const PATIENCE: Duration = Duration::from_secs(180);

/// The class of `kafka-acls.sh`.
const ACL_COMMAND: &str = "org.apache.kafka.tools.AclCommand";
/// The class of `kafka-topics.sh`.
const TOPIC_COMMAND: &str = "org.apache.kafka.tools.TopicCommand";

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Running brokers. Dropping it kills them, and nothing else.
#[derive(Debug)]
pub struct Cluster {
    kafka: Kafka,
    nodes: Vec<Node>,
}

impl Cluster {
    /// Starts brokers with an empty folder, of this name unless the setup has one, and waits until
    /// each knows all of them.
    ///
    /// # Errors
    /// When one ends, or the time is up; the message has the end of its log.
    pub fn start(kafka: &Kafka, name: &str, setup: &Setup) -> Result<Self> {
        let usual = || kafka.folder.join("clusters").join(name);
        let folder = setup.folder.clone().unwrap_or_else(usual);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let ports: Vec<Ports> = match &setup.ways {
            Some(ways) => ways.ports.clone(),
            None => (0..setup.brokers)
                .map(|_| Ports::free())
                .collect::<Result<_>>()?,
        };
        let node = |place: usize| {
            let folder = folder.join(format!("broker-{place}"));
            Node::new(kafka, folder, (place, &ports), setup)
        };
        let nodes = (0..setup.brokers).map(node).collect::<Result<_>>()?;
        let mut cluster = Self {
            kafka: kafka.clone(),
            nodes,
        };
        for node in &mut cluster.nodes {
            node.start()?;
        }
        cluster.wait_until_all_are_in()?;
        Ok(cluster)
    }

    /// Returns the brokers' addresses as clients take them: `127.0.0.1:PORT,…`.
    #[must_use]
    pub fn brokers(&self) -> String {
        self.brokers_by(Listener::Plain)
    }

    /// Returns the brokers' addresses of a listener, as clients take them: `127.0.0.1:PORT,…`.
    #[must_use]
    pub fn brokers_by(&self, listener: Listener) -> String {
        let address = |node: &Node| {
            let port = match listener {
                Listener::Plain => node.ports.clients,
                Listener::Scram => node.ports.scram,
                Listener::MutualTls => node.ports.mutual_tls,
            };
            format!("127.0.0.1:{port}")
        };
        self.nodes.iter().map(address).collect::<Vec<_>>().join(",")
    }

    /// Returns the processes of the brokers that run.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        let running = self.nodes.iter().filter_map(|node| node.process.as_ref());
        running.map(Process::pid).collect()
    }

    /// Lets a principal (`User:NAME`) do things: Kafka's names of operations, on what these
    /// arguments of its `kafka-acls` name.
    ///
    /// # Errors
    /// When the tool fails; the message has what it wrote.
    pub fn allow(&self, principal: &str, operations: &[&str], on: &[&str]) -> Result<()> {
        let brokers = self.brokers();
        let mut arguments = vec!["--bootstrap-server", &brokers, "--add"];
        arguments.extend(["--allow-principal", principal]);
        for operation in operations {
            arguments.extend(["--operation", operation]);
        }
        arguments.extend(on);
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        self.kafka.tool(ACL_COMMAND, &arguments)
    }

    /// Creates a topic with settings of its own, and each partition on these brokers by their
    /// numbers from 1: `1:2,2:3` are two partitions of two copies.
    ///
    /// # Errors
    /// When the tool fails; the message has what it wrote.
    pub fn create_topic(
        &self,
        name: &str,
        brokers_of_partitions: &str,
        settings: &[&str],
    ) -> Result<()> {
        let brokers = self.brokers();
        let mut arguments = vec!["--bootstrap-server", &brokers, "--create", "--topic", name];
        arguments.extend(["--replica-assignment", brokers_of_partitions]);
        for setting in settings {
            arguments.extend(["--config", setting]);
        }
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        self.kafka.tool(TOPIC_COMMAND, &arguments)
    }

    /// Kills a broker, by its place from 0, as `kill -9` does.
    ///
    /// # Errors
    /// When there is no such broker.
    pub fn kill(&mut self, place: usize) -> Result<()> {
        let node = self.node(place)?;
        match node.process.take() {
            Some(mut process) => process.kill9(),
            None => Ok(()),
        }
    }

    /// Starts a broker that was killed, with its data. It isn't waited for.
    ///
    /// # Errors
    /// When there is no such broker or the system can't start it.
    pub fn restart(&mut self, place: usize) -> Result<()> {
        self.node(place)?.start()
    }

    /// Stops a broker where it is (SIGSTOP): it keeps its connections and answers nothing.
    ///
    /// # Errors
    /// When there is no such broker.
    pub fn pause(&mut self, place: usize) -> Result<()> {
        self.signal(place, Signal::STOP)
    }

    /// Lets a paused broker go on.
    ///
    /// # Errors
    /// When there is no such broker.
    pub fn go_on(&mut self, place: usize) -> Result<()> {
        self.signal(place, Signal::CONT)
    }

    /// Ends a broker as an operator does (SIGTERM): it hands over what it leads. It isn't waited
    /// for longer than this, and then killed.
    ///
    /// # Errors
    /// When there is no such broker.
    pub fn terminate(&mut self, place: usize, patience: Duration) -> Result<()> {
        match self.node(place)?.process.take() {
            Some(mut process) => process.terminate(patience),
            None => Ok(()),
        }
    }

    /// Returns whether a broker's process has ended by itself.
    ///
    /// # Errors
    /// When there is no such broker.
    pub fn has_ended(&mut self, place: usize) -> Result<bool> {
        let process = self.node(place)?.process.as_mut();
        Ok(process.is_none_or(|process| process.ended().is_some()))
    }

    /// Returns the place of the broker that is the active controller.
    ///
    /// # Errors
    /// When no broker knows one within some time.
    pub fn controller(&self) -> Result<usize> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let running = self.nodes.iter().filter(|node| node.process.is_some());
            let mut told = running.filter_map(|node| controller_known_to(node.ports.clients).ok());
            if let Some(number) = told.next() {
                let place = number.checked_sub(1).context("brokers count from 1")?;
                return Ok(usize::try_from(place)?);
            }
            provision::cancel::check()?;
            std::thread::sleep(POLL_INTERVAL);
        }
        bail!("no broker knows the active controller")
    }

    /// Waits until each running broker knows all running brokers, and no others.
    ///
    /// # Errors
    /// When one ends, or the time is up; the message has the end of its log.
    pub fn wait_until_all_are_in(&mut self) -> Result<()> {
        self.wait_until("whole cluster", |known, running| known.brokers == running)
    }

    /// Waits until each running broker knows all running brokers, and all replicas of all
    /// partitions to be in sync.
    ///
    /// # Errors
    /// When one ends, or the time is up; the message has the end of its log.
    pub fn wait_until_in_sync(&mut self) -> Result<()> {
        self.wait_until("replicas in sync", |known, running| {
            known.brokers == running && known.short == 0
        })
    }

    fn wait_until(&mut self, what: &str, is_enough: impl Fn(Known, u32) -> bool) -> Result<()> {
        let begun = Instant::now();
        let running = self.nodes.iter().filter(|node| node.process.is_some());
        let count = u32::try_from(running.count()).unwrap_or(u32::MAX);
        for node in &mut self.nodes {
            let port = node.ports.clients;
            let Some(process) = &mut node.process else {
                continue;
            };
            let left = PATIENCE.saturating_sub(begun.elapsed());
            process.wait_until(left, what, || {
                let is_enough = known_to(port).is_ok_and(|known| is_enough(known, count));
                if !is_enough {
                    std::thread::sleep(POLL_INTERVAL);
                }
                is_enough
            })?;
        }
        Ok(())
    }

    /// Ends the brokers as an operator does, and waits for that.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn end_in_order(mut self) -> Result<()> {
        for node in &mut self.nodes {
            if let Some(process) = &mut node.process {
                process.terminate(PATIENCE)?;
            }
        }
        Ok(())
    }

    fn signal(&mut self, place: usize, signal: Signal) -> Result<()> {
        match &mut self.node(place)?.process {
            Some(process) => process.signal(signal),
            None => bail!("the broker {place} doesn't run"),
        }
    }

    fn node(&mut self, place: usize) -> Result<&mut Node> {
        let node = self.nodes.get_mut(place);
        node.with_context(|| format!("there is no broker {place}"))
    }
}
