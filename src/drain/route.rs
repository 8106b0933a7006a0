//! Which way a call goes: back into the gateway, or out to an explicit target that the operator
//! allows (G7). A reply goes only where the operator allows (G12). The accept role has already
//! judged its own calls; here every record is judged, whoever wrote it.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::drain::config::DispatchConfig;
use crate::drain::dispatch::{self, CallHeaders, Dispatch};
use crate::egress::TargetsConfig;
use crate::egress::allow::Allowed;
use crate::egress::target_url::{Scheme, TargetUrl};
use crate::http::OutgoingRequest;
use crate::record::Call;
use crate::reply::signature::Secrets;
use crate::time::Wall;

/// A way out of the drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// The gateway's own routes.
    Gateway,
    /// An explicit target.
    Outside(Scheme),
}

/// A request on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The way that it goes.
    pub upstream: Upstream,
    /// What its target sees.
    pub request: OutgoingRequest,
    /// Whether it has to be signed in OCI's way before it leaves.
    pub is_signed: bool,
}

/// Knows all ways, and who may use them.
#[derive(Debug)]
pub struct Router {
    gateway: Rc<str>,
    https: Option<Rc<str>>,
    http: Option<Rc<str>>,
    default_authority: String,
    reply_authority: String,
    targets: TargetsConfig,
    secrets: ReplySecrets,
}

/// The secrets that sign replies.
#[derive(Clone, Debug, Default)]
pub struct ReplySecrets {
    /// For replies to paths on this gateway, and to URLs whose rule names no secrets of its own;
    /// `None` if those aren't signed.
    pub usual: Option<Secrets>,
    /// Secrets of rules, by the names of the environment variables that the rules name.
    pub named: BTreeMap<String, Secrets>,
}

impl Router {
    /// Returns a router for the operator's configuration. `secrets` sign replies.
    #[must_use]
    pub fn new(config: &DispatchConfig, targets: TargetsConfig, secrets: ReplySecrets) -> Self {
        Self {
            gateway: Rc::from(config.cluster.as_str()),
            https: config.https_cluster.as_deref().map(Rc::from),
            http: config.http_cluster.as_deref().map(Rc::from),
            default_authority: config.default_authority.clone(),
            reply_authority: config.reply_authority.clone(),
            targets,
            secrets,
        }
    }

    /// Returns the Envoy cluster of a way.
    #[must_use]
    pub fn cluster(&self, upstream: Upstream) -> Rc<str> {
        let cluster = match upstream {
            Upstream::Gateway => None,
            Upstream::Outside(Scheme::Https) => self.https.as_ref(),
            Upstream::Outside(Scheme::Http) => self.http.as_ref(),
        };
        cluster.unwrap_or(&self.gateway).clone()
    }

    /// Returns the request that the call's target sees, and its way.
    ///
    /// # Errors
    /// Why the call must not be made, for its dead letter.
    pub fn request(
        &self,
        mut call: Call,
        call_headers: &CallHeaders,
        now: Wall,
    ) -> Result<Routed, String> {
        let (mut is_signed, mut secrets) = (false, self.secrets.usual.as_ref());
        let is_reply = call.head.reply.is_some();
        if is_reply {
            // A reply is a `POST`, whatever a record that somebody else has written says.
            "POST".clone_into(&mut call.head.method);
        }
        let upstream = match call.head.target.take() {
            Some(url) => {
                let (target_url, allowed) = self.allowed(&url, is_reply)?;
                is_signed = allowed.is_signed;
                if let Some(variable) = allowed.secrets.filter(|_| is_reply) {
                    secrets = Some(self.secrets.named.get(variable).ok_or_else(|| {
                        format!("target: this gateway hasn't got the secrets in {variable}")
                    })?);
                }
                let scheme = target_url.scheme;
                scheme
                    .name()
                    .clone_into(call.head.scheme.get_or_insert_default());
                call.head.authority = Some(target_url.authority());
                target_url.path_and_query.clone_into(&mut call.head.path);
                Upstream::Outside(scheme)
            }
            // Nothing else has judged a reply: the operator decides which paths are allowed and
            // which host is named, whatever the record says.
            None if is_reply => {
                let allowed = self.targets.reply_paths.check(&call.head.path);
                allowed.map_err(|problem| format!("the reply's path {problem}"))?;
                call.head.authority = Some(self.reply_authority.clone());
                Upstream::Gateway
            }
            None => Upstream::Gateway,
        };
        let dispatch = Dispatch {
            default_authority: &self.default_authority,
            secrets,
            now,
        };
        Ok(Routed {
            upstream,
            request: dispatch::request(call, call_headers, &dispatch),
            is_signed,
        })
    }

    /// Returns a URL that is allowed, and what its rules say about it.
    fn allowed(&self, url: &str, is_reply: bool) -> Result<(TargetUrl, Allowed<'_>), String> {
        let target_url = TargetUrl::parse(url).map_err(|error| format!("target: {error}"))?;
        let list = if is_reply {
            &self.targets.replies
        } else {
            &self.targets.targets
        };
        let allowed = list.check(&target_url);
        let allowed = allowed.map_err(|denied| format!("target: {denied}"))?;
        let cluster = match target_url.scheme {
            Scheme::Https => &self.https,
            Scheme::Http => &self.http,
        };
        if cluster.is_none() {
            let scheme = target_url.scheme.name();
            return Err(format!(
                "target: this gateway has no way out for {scheme}: dispatch.{scheme}Cluster is not \
                 configured"
            ));
        }
        Ok((target_url, allowed))
    }
}
