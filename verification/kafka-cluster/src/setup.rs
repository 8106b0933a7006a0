//! What a cluster of brokers is like.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::Result;
use local_gateway::ports;

/// What a cluster is like.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its brokers, 1 to 9.
    pub brokers: usize,
    /// Settings of every broker beside the usual ones, which they replace.
    pub properties: Vec<(String, String)>,
    /// Arguments for Java beside the usual ones.
    pub java: Vec<String>,
    /// Ways to brokers that lead through something. `None`: everything is reached straight.
    pub ways: Option<Ways>,
    /// The folder of everything, which is emptied; else one of the cluster's name below
    /// `target/kafka`.
    pub folder: Option<PathBuf>,
    /// Where the last broker keeps its data, if not below the cluster's folder: an empty folder.
    pub last_data: Option<PathBuf>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            brokers: 3,
            properties: Vec::new(),
            java: Vec::new(),
            ways: None,
            folder: None,
            last_data: None,
        }
    }
}

/// Where a broker listens on the loopback interface.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// For whoever reaches it straight.
    pub clients: u16,
    /// For controllers.
    pub controllers: u16,
    /// For other brokers, if they don't come with the clients.
    pub brokers: u16,
}

impl Ports {
    /// Returns ports that are free.
    ///
    /// # Errors
    /// When there are none.
    pub fn free() -> Result<Self> {
        Ok(Self {
            clients: ports::free()?,
            controllers: ports::free()?,
            brokers: ports::free()?,
        })
    }
}

/// A way into a broker for one client alone.
#[derive(Clone, Copy, Debug)]
pub struct Door {
    /// Where the broker listens.
    pub listens: u16,
    /// Where the broker tells that client to find it.
    pub told: u16,
}

/// Ways to brokers that lead through something, such as proxies which can be cut.
#[derive(Clone, Debug)]
pub struct Ways {
    /// The ports of each broker.
    pub ports: Vec<Ports>,
    /// For each client, its door into each broker.
    pub doors: Vec<Vec<Door>>,
    /// For each broker, the address at which it finds each broker, on the ports `controllers` and
    /// `brokers` of that one.
    pub peers: Vec<Vec<Ipv4Addr>>,
}
