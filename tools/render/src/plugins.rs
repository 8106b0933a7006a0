//! The plugins' settings that follow from an input, and what the filter says of them.

use serde_json::{Map, Value, json};
use sluice::accept::config::AcceptConfig;
use sluice::answer::AnswerConfig;
use sluice::config::{ConfigError, Document, KeyDocumentation, Problem};
use sluice::drain::config::DrainConfig;
use sluice::stream::signing::SigningConfig;

use crate::form::Host;
use crate::json_text;
use crate::origin::Origin;
use crate::principal::Principal;

/// Bytes of an answer that are held where the input doesn't say.
const ANSWER_BYTES: u64 = 65_536;

/// The text of each plugin's settings: a JSON document without a line break at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugins {
    /// For the accept filter of the gateway, or of what a sidecar's application calls.
    pub accept: String,
    /// For the accept filter of what others call through a sidecar.
    pub inbound: String,
    /// For the drain.
    pub drain: String,
    /// For the filter that holds answers.
    pub answer: String,
}

/// The keys of the input that are the plugins' own, as `drain` and `accept` declare them.
pub(crate) fn keys() -> Vec<KeyDocumentation> {
    let mut keys: Vec<KeyDocumentation> = Vec::new();
    let roles = [
        AcceptConfig::keys(),
        DrainConfig::keys(),
        AnswerConfig::keys(),
    ];
    for key in roles.into_iter().flatten() {
        let is_ours = matches!(
            key.path.as_str(),
            "$.stream.cluster"
                | "$.stream.authority"
                | "$.stream.signing.authCluster"
                | "$.stream.signing.metadataCluster"
                | "$.stream.signing.filesCluster"
                | "$.drain.vmId"
                | "$.accept.vmId"
                | "$.dispatch.cluster"
                | "$.dispatch.httpsCluster"
                | "$.dispatch.httpCluster"
        );
        if !is_ours && !keys.iter().any(|known| known.path == key.path) {
            keys.push(key);
        }
    }
    keys
}

/// What follows for all roles.
pub(crate) struct Documents {
    accept: Value,
    inbound: Value,
    drain: Value,
    answer: Value,
}

/// What of `stream` is for the renderer alone.
const OWN: [&str; 2] = ["url", "severalServers"];

/// Makes the documents of an input whose unknown keys are out. `authority` is the Stream's.
/// `has_egress`: whether there is a way to explicit targets.
pub(crate) fn documents(
    input: &Map<String, Value>,
    authority: &str,
    host: Host,
    has_egress: bool,
) -> Documents {
    let mut accept = role(input, &AcceptConfig::keys());
    let mut drain = role(input, &DrainConfig::keys());
    for document in [&mut accept, &mut drain] {
        let stream = document.entry("stream").or_insert_with(|| json!({}));
        if let Some(stream) = stream.as_object_mut() {
            stream.retain(|name, _| !OWN.contains(&name.as_str()));
            stream.insert("cluster".into(), json!("stream"));
            stream.insert("authority".into(), json!(authority));
        }
        if host == Host::Istio {
            let metrics = document.entry("metrics").or_insert_with(|| json!({}));
            if let Some(metrics) = metrics.as_object_mut() {
                metrics.entry("labels").or_insert_with(|| json!("istio"));
            }
        }
    }
    let dispatch = drain.entry("dispatch").or_insert_with(|| json!({}));
    if let Some(dispatch) = dispatch.as_object_mut() {
        dispatch.insert("cluster".into(), json!("dispatch"));
        if has_egress {
            dispatch.insert("httpsCluster".into(), json!("egress-https"));
            dispatch.insert("httpCluster".into(), json!("egress-http"));
        }
    }
    if input
        .get("stream")
        .is_some_and(|stream| stream.get("signing").is_some())
    {
        keep_oracles_pace(&mut drain);
    }
    if host == Host::Sidecar {
        // Without it a caller could have the other direction's calls count as its own.
        let callers = accept.entry("callers").or_insert_with(|| json!({}));
        if let Some(callers) = callers.as_object_mut() {
            callers
                .entry("headers")
                .or_insert_with(|| json!(["authorization", "sluice-outbound"]));
        }
    }
    let mut answer = role(input, &AnswerConfig::keys());
    let answers = answer.entry("answers").or_insert_with(|| json!({}));
    if let Some(answers) = answers.as_object_mut() {
        let replies = input
            .get("dispatch")
            .and_then(|dispatch| dispatch.get("replyBytes"));
        let replies = replies.and_then(Value::as_u64).unwrap_or_default();
        answers
            .entry("bodyBytes")
            .or_insert_with(|| json!(replies.max(ANSWER_BYTES)));
    }
    Documents {
        inbound: inbound(&accept).into(),
        accept: accept.into(),
        drain: drain.into(),
        answer: answer.into(),
    }
}

/// The members of the input that a role declares.
fn role(input: &Map<String, Value>, keys: &[KeyDocumentation]) -> Map<String, Value> {
    let declares = |path: &str| {
        keys.iter().any(|key| {
            let rest = key.path.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    };
    let mut document = Map::new();
    for (name, value) in input {
        let path = format!("$.{name}");
        if !declares(&path) {
            continue;
        }
        let mut value = value.clone();
        // `limits` has keys of the one role and of the other.
        if let Some(members) = value.as_object_mut().filter(|_| name == "limits") {
            members.retain(|inner, _| declares(&format!("{path}.{inner}")));
            if members.is_empty() {
                continue;
            }
        }
        document.insert(name.clone(), value);
    }
    document
}

/// Oracle takes five requests a second for each partition and group.
fn keep_oracles_pace(drain: &mut Map<String, Value>) {
    let defaults = [
        ("group", "timeoutMs", 30_000),
        ("fetch", "idleIntervalMs", 1_000),
        ("fetch", "minIntervalMs", 210),
        ("fetch", "commitIntervalMs", 1_000),
    ];
    for (section, key, value) in defaults {
        let section = drain.entry(section).or_insert_with(|| json!({}));
        if let Some(section) = section.as_object_mut() {
            section.entry(key).or_insert_with(|| json!(value));
        }
    }
}

/// Others than the application have no explicit targets: its allow-list isn't theirs.
fn inbound(accept: &Map<String, Value>) -> Map<String, Value> {
    let mut inbound = accept.clone();
    inbound.remove("replies");
    let options = inbound.entry("options").or_insert_with(|| json!({}));
    if let Some(options) = options.as_object_mut() {
        let disabled = options.entry("disabled").or_insert_with(|| json!([]));
        if let Some(disabled) = disabled
            .as_array_mut()
            .filter(|list| !list.contains(&json!("target")))
        {
            disabled.push(json!("target"));
        }
    }
    inbound
}

impl Documents {
    /// What the filter's own parser says of them, each mistake once.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        fn of<D: Document>(document: &Value) -> Vec<Problem> {
            match D::from_json(document.to_string().as_bytes()) {
                Ok(_) => Vec::new(),
                Err(ConfigError(problems)) => problems,
            }
        }
        let roles = [
            of::<AcceptConfig>(&self.accept),
            of::<DrainConfig>(&self.drain),
            of::<AnswerConfig>(&self.answer),
            of::<AcceptConfig>(&self.inbound),
        ];
        let mut problems: Vec<Problem> = Vec::new();
        for problem in roles.into_iter().flatten() {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        let number = |document: &Value, pointer: &str| {
            document
                .pointer(pointer)
                .and_then(Value::as_u64)
                .unwrap_or(ANSWER_BYTES)
        };
        let held = number(&self.answer, "/answers/bodyBytes");
        if held < number(&self.drain, "/dispatch/replyBytes") {
            problems.push(Problem {
                path: "$.answers.bodyBytes".into(),
                message: "must be no less than dispatch.replyBytes".into(),
            });
        }
        problems
    }

    /// The principal that signs, if one does and nothing is wrong with these.
    ///
    /// # Errors
    /// What is wrong with the place of the service that gives it tokens.
    pub(crate) fn principal(&self) -> Result<Option<Principal>, Problem> {
        let config = AcceptConfig::from_json(self.accept.to_string().as_bytes());
        let signing = config.ok().and_then(|config| config.stream.signing);
        let Some(SigningConfig::Principal(config)) = signing else {
            return Ok(None);
        };
        let auth = Some(config.auth_authority).filter(|authority| !authority.is_empty());
        let auth = auth.map(|authority| format!("https://{authority}").parse::<Origin>());
        let auth = auth.transpose().map_err(|error| Problem {
            path: "$.stream.signing.authAuthority".into(),
            message: format!("must be a host, with a port or without: {error}"),
        })?;
        let kind = config.kind;
        Ok(Some(Principal { kind, auth }))
    }

    /// Their texts.
    pub(crate) fn texts(&self) -> Plugins {
        let (accept, drain) = (AcceptConfig::keys(), DrainConfig::keys());
        Plugins {
            accept: json_text::document(&self.accept, &accept),
            inbound: json_text::document(&self.inbound, &accept),
            drain: json_text::document(&self.drain, &drain),
            answer: json_text::document(&self.answer, &AnswerConfig::keys()),
        }
    }
}
