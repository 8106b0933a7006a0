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

/// What is allowed of explicit targets and reply addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetsConfig {
    /// What `Async-Target` may say.
    pub targets: AllowList,
    /// What URLs `Async-Reply-To` and `Async-Failure-To` may say; the targets' list where the
    /// document has none of its own.
    pub replies: AllowList,
    /// What paths on this gateway they may say.
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

    /// Returns whether any rule has requests signed.
    #[must_use]
    pub fn signs(&self) -> bool {
        let mut rules = self.targets.rules.iter().chain(&self.replies.rules);
        rules.any(|rule| rule.is_signed)
    }
}
