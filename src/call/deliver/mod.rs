//! Step 2: a record becomes an HTTP call, until it is settled.
//!
//! | step | file |
//! |---|---|
//! | records are fetched, in sessions with consumer groups | [`crate::engine::drain`] |
//! | what has to be known of a call | [`plan`] |
//! | it waits until it is due | [`lanes`], [`hop`] |
//! | what of an order key is away is told to whoever reads on | [`note`] |
//! | it waits for its target, and for its caller's turn | [`line`](mod@line) |
//! | its way is chosen, and whether it may be taken | [`route`] |
//! | a call becomes the request that its target sees | [`dispatch`] |
//! | the result is classified | [`outcome`] |
//! | it is attempted again later | [`retry`] |
//! | or given up | [`dead_letter`] |
//! | the settled prefix is committed | [`commit`] |

pub mod commit;
pub mod dead_letter;
pub mod dispatch;
pub mod hop;
pub mod lanes;
pub mod line;
pub mod note;
pub mod outcome;
mod pace;
pub mod plan;
mod queue;
pub mod retry;
pub mod route;
