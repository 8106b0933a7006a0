//! Where calls and replies may go besides the gateway's own routes. Both roles have the same keys,
//! because the drain judges every record again, whoever wrote it (G7).

use super::key::TextForm;
use super::names::read_names;
use super::reader::Section;
use super::signing::{VARIABLE_NAME, is_variable};
use crate::egress::TargetsConfig;
use crate::egress::allow::{AllowList, HostPattern, Rule};
use crate::egress::path::{ReplyPaths, is_plain_path};
use crate::egress::target_url::{Scheme, TargetUrl};
use crate::limits::{ALLOW_RULES_MAX, REPLY_PATHS_MAX};

impl TargetsConfig {
    /// Reads the sections `targets` and `replies` of a role's document.
    pub fn read(root: &mut Section<'_>) -> Self {
        let targets = root.section("targets", |targets| {
            let meaning = "Rules, of which one has to allow what `Async-Target` says. Without any, \
                           there are no explicit targets.";
            read_list(targets, meaning)
        });
        let (own, reply_paths, reply_headers) = root.section("replies", |replies| {
            let own = replies.has("allow").then_some(());
            let meaning = "The same for the URLs of `Async-Reply-To` and `Async-Failure-To`. Where \
                           the list is absent, they may be what targets may be; an empty one \
                           allows none.";
            let list = read_list(replies, meaning);
            let reply_paths = read_reply_paths(replies);
            let reply_headers = read_names(
                replies,
                "headers",
                &["content-*", "location", "etag", "link", "retry-after"],
                "Headers of the target's answer that a reply carries, with `Async-Response-` \
                 before their names: names, and starts of names with a `*` behind them. For the \
                 drain.",
            );
            (own.map(|()| list), reply_paths, reply_headers)
        });
        Self {
            replies: own.unwrap_or_else(|| targets.clone()),
            targets,
            reply_paths,
            reply_headers,
        }
    }
}

fn read_reply_paths(replies: &mut Section<'_>) -> ReplyPaths {
    replies.withdrawn(
        "gatewayPaths",
        "is replaced by replies.paths, which lists the paths on this gateway that replies may go \
         to, such as [\"/inbox\"]; without it there are none",
    );
    let prefixes = replies.texts(
        "paths",
        REPLY_PATHS_MAX,
        &[],
        "Paths on this gateway that `Async-Reply-To` and `Async-Failure-To` may say, each with \
         all that lies below it: `/inbox` is for `/inbox` and `/inbox/x`. Whoever may make any \
         call may have them called by POST, whatever your filters say of them.",
    );
    replies.declare_form(TextForm::Pattern("^/[^?#;\\\\\\s]*$"));
    if !prefixes.iter().all(|prefix| ReplyPaths::is_prefix(prefix)) {
        let message = "must start with / and be plain: no dot segments, //, ;, backslash, query, \
                       fragment, nor an encoding of what needs none";
        replies.refuse("paths", message.to_owned());
    }
    ReplyPaths::new(prefixes)
}

fn read_list(section: &mut Section<'_>, meaning: &'static str) -> AllowList {
    let rules = section.list("allow", ALLOW_RULES_MAX, meaning, read_rule);
    AllowList {
        // A rule with a mistake is left out; the document is refused anyway.
        rules: rules.into_iter().flatten().collect(),
    }
}

fn read_rule(rule: &mut Section<'_>) -> Option<Rule> {
    let scheme = rule.text("scheme", "https", "`https`, `http`, or `any` of both.");
    rule.declare_form(TextForm::OneOf(vec!["https", "http", "any"]));
    let scheme = match scheme.as_str() {
        "https" => Some(Scheme::Https),
        "http" => Some(Scheme::Http),
        "any" => None,
        _ => {
            rule.refuse("scheme", "must be https, http or any".to_owned());
            None
        }
    };
    let host = rule.required_text(
        "host",
        "A name, `*.` with a name for everything below it, `*` for any public name, or an address.",
    );
    rule.declare_form(TextForm::Pattern("^(\\*|(\\*\\.)?[^*]+)$"));
    let host = match HostPattern::parse(&host) {
        Ok(host) => Some(host),
        Err(error) => {
            // An empty one has been reported.
            if !host.is_empty() {
                rule.refuse("host", error);
            }
            None
        }
    };
    let port = rule.integer(
        "port",
        0..=65_535,
        0,
        "0 for the scheme's own",
        "The port; the scheme's own is 443 for https and 80 for http.",
    );
    let path_prefix = rule.text(
        "pathPrefix",
        "/",
        "What the path starts with, in whole segments: `/hooks` is for `/hooks` and `/hooks/x`.",
    );
    rule.declare_form(TextForm::Pattern("^/[^?#\\s]*$"));
    if !is_prefix(&path_prefix) {
        let message = "must start with / and be plain: no dot segments, //, %2F, query or fragment";
        rule.refuse("pathPrefix", message.to_owned());
    }
    let allow_private = rule.flag(
        "allowPrivate",
        false,
        "Whether the rule is for names and addresses of private networks and of this machine too.",
    );
    let is_signed = read_signing(rule, scheme, host.as_ref(), &path_prefix);
    let secrets = rule.optional_text(
        "secretsEnvironment",
        "Environment variable of the drain's VM with the secrets that replies are signed by which \
         go there, instead of those in SLUICE_WEBHOOK_SECRETS.",
    );
    rule.declare_form(VARIABLE_NAME);
    // A secret may look like a name. If a named variable isn't set, its name is logged.
    let is_secret = |name: &str| name.starts_with("whsec_") || name.starts_with("whsk_");
    let is_wrong = |name: &str| !is_variable(name) || is_secret(name);
    if secrets.as_deref().is_some_and(is_wrong) {
        let message = "must be the name of an environment variable, not a secret itself";
        rule.refuse("secretsEnvironment", message.to_owned());
    }
    Some(Rule {
        scheme,
        host: host?,
        port: u16::try_from(port).ok().filter(|port| *port != 0),
        path_prefix: Some(path_prefix).filter(|prefix| prefix != "/"),
        allow_private,
        is_signed,
        secrets,
    })
}

/// Reads `signing`. A caller of a signed target acts there with the gateway's own rights, so the
/// rule has to say exactly what may be reached.
fn read_signing(
    rule: &mut Section<'_>,
    scheme: Option<Scheme>,
    host: Option<&HostPattern>,
    path_prefix: &str,
) -> bool {
    let sign = rule.text(
        "sign",
        "none",
        "`oci`: requests are signed as OCI wants it, with their content and the key of \
         `stream.signing`, as OCI Functions need it. For https, with one host or the names below \
         one, and with a pathPrefix.",
    );
    rule.declare_form(TextForm::OneOf(vec!["none", "oci"]));
    match sign.as_str() {
        "none" => false,
        "oci" => {
            let is_wide = matches!(host, Some(HostPattern::Any)) || path_prefix == "/";
            if is_wide || scheme != Some(Scheme::Https) {
                let message = "needs the scheme https, a host other than *, and a pathPrefix: who \
                               may call it acts with this gateway's rights";
                rule.refuse("sign", message.to_owned());
            }
            true
        }
        _ => {
            rule.refuse("sign", "must be none or oci".to_owned());
            false
        }
    }
}

/// Returns whether a URL could have this path, and only with one meaning.
fn is_prefix(prefix: &str) -> bool {
    prefix.starts_with('/')
        && is_plain_path(prefix)
        && TargetUrl::parse(&format!("http://host{prefix}"))
            .is_ok_and(|target_url| target_url.path_and_query == prefix)
        && !prefix.contains('?')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Findings;
    use serde_json::json;

    fn read(document: &serde_json::Value) -> (TargetsConfig, Vec<String>) {
        let mut findings = Findings::default();
        let mut root = Section::root(document, &mut findings);
        let config = TargetsConfig::read(&mut root);
        root.finish();
        let problems = findings.problems.into_iter();
        (config, problems.map(|problem| problem.path).collect())
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        let (config, problems) = read(&json!({}));
        assert!(problems.is_empty());
        assert!(config.targets.rules.is_empty() && config.replies.rules.is_empty());
        assert!(config.reply_paths.check("/inbox").is_err());
    }

    #[test]
    fn a_rule_has_defaults_for_all_but_its_host() {
        let (config, problems) = read(&json!({"targets": {"allow": [{"host": "*.a.example"}]}}));
        assert!(problems.is_empty());
        let rule = Rule {
            scheme: Some(Scheme::Https),
            host: HostPattern::Below("a.example".to_owned()),
            port: None,
            path_prefix: None,
            allow_private: false,
            is_signed: false,
            secrets: None,
        };
        assert_eq!(config.targets.rules, [rule]);
    }

    #[test]
    fn replies_go_where_targets_may_unless_they_have_their_own_list() {
        let targets = json!({"allow": [{"host": "a.example"}]});
        let (config, _) = read(&json!({"targets": targets}));
        assert_eq!(config.replies, config.targets);
        let (config, _) = read(&json!({"targets": targets, "replies": {"paths": ["/inbox"]}}));
        assert_eq!(config.replies, config.targets);
        assert!(config.reply_paths.check("/inbox").is_ok());
        let (config, _) = read(&json!({"targets": targets, "replies": {"allow": []}}));
        assert!(config.replies.rules.is_empty());
    }

    #[test]
    fn reply_paths_are_plain_and_the_former_key_names_them() {
        for paths in [
            json!(["inbox"]),
            json!(["/a", "/b/../c"]),
            json!(["/a?b"]),
            json!("/a"),
        ] {
            let (_, problems) = read(&json!({"replies": {"paths": paths}}));
            assert_eq!(problems, ["$.replies.paths"], "{paths}");
        }
        for value in [json!(true), json!(false)] {
            let (_, problems) = read(&json!({"replies": {"gatewayPaths": value}}));
            assert_eq!(problems, ["$.replies.gatewayPaths"]);
        }
    }

    #[test]
    fn every_mistake_has_its_path() {
        let (_, problems) = read(&json!({
            "targets": {"allow": [
                {},
                {"host": "*.127.0.0.1", "scheme": "ftp", "port": 65536},
                {"host": "a.example", "pathPrefix": "hooks"},
                {"host": "a.example", "pathPrefix": "/a/../b"},
                {"host": "a.example", "pathPrefix": "/a?b"},
                {"host": "a.example", "pathPrefix": "/a b"},
                {"host": "a.example", "allowPrivate": "yes", "prefix": "/"},
                {"host": "a.example", "secretsEnvironment": "whsec_C2FVsBQIhr+scChlQIMV"},
            ]},
            "replies": {"allow": "none", "headers": ["etag", "*"]},
        }));
        assert_eq!(
            problems,
            [
                "$.targets.allow[0].host",
                "$.targets.allow[1].scheme",
                "$.targets.allow[1].host",
                "$.targets.allow[1].port",
                "$.targets.allow[2].pathPrefix",
                "$.targets.allow[3].pathPrefix",
                "$.targets.allow[4].pathPrefix",
                "$.targets.allow[5].pathPrefix",
                "$.targets.allow[6].allowPrivate",
                "$.targets.allow[6].prefix",
                "$.targets.allow[7].secretsEnvironment",
                "$.replies.allow",
                "$.replies.headers",
            ]
        );
        let too_many = vec![json!({"host": "a.example"}); ALLOW_RULES_MAX + 1];
        let (_, problems) = read(&json!({"targets": {"allow": too_many}}));
        assert_eq!(problems, ["$.targets.allow"]);
    }
}
