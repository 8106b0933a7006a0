//! Step 2: a record becomes an HTTP call, until it is settled.
//!
//! | step | file |
//! |---|---|
//! | records are fetched, in a session with the consumer group | [`crate::engine::drain`] |
//! | a call becomes the request that its target sees | [`dispatch`] |
//! | the result is classified | [`outcome`] |
//! | it is attempted again later | [`retry`] |
//! | or given up | [`dead_letter`] |
//! | the settled prefix is committed | [`commit`] |

pub mod commit;
pub mod dead_letter;
pub mod dispatch;
pub mod outcome;
pub mod retry;
