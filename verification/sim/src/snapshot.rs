//! What is still to be done at one moment. The last checks read it and the ledger.

/// How far a consumer group is with one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// The name of the stream.
    pub stream: String,
    /// The partition.
    pub partition: u32,
    /// The offset behind the last record.
    pub written: u64,
    /// The offset up to which everything is committed.
    pub committed: u64,
}

/// One moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Each partition of each stream that is read.
    pub backlog: Vec<Backlog>,
    /// Clients that still wait for an answer from an engine that lives.
    pub waiting_clients: usize,
    /// An engine that believes that it still has something to do, and what.
    pub busy_engine: Option<String>,
}
