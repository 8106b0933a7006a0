//! The story of a call, without any IO. Read it from top to bottom:
//! [`accept`], [`record`], [`deliver`], [`reply`].
//!
//! Beside it, for calls that leave the gateway's own routes: [`target`] reads where one shall go,
//! [`allow`] says whether it may, [`special`] knows the addresses that aren't the public internet.
//! For its headers: [`seal`] keeps credentials from whoever reads records, [`names`] says which.
//! [`path`] is about those that stay, [`order_key`] about whose a key is.

pub mod accept;
pub mod allow;
pub mod caller;
pub mod deliver;
pub mod names;
pub mod order_key;
pub mod path;
pub mod progress;
pub mod record;
pub mod record_check;
mod record_fields;
pub mod reply;
pub mod seal;
pub mod share;
pub mod special;
pub mod target;
