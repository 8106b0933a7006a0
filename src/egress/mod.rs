//! Where a call may go.
//!
//! [`target_url`] reads where an explicit target or a reply address points, [`allow`] says whether
//! that may be called, [`special`] knows the addresses that aren't the public internet, and [`path`]
//! is about calls that stay on the gateway's own routes.

pub mod allow;
pub mod path;
pub mod special;
pub mod target_url;
