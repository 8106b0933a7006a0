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
    /// How many of them, from the first one, are controllers too; all if `None`. With one, the
    /// others can be killed without a loss of the cluster's quorum.
    pub controllers: Option<usize>,
    /// Listeners with TLS beside the usual one.
    pub secured: Option<Secured>,
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
            controllers: None,
            secured: None,
            properties: Vec::new(),
            java: Vec::new(),
            ways: None,
            folder: None,
            last_data: None,
        }
    }
}

/// Where a broker listens on the loopback interface.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports {
    /// For whoever reaches it straight.
    pub clients: u16,
    /// For controllers.
    pub controllers: u16,
    /// For other brokers, if they don't come with the clients.
    pub brokers: u16,
    /// For users with SCRAM over TLS.
    pub scram: u16,
    /// For clients with a certificate.
    pub mutual_tls: u16,
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
            scram: ports::free()?,
            mutual_tls: ports::free()?,
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

/// Listeners that take users with SCRAM-SHA-512 over TLS, and certificates (mutual TLS). Nobody has
/// any right there but what [`crate::Cluster::allow`] gives; the usual listener has all.
#[derive(Clone, Debug)]
pub struct Secured {
    /// The brokers' key and certificate for 127.0.0.1 (PEM, the key in PKCS #8).
    pub identity: String,
    /// The authority that has signed it, and the clients' certificates (PEM).
    pub authority: String,
    /// Users and their passwords.
    pub users: Vec<(String, String)>,
}

/// A way to reach the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Plain, for everybody.
    Plain,
    /// TLS, for users with SCRAM-SHA-512. Only with [`Secured`].
    Scram,
    /// TLS, for those who have a certificate. Only with [`Secured`].
    MutualTls,
}
