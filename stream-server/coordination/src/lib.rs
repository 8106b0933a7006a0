//! Who of several stream servers ("fronts") owns which consumer groups, and what they have
//! committed: a deterministic fold over an internal log. Pure: no IO, no clock, no random numbers.
//!
//! The log is two topics of a cluster such as Kafka. In `members` each front says that it lives.
//! `slots` has one partition for each *slot*. A slot keeps a share of all groups; slot 0 also keeps
//! the streams and the documents of the control plane. Every front reads every slot. One front
//! owns a slot for one *epoch*, from its valid claim to the next valid claim.
//!
//! | step | module |
//! |---|---|
//! | what the log contains, as JSON | [`record`] |
//! | what the valid records add up to | [`state`] |
//! | which records are valid; snapshots | [`fold`] |
//! | who lives; who should own a slot | [`members`], [`placement`] |
//! | one write in flight; which answer each request gets | `writer`, `snapshot` |
//! | one slot as one front sees it: claim, lease, release | `slot`, `admission` |
//! | all slots: inputs and outputs | [`coordinator`], [`io`] |
//!
//! A driver passes [`io::Input`]s and the time to [`coordinator::Coordinator::handle`], performs
//! each [`io::Output`], and calls again with [`io::Input::Tick`] when
//! [`coordinator::Coordinator::next_wakeup`] says so. The same inputs lead to the same outputs.
//! `docs/adr/0035-claims-in-a-log.md` says why it is built like this.
#![warn(clippy::disallowed_methods, clippy::disallowed_types)]

mod admission;
pub mod config;
pub mod coordinator;
pub mod fold;
pub mod io;
pub mod limits;
pub mod members;
mod outbox;
pub mod placement;
pub mod record;
mod slot;
mod snapshot;
pub mod state;
mod writer;
