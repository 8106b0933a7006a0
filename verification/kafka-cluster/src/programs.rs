//! What runs a broker: Java, Kafka's jars, and an archive of loaded classes that halves the start.

use std::path::PathBuf;

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
}
