//! The input: one small document, checked as a whole.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use serde_json::{Map, Value};
use sluice::config::{Document as _, Findings, KeyDocumentation, Problem, Section};

use crate::form::{Form, Host};
use crate::fragment;
use crate::key_tree::tree;
use crate::plugins::{self, Plugins};
use crate::principal::{self, Principal};
use crate::settings::{Gateway, Settings};
use crate::variables::Variables;
use crate::{schema, unknown};

/// The most that an input may have, in bytes.
pub const BYTES_MAX: usize = 1_048_576;

/// An input for one host, with everything that was found right.
#[derive(Clone, Debug)]
pub struct Input {
    pub(crate) form: Form,
    pub(crate) settings: Settings,
    pub(crate) plugins: Plugins,
    pub(crate) fragments: Fragments,
    pub(crate) variables: Variables,
    pub(crate) principal: Option<Principal>,
    pub(crate) allows_targets: bool,
    /// Whether there is a way to explicit targets at all.
    pub(crate) has_egress: bool,
}

/// What stands in the files that the input names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fragments {
    pub(crate) routes: Option<String>,
    pub(crate) filters: Option<String>,
    pub(crate) clusters: Option<String>,
}

/// An input's mistakes, all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Problem>);

impl fmt::Display for Mistakes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} mistake(s) in the input:", self.0.len())?;
        self.0
            .iter()
            .try_for_each(|problem| write!(formatter, "\n  {problem}"))
    }
}

impl std::error::Error for Mistakes {}

fn problem(path: &str, message: impl Into<String>) -> Problem {
    Problem {
        path: path.to_owned(),
        message: message.into(),
    }
}

impl Input {
    /// Reads an input for a host. Files that it names are looked for in `folder`.
    ///
    /// # Errors
    /// All mistakes, each with its JSON path.
    pub fn from_yaml(yaml: &str, folder: &Path, form: Form) -> Result<Self, Mistakes> {
        if yaml.len() > BYTES_MAX {
            let message = format!("has more than {BYTES_MAX} bytes");
            return Err(Mistakes(vec![problem("$", message)]));
        }
        let wrong = |error: &dyn fmt::Display| {
            let message = format!("is no valid YAML: {error}");
            Mistakes(vec![problem("$", message)])
        };
        // Its own kind of value, unlike JSON's, refuses a key that stands twice.
        let yaml: yaml_serde::Value = yaml_serde::from_str(yaml).map_err(|error| wrong(&error))?;
        let value = serde_json::to_value(yaml).map_err(|error| wrong(&error))?;
        Self::from_value(value, folder, form)
    }

    /// The same from what stands in YAML or JSON.
    ///
    /// # Errors
    /// All mistakes, each with its JSON path.
    pub fn from_value(mut value: Value, folder: &Path, form: Form) -> Result<Self, Mistakes> {
        let mut problems = unknown::take_out(&mut value, &tree(&keys()));
        let own = of_the_host(&value);
        // Read with its mistakes, so that what the host makes of the rest is told at once too.
        let mut findings = Findings::default();
        let mut root = Section::root(&own, &mut findings);
        let settings = Settings::read(&mut root);
        root.finish();
        problems.extend(findings.problems);
        let empty = Map::new();
        let members = value.as_object().unwrap_or(&empty);
        let authority = authority(&settings).unwrap_or_else(|| "unknown".to_owned());
        let has_egress = form.envoy.has_address_filter() || settings.accepts_unfiltered;
        let documents = plugins::documents(members, &authority, form.host, has_egress);
        for found in documents.problems() {
            if !problems.contains(&found) {
                problems.push(found);
            }
        }
        let allows_targets = has_rules(&value);
        check(&mut problems, &settings, members, form, allows_targets);
        problems.extend(principal::check(
            principal::kind_of(&value),
            &settings,
            form,
        ));
        let principal = documents.principal();
        let principal = principal.unwrap_or_else(|found| {
            problems.push(found);
            None
        });
        let fragments = read_fragments(&mut problems, &settings.gateway, folder, form);
        if !problems.is_empty() {
            return Err(Mistakes(problems));
        }
        Ok(Self {
            form,
            settings,
            plugins: documents.texts(),
            fragments,
            variables: Variables::of(&value),
            principal,
            allows_targets,
            has_egress,
        })
    }

    /// The plugins' settings that follow from it.
    #[must_use]
    pub const fn plugins(&self) -> &Plugins {
        &self.plugins
    }
}

/// Every key of the input with unit, range, default and meaning.
#[must_use]
pub fn keys() -> Vec<KeyDocumentation> {
    let mut keys = Settings::keys();
    keys.extend(plugins::keys());
    keys
}

/// The keys about the host alone; the plugins' own are those of the roles' documents.
#[must_use]
pub fn host_keys() -> Vec<KeyDocumentation> {
    Settings::keys()
}

/// The input's JSON Schema.
#[must_use]
pub fn json_schema() -> String {
    let comment = "Generated from tools/render/: UPDATE_DOCUMENTS=1 cargo test --test documents";
    schema::schema("Input of `sluice render`", comment, &keys())
}

/// The keys of the host alone, which the plugins don't know.
fn of_the_host(value: &Value) -> Value {
    let Value::Object(members) = value else {
        return value.clone();
    };
    let declared = Settings::keys();
    let keys = tree(&declared);
    let mut own = Map::new();
    for key in &keys {
        let Some(member) = members.get(&key.name) else {
            continue;
        };
        let mut member = member.clone();
        if key.name == "stream"
            && let Some(stream) = member.as_object_mut()
        {
            stream
                .retain(|name, _| ["url", "authority", "severalServers"].contains(&name.as_str()));
        }
        own.insert(key.name.clone(), member);
    }
    own.into()
}

/// What the Stream is called with as `Host`.
fn authority(settings: &Settings) -> Option<String> {
    let url = settings.stream.as_ref().map(crate::Origin::authority);
    settings.authority.clone().or(url)
}

/// Whether a rule allows explicit targets or replies.
fn has_rules(value: &Value) -> bool {
    let lists = ["/targets/allow", "/replies/allow"];
    let mut lists = lists
        .iter()
        .filter_map(|list| value.pointer(list)?.as_array());
    lists.any(|list| !list.is_empty())
}

/// What shows only when the keys are seen together, or with the host.
fn check(
    problems: &mut Vec<Problem>,
    settings: &Settings,
    members: &Map<String, Value>,
    form: Form,
    allows_targets: bool,
) {
    let host = form.host;
    if host.is_bootstrap() && settings.function.is_none() && !has(problems, "$.function") {
        let message = format!("is required for {host}: a URL such as http://127.0.0.1:8080");
        problems.push(problem("$.function", message));
    }
    if host == Host::EnvoyOci {
        let stream = settings.stream.as_ref();
        if stream.is_some_and(|stream| !stream.is_tls()) {
            let message = "must be https for Oracle's service";
            problems.push(problem("$.stream.url", message));
        }
        let stream = members.get("stream");
        if stream.is_some_and(|stream| stream.get("signing").is_none()) {
            let message = "is required for Oracle's service, which takes only signed requests";
            problems.push(problem("$.stream.signing", message));
        }
    }
    if allows_targets && !form.envoy.has_address_filter() && !settings.accepts_unfiltered {
        let path = if members.contains_key("targets") {
            "$.targets.allow"
        } else {
            "$.replies.allow"
        };
        let message = format!(
            "needs Envoy 1.39 or newer, and this is for {}: an older one can't take private \
             addresses out of what a name resolves to. Set explicitTargets.withoutAddressFilter \
             if you trust whoever answers for the names of these rules",
            form.envoy
        );
        problems.push(problem(path, message));
    }
    if has_image(settings, form) && !settings.internal_listeners {
        let message = "must be true with envoyGateway.image";
        problems.push(problem("$.internalListeners", message));
    }
    check_ports(problems, settings, form);
}

/// Whether the filter comes as an image, to listeners of the Gateway's.
fn has_image(settings: &Settings, form: Form) -> bool {
    form.host == Host::EnvoyGateway && settings.envoy_gateway.image.is_some()
}

fn has(problems: &[Problem], path: &str) -> bool {
    problems.iter().any(|problem| problem.path == path)
}

/// No two listeners have one port.
fn check_ports(problems: &mut Vec<Problem>, settings: &Settings, form: Form) {
    let (gateway, ports, loopback) = (&settings.gateway, settings.ports, &settings.loopback);
    let front = match form.host {
        Host::Istio => ("$.istio.port", settings.istio.port),
        Host::EnvoyGateway => ("$.envoyGateway.port", settings.envoy_gateway.port),
        Host::Envoy | Host::EnvoyOci | Host::Sidecar | Host::Compose => {
            ("$.gateway.port", gateway.port)
        }
    };
    let mut used = vec![front, ("$.ports.drain", ports.drain)];
    if form.host.is_bootstrap() {
        used.push(("$.ports.admin", ports.admin));
        used.extend(ports.probe.map(|port| ("$.ports.probe", port)));
    }
    if form.host == Host::Sidecar {
        used.push(("$.ports.outbound", ports.outbound));
    }
    let has_sockets = !settings.internal_listeners && loopback.folder.is_none();
    if has_sockets || has_image(settings, form) {
        used.push(("$.loopback.dispatchPort", loopback.dispatch));
        used.push(("$.loopback.httpsPort", loopback.egress_https));
        used.push(("$.loopback.httpPort", loopback.egress_http));
    }
    let mut seen = BTreeSet::new();
    for (path, port) in used {
        if !seen.insert(port) {
            problems.push(problem(
                path,
                format!("is {port}, which another listener has"),
            ));
        }
    }
}

fn read_fragments(
    problems: &mut Vec<Problem>,
    gateway: &Gateway,
    folder: &Path,
    form: Form,
) -> Fragments {
    let is_for_it = matches!(form.host, Host::Envoy | Host::EnvoyOci | Host::Compose);
    let mut read = |path: &str, name: &Option<String>| {
        let name = name.as_deref()?;
        if !is_for_it {
            let host = form.host;
            let message = format!("is in Envoy's own words, and {host} has others: say it there");
            problems.push(problem(path, message));
            return None;
        }
        let text = fragment::read(folder, name);
        text.map_err(|message| problems.push(problem(path, message)))
            .ok()
    };
    Fragments {
        routes: read("$.gateway.routes", &gateway.routes),
        filters: read("$.gateway.filters", &gateway.filters),
        clusters: read("$.gateway.clusters", &gateway.clusters),
    }
}
