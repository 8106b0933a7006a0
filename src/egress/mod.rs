//! Where a call may go.
//!
//! [`target_url`] reads where an explicit target or a reply address points, [`allow`] says whether
//! that may be called, [`special_purpose`] knows the addresses that aren't the public internet, and
//! [`path`] is about calls that stay on the gateway's own routes.

pub mod allow;
pub mod path;
pub mod special_purpose;
pub mod target_url;

use crate::egress::allow::AllowList;
use crate::egress::path::ReplyPaths;
use crate::record::names::NameList;

/// Which explicit targets and reply addresses are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetsConfig {
    /// The URLs that `Async-Target` may have.
    pub targets: AllowList,
    /// The URLs that `Async-Reply-To` and `Async-Failure-To` may have; the list of targets if the
    /// document has none for replies.
    pub replies: AllowList,
    /// The paths on this gateway that they may have.
    pub reply_paths: ReplyPaths,
    /// Fields of an answer that its reply carries.
    pub reply_headers: NameList,
}

impl TargetsConfig {
    /// Returns the environment variables with the secrets that rules for replies name.
    pub fn secret_variables(&self) -> impl Iterator<Item = &str> {
        let rules = self.replies.rules.iter();
        rules.filter_map(|rule| rule.secrets.as_deref())
    }

    /// Returns whether requests that any rule allows are signed.
    #[must_use]
    pub fn signs(&self) -> bool {
        let mut rules = self.targets.rules.iter().chain(&self.replies.rules);
        rules.any(|rule| rule.is_signed)
    }
}
