//! What runs a broker: Java, Kafka's jars, and an archive of loaded classes that halves the start.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use provision::command::run;

/// What runs brokers.
#[derive(Clone, Debug)]
pub struct Kafka {
    pub(crate) java: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) with_parent: PathBuf,
}

impl Kafka {
    /// Returns the class path of the jars.
    pub(crate) fn class_path(&self) -> String {
        self.folder.join("libs/*").display().to_string()
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.folder.join("classes.jsa")
    }

    /// Writes the empty data of a broker that knows these users.
    pub(crate) fn format(
        &self,
        cluster_id: &str,
        properties: &Path,
        users: &[(String, String)],
    ) -> Result<()> {
        let mut arguments = vec!["format".to_owned(), "--cluster-id".to_owned()];
        arguments.extend([cluster_id.to_owned(), "--config".to_owned()]);
        arguments.push(properties.display().to_string());
        for (user, password) in users {
            let scram = format!("SCRAM-SHA-512=[name={user},password={password}]");
            arguments.extend(["--add-scram".to_owned(), scram]);
        }
        self.tool("kafka.tools.StorageTool", &arguments)
    }

    /// Runs one of Kafka's tools.
    pub(crate) fn tool(&self, class: &str, arguments: &[String]) -> Result<()> {
        let mut command = Command::new(&self.java);
        command
            .args(["-XX:TieredStopAtLevel=1", "-Dlog4j2.level=WARN", "-cp"])
            .arg(self.class_path())
            .arg(class)
            .args(arguments);
        run(&mut command).with_context(|| format!("{class} failed"))
    }
}
