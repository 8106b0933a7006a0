//! Chaos on real processes: two gateways with the shipped filter, a stream server, and targets,
//! under a load of calls of every kind, while parts are killed, stopped and cut off from one
//! another. A ledger of every answer and every arrival says at the end whether the guarantees held.
//!
//! | what | where |
//! |---|---|
//! | what a seed decides | [`plan`] |
//! | the parts, and what is done to them | [`stage`], [`link`] |
//! | the load | [`clients`] |
//! | the targets | [`target`] |
//! | what happened | [`history`], written by [`record`] |
//! | what that amounts to, pure | [`verdict`] |
//! | one run from start to end | [`run`]; its [`outcome`] is told by [`report`] |

pub mod clients;
pub mod history;
pub mod link;
pub mod outcome;
pub mod plan;
pub mod record;
pub mod report;
pub mod run;
pub mod stage;
pub mod target;
pub mod verdict;
