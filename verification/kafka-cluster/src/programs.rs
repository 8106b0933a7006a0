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
    /// Returns the folder of the jars.
    #[must_use]
    pub fn jars(&self) -> PathBuf {
        self.folder.join("libs")
    }

    /// Returns the class path of the jars.
    pub(crate) fn class_path(&self) -> String {
        self.jars().join("*").display().to_string()
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.folder.join("classes.jsa")
    }
}
