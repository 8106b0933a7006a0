//! `sluice check`: whether the filter really stands before what a gateway leads to.
//!
//! A control plane whose patch has failed leaves the gateway running without the filter, and a
//! marked request is then answered by the function itself. So the probe is a request that the
//! filter refuses, with words that nobody else has: its answer quotes a value that was drawn for
//! this probe. The filter stores nothing of it and calls nothing. Without the filter the function
//! gets a GET.

use std::hash::{BuildHasher as _, RandomState};
use std::io::Write;

use clap::Args;
use serde::Deserialize;
use ureq::Agent;
use ureq::http::{HeaderName, HeaderValue, Request, Response};
use ureq::{Body, Error};

use crate::failure::Failure;
use crate::files::expand_home;
use crate::limits::{
    ANSWER_TIMEOUT, CHECK_ANSWER_BYTES_MAX, CHECK_HEADERS_MAX, CONNECT_TIMEOUT, ERROR_CHARS_MAX,
    PROBES_MAX,
};
use crate::stream::{Endpoint, read_authorities};
use crate::text;

pub(crate) const AFTER_HELP: &str = "\
A control plane whose patch has failed leaves the gateway running without the filter: a marked
request is then answered by the function itself. This sends GETs that are marked and whose option
has a value that no option can have. The filter refuses each and quotes that value, which nobody
else does. Nothing is stored and nothing is called; without the filter the function gets the GET.

Each probe has a connection of its own: behind a load balancer, send several.

Examples:
  sluice check --gateway http://127.0.0.1:10000
  sluice check --gateway https://api.example --path /orders --probes 20 \\
    --header 'Authorization: Bearer …'

Exit codes: 0 the filter has answered every probe, 1 it has not, 2 wrong usage.";

/// The preference that marks a request (RFC 7240 §4.1).
const MARK: &str = "respond-async";

/// `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The gateway: a URL such as http://127.0.0.1:10000
    #[arg(long, value_name = "URL", value_parser = Endpoint::parse)]
    gateway: Endpoint,
    /// A path that leads to a function: the probe is a GET of it
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = path)]
    path: String,
    /// A header of the probe, such as what the gateway's authentication asks for; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The option that gets a wrong value: name it where this gateway calls it otherwise
    #[arg(long, value_name = "NAME", default_value = "Async-Delay", value_parser = name)]
    option: HeaderName,
    /// How many probes to send
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(PROBES_MAX)))]
    probes: u32,
}

/// What the filter's refusals have, of RFC 9457.
#[derive(Debug, Default, Deserialize)]
struct Problem {
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    header: Option<String>,
    #[serde(default)]
    detail: String,
}

/// Sends the probes.
///
/// # Errors
/// [`Failure::Failed`] with what came instead of the filter's answer; [`Failure::Usage`] where a
/// file or an option is wrong.
pub(crate) fn check(
    check: &Check,
    ca_file: Option<&str>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if check.headers.len() > CHECK_HEADERS_MAX {
        return Err(Failure::Usage(format!(
            "--header: no more than {CHECK_HEADERS_MAX}, please"
        )));
    }
    let agent = agent(check, ca_file)?;
    for probe in 1..=check.probes {
        let value = format!("sluice check {:016x}", drawn());
        let answered = send(&agent, check, &value).and_then(|answer| judge(answer, check, &value));
        answered.map_err(|problem| {
            let gateway = text::line(check.gateway.as_str(), ERROR_CHARS_MAX);
            Failure::Failed(format!("{gateway}, probe {probe}: {problem}"))
        })?;
    }
    let shown = text::line(check.gateway.as_str(), ERROR_CHARS_MAX);
    let count = match check.probes {
        1 => "the probe".to_owned(),
        count => format!("all {count} probes"),
    };
    Ok(writeln!(out, "{shown}: the filter has answered {count}")?)
}

fn agent(check: &Check, ca_file: Option<&str>) -> Result<Agent, Failure> {
    let authorities = match ca_file {
        Some(_) if !check.gateway.is_tls() => {
            let problem = "--ca-file is for https gateways only: leave it out";
            return Err(Failure::Usage(problem.to_owned()));
        }
        Some(file) => read_authorities(&expand_home(file))
            .map_err(|problem| Failure::Usage(format!("--ca-file: {problem}")))?,
        None => ureq::tls::TlsConfig::default(),
    };
    Ok(Agent::config_builder()
        .http_status_as_error(false)
        // Whoever answers by a redirect has answered.
        .max_redirects(0)
        // A load balancer may lead the next one elsewhere.
        .max_idle_connections(0)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_global(Some(ANSWER_TIMEOUT))
        .tls_config(authorities)
        .build()
        .into())
}

/// A number that the function can't know. It is no secret.
fn drawn() -> u64 {
    RandomState::new().hash_one(0_u8)
}

fn send(agent: &Agent, check: &Check, value: &str) -> Result<Response<Body>, String> {
    let url = check.gateway.url(&check.gateway.path(&check.path));
    let request = Request::builder().method("GET").uri(url);
    let request = request.header("prefer", MARK).header(&check.option, value);
    let request = check
        .headers
        .iter()
        .fold(request, |request, (name, value)| {
            request.header(name, value)
        });
    let request = request.body(()).map_err(|error| error.to_string())?;
    agent.run(request).map_err(|error| trouble(&error))
}

fn trouble(error: &Error) -> String {
    let problem = text::line(&error.to_string(), ERROR_CHARS_MAX);
    format!("no answer: {problem}")
}

/// Checks that only the filter can have answered so.
fn judge(mut answer: Response<Body>, check: &Check, value: &str) -> Result<(), String> {
    let status = answer.status().as_u16();
    let body = answer
        .body_mut()
        .with_config()
        .limit(CHECK_ANSWER_BYTES_MAX)
        .read_to_vec();
    let is_problem = answer
        .headers()
        .get("content-type")
        .is_some_and(|kind| kind == "application/problem+json");
    let option = check.option.as_str();
    if status == 202 {
        return Err(format!(
            "it has taken the probe as a call: its option isn't called {option} there. Say how \
             with --option"
        ));
    }
    let problem: Problem = match body {
        Ok(body) if is_problem => serde_json::from_slice(&body).unwrap_or_default(),
        Ok(_) => Problem::default(),
        Err(error) => return Err(trouble(&error)),
    };
    let quotes = problem.detail.contains(&format!("\"{value}\""));
    let names = |text: &str| text.to_ascii_lowercase().contains(option);
    let is_ours = match (status, problem.r#type.as_str()) {
        (400, "urn:sluice:bad-option") => quotes && problem.header.as_deref().is_some_and(names),
        // An option that this gateway hasn't got is refused whatever its value.
        (501, "urn:sluice:not-asynchronous") => names(&problem.detail),
        _ => false,
    };
    if is_ours {
        return Ok(());
    }
    let known = problem.r#type.strip_prefix("urn:sluice:");
    let Some(known) = known else {
        return Err(format!(
            "THE FILTER IS NOT THERE: somebody else has answered, with {status}. A marked request \
             is not made a call. If authentication or a rule of the gateway has answered, give \
             --header or --path"
        ));
    };
    let known = text::line(known, ERROR_CHARS_MAX);
    Err(format!(
        "the filter seems to be there, but its answer was another one: {status} {known}. Give \
         another --path or --option"
    ))
}

fn path(text: &str) -> Result<String, String> {
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.starts_with('/') && is_visible && !text.contains('#') {
        return Ok(text.to_owned());
    }
    Err("write a path such as /orders, with anything unusual percent-encoded".to_owned())
}

fn name(text: &str) -> Result<HeaderName, String> {
    text.parse()
        .map_err(|_| "it is not a valid header name; write one such as Async-Delay".to_owned())
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let bad = || "write NAME: VALUE, such as 'Authorization: Bearer …'".to_owned();
    let (name, value) = text.split_once(':').ok_or_else(bad)?;
    let name: HeaderName = name.trim().parse().map_err(|_| bad())?;
    let value = HeaderValue::from_str(value.trim()).map_err(|_| bad())?;
    Ok((name, value))
}
