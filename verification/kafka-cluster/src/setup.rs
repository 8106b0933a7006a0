//! What a cluster of brokers is like.

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
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            brokers: 3,
            controllers: None,
            secured: None,
            properties: Vec::new(),
            java: Vec::new(),
        }
    }
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
