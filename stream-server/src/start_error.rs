//! Why a server does not start.

use std::net::SocketAddr;

use crate::api_error::ApiError;
use crate::auth::KeyFolderError;
use crate::storage::StorageError;
use crate::store::OpenError;

/// Why a server does not start, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Others could reach it, and signatures are not verified.
    #[error(
        "refusing to listen on {0}: other machines could reach it, and signatures are not \
         verified. Listen on 127.0.0.1, give it keys with --auth keys DIR, or add --allow-remote \
         if the network is yours alone"
    )]
    Remote(SocketAddr),
    /// Others could make the server fail.
    #[error(
        "refusing to take faults on {0}: other machines could reach it. Listen on 127.0.0.1, or \
         leave out --faults, which is for tests"
    )]
    RemoteFaults(SocketAddr),
    /// The folder of public keys is wrong.
    #[error(transparent)]
    Keys(#[from] KeyFolderError),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}. Name another address with --listen, or port 0 for any")]
    Listen(SocketAddr, std::io::Error),
    /// The system refuses threads.
    #[error("cannot start threads: {0}. Raise the limit of processes and threads")]
    Threads(std::io::Error),
    /// The folder cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The cluster can't be used.
    #[cfg(feature = "kafka")]
    #[error(transparent)]
    Kafka(#[from] crate::kafka::KafkaError),
    /// The program was built without Kafka.
    #[cfg(not(feature = "kafka"))]
    #[error(
        "this program was built without the engine kafka. Take a released program, or build it \
         with `cargo build --release --package stream-server --features kafka`"
    )]
    NoKafka,
    /// The folder can be opened, but not read.
    #[error("cannot read the store: {0}. Restore the data folder from a backup")]
    Storage(#[from] StorageError),
    /// A stream has another number of partitions than it should.
    #[error(
        "the stream {name} has {found} partitions, not {asked}, and the number cannot change. \
         Ask for {name}:{found}, or use another name or another data folder"
    )]
    Partitions {
        /// The stream's name.
        name: String,
        /// What the settings say.
        asked: u32,
        /// What it has.
        found: u32,
    },
    /// A stream cannot be created.
    #[error("cannot create the stream {name}: {problem}. Change it in --stream or the file")]
    Stream {
        /// The stream's name.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

impl StartError {
    /// Returns whether the settings are to blame (as opposed to the machine).
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Remote(_)
            | Self::RemoteFaults(_)
            | Self::Keys(_)
            | Self::Partitions { .. }
            | Self::Stream { .. } => true,
            #[cfg(feature = "kafka")]
            Self::Kafka(error) => error.is_usage(),
            #[cfg(not(feature = "kafka"))]
            Self::NoKafka => true,
            Self::Listen(..) | Self::Threads(_) | Self::Open(_) | Self::Storage(_) => false,
        }
    }

    /// Returns the error for a stream that can't be created.
    pub(crate) fn unfit(name: &str, api_error: ApiError) -> Self {
        Self::Stream {
            name: name.to_owned(),
            problem: api_error.message,
        }
    }
}
