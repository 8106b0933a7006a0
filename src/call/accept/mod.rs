//! Step 1: a request becomes a durable record.
//!
//! | step | file | a request is |
//! |---|---|---|
//! | is it marked? | [`mark`] | anybody's |
//! | may it be a call? | [`admission`], [`options`] | *receiving*, or refused ([`refusal`]) |
//! | its body is complete | [`crate::engine::accept`] | *waiting* in the outbox |
//! | it stands in a batch | [`crate::engine::accept`] | *publishing* |
//! | the Stream has it | [`crate::call::reply::receipt`] | answered `202` |

pub mod admission;
pub mod call_option;
pub mod idempotency;
pub mod lookalike;
pub mod mark;
pub mod options;
pub mod refusal;
