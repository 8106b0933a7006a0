//! Real brokers of Apache Kafka for tests, on free ports of the loopback interface.
//!
//! [`Kafka::provide`] fetches what runs a broker, once, by Maven; [`Cluster::start`] starts brokers
//! in KRaft mode, each a controller too. Everything lies under `target/kafka`. A machine without
//! Java or Maven gets [`Provided::Missing`] with the reason, which its caller has to say.

mod cluster;
mod metadata;
mod node;
mod programs;
mod properties;
mod provide;
mod setup;
mod wire;

pub use cluster::Cluster;
pub use metadata::{Known, brokers_known_to, controller_known_to, known_to};
pub use programs::Kafka;
pub use provide::{Jars, Provided};
pub use setup::{Door, Listener, Ports, Secured, Setup, Ways};
