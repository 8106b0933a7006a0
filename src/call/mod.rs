//! The story of a call, without any IO. Read it from top to bottom:
//! [`accept`], [`record`], [`deliver`], [`reply`].

pub mod accept;
pub mod deliver;
pub mod record;
pub mod reply;
