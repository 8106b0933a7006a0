//! Streams as topics of Apache Kafka, served by any number of fronts.
//!
//! A stream `NAME` is the topic `PREFIX` + `NAME`; a message is a record, with its key and its
//! value. What OCI Streaming needs beyond that lies in two internal topics, as
//! [`stream_coordination`] folds them: `PREFIX` + `__sluice.members`, and `PREFIX` +
//! `__sluice.slots`, in which each partition keeps a share of the groups, and the first one the
//! streams and the control plane too.
//!
//! | | |
//! |---|---|
//! | the seam to a cluster; in memory; Kafka's client | `topic_log`, `memory`, `client` |
//! | what offsets there are; what was published a moment ago | `extents`, `recent`, `shortcuts` |
//! | the partition of messages without a key | `sticky` |
//! | unfit topics (pure) | `checks` |
//! | runs the coordination | `coordination`, `catch_up`, `running`, `log_times`, `steady` |
//! | what is left out of a log (pure) | `holes` |
//! | start, what this front owns | `front`, `startup`, `error` |
//! | names that streams can't have (pure); topics made anew | `names`, `remade`, `unfit` |
//! | what the service asks for | `storage`, `streams`, `directory`, `translate` |
//! | requests between fronts | `peers`, `seal` (pure) |
//! | groups that nobody uses | `upkeep` |

mod catch_up;
mod checks;
mod client;
#[cfg(test)]
mod contract;
mod coordination;
mod directory;
mod error;
mod extents;
mod front;
mod holes;
mod log_times;
#[cfg(test)]
mod memory;
mod names;
mod peers;
mod recent;
mod remade;
mod running;
mod seal;
mod shortcuts;
mod startup;
mod steady;
mod sticky;
mod storage;
mod streams;
#[cfg(test)]
mod tests;
mod topic_log;
mod translate;
mod unfit;
mod upkeep;

pub use error::KafkaError;
pub(crate) use front::KafkaFront;
pub(crate) use peers::Listening;
pub(crate) use startup::Internal;
