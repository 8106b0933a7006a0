//! Chaos on real processes: two gateways with the shipped filter, a stream server or several of
//! them in front of Kafka, and targets, under a load of calls of every kind, while parts are
//! killed, stopped and cut off from one another. A ledger of every answer and every arrival says at
//! the end whether the guarantees held.
//!
//! | what | where |
//! |---|---|
//! | what a seed decides | [`plan`] |
//! | the parts, and what is done to them | [`stage`], [`gateway`], [`kafka`], [`disk`], [`link`] |
//! | the load | [`clients`] |
//! | the targets | [`target`] |
//! | what happened | [`history`], written by [`record`] |
//! | what that amounts to, pure | [`verdict`] |
//! | too few replicas, after the verdict | [`scene`] |
//! | one run from start to end | [`run`]; its [`outcome`] is told by [`report`] |

pub mod clients;
pub mod disk;
pub mod gateway;
pub mod history;
pub mod kafka;
pub mod link;
pub mod outcome;
pub mod plan;
pub mod record;
pub mod report;
pub mod run;
pub mod scene;
pub mod stage;
pub mod target;
pub mod verdict;
