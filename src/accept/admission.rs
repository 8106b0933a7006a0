//! Step 1b: a marked request's head becomes a call's head, or is refused at once.

use crate::accept::config::AcceptConfig;
use crate::accept::lookalike::refuse_lookalikes;
use crate::accept::options::{Options, parse};
use crate::accept::refusal::Refusal;
use crate::call_option::CallOption;
use crate::caller::CallerIdentity;
use crate::egress::allow::AllowList;
use crate::egress::path::is_normal;
use crate::egress::target_url::TargetUrl;
use crate::headers::{is_envoy_control, is_ours};
use crate::http::{Fields, first, is_hop_by_hop, named_by_connection};
use crate::idempotency::Asked;
use crate::limits::ROUTE_BYTES_MAX;
use crate::record::CallHead;
use crate::record::check::{HeadError, check};
use crate::record::reply_address::ReplyAddress;
use crate::time::{Wall, millis};

/// A request's head as Envoy shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// All fields, the pseudo header fields among them.
    pub fields: Fields,
    /// Whether one of the gateway's routes matched.
    pub has_route: bool,
    /// The route's name, if it has one.
    pub route: Option<String>,
    /// The cluster that the route leads to, if it does.
    pub cluster: Option<String>,
    /// What distinguishes its sender, if anything does.
    pub caller: Option<CallerIdentity>,
}

/// A request that may be a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admitted {
    /// What is stored: the request, and those options that the drain has to know, with the
    /// configured defaults.
    pub head: CallHead,
    /// The options of the caller.
    pub options: Options,
    /// The same options as they were written.
    pub asked: Asked,
}

/// Checks a marked request's head and takes out what the call's target shall see. `now` is when the
/// request arrived; a delay counts from it.
///
/// # Errors
/// The first reason to refuse the request.
pub fn admit(head: RequestHead, config: &AcceptConfig, now: Wall) -> Result<Admitted, Refusal> {
    let body_bytes_max = config.limits.body_bytes_max;
    can_be_asynchronous(&head.fields)?;
    let declared = first(&head.fields, "content-length")
        .and_then(|text| std::str::from_utf8(text).ok())
        .and_then(|text| text.parse::<u64>().ok());
    if declared.is_some_and(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX) > body_bytes_max) {
        return Err(body_too_large(body_bytes_max));
    }
    refuse_lookalikes(&head.fields, &config.options)?;
    let options = parse(&head.fields, &config.options, now)?;
    if options.target.is_none() && !head.has_route {
        return Err(Refusal::NoRoute);
    }
    may_go_there(&options, config)?;
    let (route, cluster) = (hint(head.route), hint(head.cluster));
    let asked = Asked::of(config.options.headers.asked(&head.fields));
    let mut head = split(head.fields, config)?;
    (head.route, head.cluster) = (route, cluster);
    if config.normal_paths && options.target.is_none() && !is_normal(&head.path) {
        return Err(Refusal::BadHead(
            "path: it would change on the way to its target: write it without //, dot segments, \
             backslashes, and encoded slashes, letters or digits"
                .to_owned(),
        ));
    }
    note(&mut head, &options, config);
    check_head(&head)?;
    Ok(Admitted {
        head,
        options,
        asked,
    })
}

/// Refuses a head that the drain could not read or Envoy could not send, while the client still
/// listens.
///
/// # Errors
/// The first part that is wrong.
pub fn check_head(head: &CallHead) -> Result<(), Refusal> {
    check(head).map_err(|error| match error {
        HeadError::Wrong(detail) => Refusal::BadHead(detail),
        HeadError::TooLarge {
            member,
            unit,
            limit,
        } => Refusal::HeadTooLarge {
            member,
            unit,
            limit,
        },
    })
}

/// Returns a route's or a cluster's name, where it fits into a record; it is only a hint there.
fn hint(name: Option<String>) -> Option<String> {
    name.filter(|name| {
        (1..=ROUTE_BYTES_MAX).contains(&name.len()) && !name.contains(char::is_control)
    })
}

/// Refuses targets and reply addresses that the operator doesn't allow (G7). It does so now because
/// later no client listens any more.
fn may_go_there(options: &Options, config: &AcceptConfig) -> Result<(), Refusal> {
    let rules = &config.targets;
    if let Some(url) = &options.target {
        check_url(CallOption::Target, url, &rules.targets, config)?;
    }
    let replies = [
        (CallOption::ReplyTo, &options.reply_to),
        (CallOption::FailureTo, &options.failure_to),
    ];
    for (option, address) in replies {
        match address {
            Some(ReplyAddress::Url(url)) => check_url(option, url, &rules.replies, config)?,
            Some(ReplyAddress::Path(path)) => {
                rules.reply_paths.check(path).map_err(|problem| {
                    let header = config.options.headers.of(option).shown().to_owned();
                    let detail = format!("{header} {problem}.");
                    Refusal::NotAllowed { header, detail }
                })?;
            }
            None => {}
        }
    }
    Ok(())
}

fn check_url(
    option: CallOption,
    url: &str,
    allowed: &AllowList,
    config: &AcceptConfig,
) -> Result<(), Refusal> {
    let header = || config.options.headers.of(option).shown().to_owned();
    let target_url = TargetUrl::parse(url).map_err(|error| Refusal::BadOption {
        header: header(),
        detail: format!("{}: {error}.", header()),
    })?;
    allowed
        .check(&target_url)
        .map(|_| ())
        .map_err(|denied| Refusal::NotAllowed {
            header: header(),
            detail: format!("{}: {denied}. {}.", header(), named_list(option)),
        })
}

/// Returns the configuration's list in which the operator allows what this option asks for.
fn named_list(option: CallOption) -> &'static str {
    if option == CallOption::Target {
        return "This gateway's targets.allow says what is";
    }
    "This gateway's replies.allow says what is, or targets.allow where it has none"
}

/// Writes into the record what the drain has to know of the options.
fn note(head: &mut CallHead, options: &Options, config: &AcceptConfig) {
    let defaults = &config.options;
    head.correlation_id.clone_from(&options.correlation_id);
    if options.target.is_some() {
        head.target.clone_from(&options.target);
        head.path.clear();
    }
    head.reply_to.clone_from(&options.reply_to);
    head.failure_to.clone_from(&options.failure_to);
    head.deliver_at = options.deliver_at;
    head.max_age_ms = Some(millis(options.max_age.unwrap_or(defaults.max_age_default)));
    head.retries = options.retries.or(defaults.retries_default);
    head.timeout_ms = options.timeout.or(defaults.timeout_default).map(millis);
    head.order_key.clone_from(&options.order_key);
}

/// Returns the refusal of a body that is too large.
#[must_use]
pub const fn body_too_large(limit_bytes: usize) -> Refusal {
    Refusal::TooLarge {
        what: "The body",
        limit_bytes,
    }
}

/// Upgrades, tunnels and gRPC streams are conversations, not requests.
fn can_be_asynchronous(fields: &Fields) -> Result<(), Refusal> {
    let refuse = |what: &str| {
        let detail = format!("{what} can't be made asynchronously; send it without the mark.");
        Err(Refusal::NotAsynchronous(detail))
    };
    if first(fields, ":method").is_some_and(|method| method.eq_ignore_ascii_case(b"CONNECT")) {
        return refuse("A CONNECT request");
    }
    if first(fields, "upgrade").is_some() {
        return refuse("A request that upgrades its connection");
    }
    if first(fields, "content-type").is_some_and(|kind| {
        kind.get(..16)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"))
    }) {
        return Err(Refusal::GrpcStream);
    }
    Ok(())
}

/// Separates pseudo header fields from fields, and drops fields that don't concern the target.
fn split(fields: Fields, config: &AcceptConfig) -> Result<CallHead, Refusal> {
    let mut head = CallHead::default();
    head.headers.reserve(fields.len());
    let named = named_by_connection(&fields);
    for (name, value) in fields {
        match name.as_str() {
            ":method" => head.method = text(":method", value)?,
            ":path" => head.path = text(":path", value)?,
            ":authority" => head.authority = Some(text(":authority", value)?),
            ":scheme" => head.scheme = Some(text(":scheme", value)?),
            "host" => {}
            other if other.starts_with(':') => {}
            other if is_ours(other) || config.options.headers.removes(other) => {}
            other if is_envoy_control(other) || is_hop_by_hop(other, &named) => {}
            other if config.callers.rules.is_lookalike(other) => {}
            other => {
                if let Some(value) = config.triggers.kept(other, value) {
                    head.headers.push((name, value));
                }
            }
        }
    }
    Ok(head)
}

/// Refuses text that isn't ASCII. Envoy lets only ASCII through here; if that changes, a record
/// must not silently differ.
fn text(name: &str, value: Vec<u8>) -> Result<String, Refusal> {
    String::from_utf8(value).map_err(|_| Refusal::BadOption {
        header: name.to_owned(),
        detail: format!("{name} holds bytes that aren't UTF-8; percent-encode them."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Document;

    fn head(extra: &[(&str, &str)]) -> RequestHead {
        let fixed = [
            (":method", "POST"),
            (":path", "/a?b"),
            (":authority", "h:1"),
        ];
        let fields = fixed
            .iter()
            .chain(extra)
            .map(|(n, v)| ((*n).to_owned(), (*v).into()));
        RequestHead {
            fields: fields.collect(),
            has_route: true,
            ..RequestHead::default()
        }
    }

    fn config() -> AcceptConfig {
        let json = br#"{"stream":{"cluster":"s","authority":"s","streamId":"calls"},
            "limits":{"bodyBytes":10}}"#;
        AcceptConfig::from_json(json).unwrap()
    }

    fn names(head: &CallHead) -> Vec<&str> {
        head.headers.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn the_target_gets_all_but_hops_and_marks() {
        let call = admit(
            head(&[
                ("x-a", "1"),
                ("connection", "keep-alive, X-Hop"),
                ("x-hop", "1"),
                ("keep-alive", "timeout=5"),
                ("te", "trailers"),
                ("content-length", "0"),
                ("prefer", "respond-async, return=minimal"),
                ("async-correlation-id", "c-1"),
                ("async-call-id", "forged"),
                ("async-attempt", "7"),
                ("async-outcome", "delivered"),
                ("async-status", "200"),
                ("async-attempts", "7"),
                ("async-body-cut", "true"),
                ("async-head-cut", "true"),
                ("async-signature", "v1,forged"),
                ("async-response-location", "https://evil.test/"),
                ("webhook-id", "the client's own"),
                ("x-envoy-max-retries", "100"),
                ("x-envoy-external-address", "192.0.2.1"),
                ("x-a", ""),
            ]),
            &config(),
            Wall(0),
        )
        .unwrap()
        .head;
        assert_eq!(
            names(&call),
            [
                "x-a",
                "content-length",
                "prefer",
                "webhook-id",
                "x-envoy-external-address",
                "x-a"
            ]
        );
        assert_eq!(first(&call.headers, "prefer"), Some(&b"return=minimal"[..]));
        assert_eq!(call.correlation_id.as_deref(), Some("c-1"));
        assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/a?b"));
        assert_eq!(call.authority.as_deref(), Some("h:1"));
    }

    #[test]
    fn what_cannot_be_a_call_is_refused() {
        for (extra, status) in [
            (&[("upgrade", "websocket")][..], 501),
            (&[("content-type", "Application/gRPC+proto")], 501),
            (&[("async-delay", "5s")], 200),
            (&[("async-delay", "never"), ("async-delay", "")], 400),
            (&[("content-length", "11")], 413),
            (&[("content-length", "99999999999999999999")], 200),
            (&[("async-correlation-id", "a b")], 400),
            (&[("async-correlation-id", "")], 400),
            (
                &[("async-correlation-id", "a"), ("async-correlation-id", "b")],
                400,
            ),
        ] {
            let got = match admit(head(extra), &config(), Wall(0)) {
                Ok(_) => 200,
                Err(refusal) => refusal.response(std::time::Duration::ZERO).status,
            };
            assert_eq!(got, status, "{extra:?}");
        }
        let nowhere = RequestHead {
            has_route: false,
            ..head(&[])
        };
        assert_eq!(admit(nowhere, &config(), Wall(0)), Err(Refusal::NoRoute));
    }
}
