//! One broker: its files, its ports, and its process.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use local_gateway::process::{Process, Program};

use crate::programs::Kafka;
use crate::properties::{self, Files, hosts};
use crate::setup::{Ports, Setup};

/// Names the cluster in its brokers' files: any 16 bytes in base64url.
const CLUSTER_ID: &str = "c2x1aWNlLWNsdXN0ZXItQQ";

/// Memory of a broker in MiB.
const HEAP_MIB: u32 = 256;

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
        let is_last = number == all.len();
        let data = setup.last_data.clone().filter(|_| is_last);
        let data = data.unwrap_or_else(|| folder.join("data"));
        for folder in [&folder, &data] {
            fs::create_dir_all(folder)?;
        }
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
        let mut arguments = vec![
            format!("-Xmx{HEAP_MIB}m"),
            "-XX:+UseSerialGC".to_owned(),
            "-XX:TieredStopAtLevel=1".to_owned(),
            "-Dlog4j2.level=WARN".to_owned(),
        ];
        if let Some(ways) = &setup.ways {
            let file = folder.join("hosts");
            fs::write(&file, hosts(place, ways))?;
            arguments.push(format!("-Djdk.net.hosts.file={}", file.display()));
        }
        let archive = kafka.archive();
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
