//! One broker: its files, its ports, and its process.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use local_gateway::ports;
use local_gateway::process::{Process, Program};

use crate::programs::Kafka;
use crate::properties::{self, Files};
use crate::setup::Setup;

/// Names the cluster in its brokers' files: any 16 bytes in base64url.
const CLUSTER_ID: &str = "c2x1aWNlLWNsdXN0ZXItQQ";

/// Memory of a broker in MiB.
const HEAP_MIB: u32 = 256;

/// Where a broker listens.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ports {
    pub(crate) clients: u16,
    pub(crate) controllers: u16,
    pub(crate) scram: u16,
    pub(crate) mutual_tls: u16,
}

impl Ports {
    pub(crate) fn free() -> Result<Self> {
        Ok(Self {
            clients: ports::free()?,
            controllers: ports::free()?,
            scram: ports::free()?,
            mutual_tls: ports::free()?,
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
        let ports = all.get(place).copied().map_or_else(Ports::free, Ok)?;
        let file = folder.join("server.properties");
        let (identity, authority) = (folder.join("identity.pem"), folder.join("authority.pem"));
        let files = Files {
            data: &data,
            identity: &identity,
            authority: &authority,
        };
        fs::write(&file, properties::text(place, all, &files, setup))?;
        match &setup.secured {
            Some(secured) => {
                fs::write(&identity, &secured.identity)?;
                fs::write(&authority, &secured.authority)?;
                kafka.format(CLUSTER_ID, &file, &secured.users)?;
            }
            // Two digits at the end of 16 bytes in base64url make each broker's id its own.
            None => fs::write(
                data.join("meta.properties"),
                format!(
                    "version=1\nnode.id={number}\ncluster.id={CLUSTER_ID}\n\
                     directory.id=c2x1aWNlLWthZmthLW4{number:02}A\n"
                ),
            )?,
        }
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
