//! How a machine gets what runs a broker: once, under `target/kafka`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use provision::Project;
use provision::command::{on_path, run};
use provision::progress::timed;

use crate::cluster::Cluster;
use crate::programs::Kafka;
use crate::setup::Setup;

/// The oldest Java that brokers of Kafka 4 run on.
const JAVA_OLDEST: u32 = 17;

/// What copies the jars. The version is that which Debian's Maven finds by itself.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// Whether this machine can run brokers.
#[derive(Clone, Debug)]
pub enum Provided {
    /// It can.
    Kafka(Kafka),
    /// It can't, for this reason.
    Missing(String),
}

/// Whether this machine can have what brokers are made of.
#[derive(Clone, Debug)]
pub enum Jars {
    /// The folder of the jars.
    Folder(PathBuf),
    /// It can't, for this reason.
    Missing(String),
}

impl Jars {
    /// Fetches Kafka's jars if that was not done before.
    ///
    /// # Errors
    /// When they can't be had although Maven is there.
    pub fn provide(project: &Project) -> Result<Self> {
        let folder = project.target().join("kafka");
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.lock().context("cannot lock target/kafka")?;
        Self::in_folder(&folder)
    }

    /// Fetches them into a folder that is locked.
    fn in_folder(folder: &Path) -> Result<Self> {
        let libs = folder.join("libs");
        if !libs.is_dir() {
            let Some(maven) = on_path("mvn") else {
                let reason = "there is no Maven (mvn) to fetch Kafka with";
                return Ok(Self::Missing(reason.to_owned()));
            };
            timed("fetching Kafka", || fetch(&maven, folder, &libs))?;
        }
        Ok(Self::Folder(libs))
    }
}

impl Kafka {
    /// Finds Java, and fetches Kafka's jars if that was not done before.
    ///
    /// # Errors
    /// When the jars can't be had although Java and Maven are there.
    pub fn provide(project: &Project, with_parent: &Path) -> Result<Provided> {
        let java = match java() {
            Ok(java) => java,
            Err(reason) => return Ok(Provided::Missing(reason)),
        };
        let folder = project.target().join("kafka");
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.lock().context("cannot lock target/kafka")?;
        let kafka = Self {
            java,
            folder,
            with_parent: with_parent.to_owned(),
        };
        if let Jars::Missing(reason) = Jars::in_folder(&kafka.folder)? {
            return Ok(Provided::Missing(reason));
        }
        if !kafka.archive().is_file() {
            timed("preparing Kafka's classes", || kafka.write_archive())?;
        }
        Ok(Provided::Kafka(kafka))
    }

    /// Writes the archive, which Java does when a broker ends in order.
    fn write_archive(&self) -> Result<()> {
        let written = self.folder.join("classes.jsa.new");
        let setup = Setup {
            brokers: 1,
            java: vec![format!("-XX:ArchiveClassesAtExit={}", written.display())],
            ..Setup::default()
        };
        Cluster::start(self, "archive", &setup)?.end_in_order()?;
        ensure!(
            written.is_file(),
            "Java did not write {}",
            written.display()
        );
        Ok(fs::rename(written, self.archive())?)
    }
}

fn fetch(maven: &Path, folder: &Path, libs: &Path) -> Result<()> {
    let new = folder.join("libs.new");
    let mut command = Command::new(maven);
    command.args(["-q", "-B", "-f"]);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("pom.xml"));
    command.args([COPY, "-DincludeScope=runtime"]);
    command.arg(format!("-DoutputDirectory={}", new.display()));
    run(&mut command).context("Kafka was not fetched")?;
    Ok(fs::rename(new, libs)?)
}

/// Returns Java, or why brokers can't run here.
fn java() -> Result<PathBuf, String> {
    let java = on_path("java").ok_or("there is no Java (java)")?;
    let asked = Command::new(&java)
        .arg("-version")
        .stdin(Stdio::null())
        .output();
    let said = asked.map_err(|error| format!("java -version: {error}"))?;
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    match version(&said) {
        Some(version) if version >= JAVA_OLDEST => Ok(java),
        Some(version) => Err(format!("Java is {version}, Kafka needs {JAVA_OLDEST}")),
        None => Err(format!("java -version says no version: {said}")),
    }
}

/// Returns the version in `openjdk version "17.0.19" …`.
fn version(said: &str) -> Option<u32> {
    let (_, quoted) = said.split_once('"')?;
    let digits: String = quoted.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn the_version_of_java_is_read() {
        let said = "openjdk version \"17.0.19\" 2026-04-21\nOpenJDK Runtime Environment";
        assert_eq!(version(said), Some(17));
        assert_eq!(version("java version \"1.8.0_202\""), Some(1));
        assert_eq!(version("what?"), None);
    }
}
