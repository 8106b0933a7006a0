//! One broker: its files, its ports, and its process.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use local_gateway::ports;
use local_gateway::process::{Process, Program};

use crate::programs::Kafka;
use crate::setup::Setup;

/// Names the cluster in its brokers' files: any 16 bytes in base64url.
const CLUSTER_ID: &str = "c2x1aWNlLWNsdXN0ZXItQQ";

/// Memory of a broker in MiB.
const HEAP_MIB: u32 = 256;

/// Where a broker listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) clients: u16,
    pub(crate) controllers: u16,
}

impl Ports {
    pub(crate) fn free() -> Result<Self> {
        Ok(Self {
            clients: ports::free()?,
            controllers: ports::free()?,
        })
    }
}

/// A broker. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) ports: Ports,
    program: Program,
    pub(crate) process: Option<Process>,
}

impl Node {
    /// Writes the files of the broker with this place, from 0, among all.
    pub(crate) fn new(
        kafka: &Kafka,
        folder: PathBuf,
        (place, all): (usize, &[Ports]),
        setup: &Setup,
    ) -> Result<Self> {
        let number = place.saturating_add(1);
        let data = folder.join("data");
        fs::create_dir_all(&data)?;
        // Two digits at the end of 16 bytes in base64url make each broker's id its own.
        let meta = format!(
            "version=1\nnode.id={number}\ncluster.id={CLUSTER_ID}\n\
             directory.id=c2x1aWNlLWthZmthLW4{number:02}A\n"
        );
        fs::write(data.join("meta.properties"), meta)?;
        let ports = all.get(place).copied().map_or_else(Ports::free, Ok)?;
        let file = folder.join("server.properties");
        let mut text = properties(number, &data.display().to_string(), ports, all);
        for (name, value) in &setup.properties {
            text.push_str(&format!("{name}={value}\n"));
        }
        fs::write(&file, text)?;
        let archive = kafka.archive();
        let mut arguments = vec![
            format!("-Xmx{HEAP_MIB}m"),
            "-XX:+UseSerialGC".to_owned(),
            "-XX:TieredStopAtLevel=1".to_owned(),
            "-Dlog4j2.level=WARN".to_owned(),
        ];
        if archive.is_file() {
            arguments.push(format!("-XX:SharedArchiveFile={}", archive.display()));
        }
        arguments.extend(setup.java.iter().cloned());
        arguments.extend(["-cp".to_owned(), kafka.class_path()]);
        arguments.extend(["kafka.Kafka".to_owned(), file.display().to_string()]);
        let program = Program {
            name: "a broker of Kafka",
            with_parent: kafka.with_parent.clone(),
            path: kafka.java.clone(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
            log: folder.join("broker.log"),
            folder,
        };
        Ok(Self {
            ports,
            program,
            process: None,
        })
    }

    /// Starts the process, unless it runs.
    pub(crate) fn start(&mut self) -> Result<()> {
        if self.process.is_none() {
            self.process = Some(Process::start(&self.program)?);
        }
        Ok(())
    }
}

/// The times are short, so that tests needn't wait for the brokers' defaults.
fn properties(number: usize, data: &str, ports: Ports, all: &[Ports]) -> String {
    let (clients, controllers) = (ports.clients, ports.controllers);
    let voter = |(place, ports): (usize, &Ports)| {
        let number = place.saturating_add(1);
        format!("{number}@127.0.0.1:{}", ports.controllers)
    };
    let voters: Vec<String> = all.iter().enumerate().map(voter).collect();
    let (voters, copies) = (voters.join(","), all.len().min(3));
    let in_sync = copies.saturating_sub(1).max(1);
    format!(
        "process.roles=broker,controller\n\
         node.id={number}\n\
         controller.quorum.voters={voters}\n\
         listeners=PLAINTEXT://127.0.0.1:{clients},CONTROLLER://127.0.0.1:{controllers}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{clients}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAINTEXT\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         log.dirs={data}\n\
         default.replication.factor={copies}\n\
         min.insync.replicas={in_sync}\n\
         offsets.topic.replication.factor={copies}\n\
         offsets.topic.num.partitions=1\n\
         auto.create.topics.enable=false\n\
         broker.session.timeout.ms=3000\n\
         broker.heartbeat.interval.ms=500\n\
         log.cleaner.dedupe.buffer.size=8388608\n\
         log.retention.check.interval.ms=1000\n\
         log.initial.task.delay.ms=1000\n\
         file.delete.delay.ms=1000\n"
    )
}
