//! A small HTTP client for health checks, Envoy's admin interface and examples.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use ureq::http::{Request, Response};
use ureq::{Agent, Body};

/// Long enough for any local answer, short enough to ask again.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A whole response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status, such as 200.
    pub status: u16,
    /// Names (in lower case) and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body. Invalid UTF-8 is replaced.
    pub body: String,
}

impl Answer {
    /// Returns the first value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns the body as JSON.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("no JSON: {}", self.body))
    }
}

/// Performs a `GET`.
///
/// # Errors
/// When no response came. A response with any status is not an error.
pub fn get(url: &str) -> Result<Answer> {
    get_within(TIMEOUT, url)
}

/// Performs a `GET` with another time limit.
///
/// # Errors
/// The same as [`get`].
pub fn get_within(limit: Duration, url: &str) -> Result<Answer> {
    let response = agent(limit)
        .get(url)
        .call()
        .with_context(|| format!("no answer from {url}"))?;
    read(response)
}

/// Performs a `POST` with these headers.
///
/// # Errors
/// When no response came. A response with any status is not an error.
pub fn post(url: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer> {
    post_within(TIMEOUT, url, headers, body)
}

/// Performs a `POST` with another time limit.
///
/// # Errors
/// The same as [`post`].
pub fn post_within(
    limit: Duration,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer> {
    let mut request = Request::post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body.to_owned())?;
    let response = agent(limit)
        .run(request)
        .with_context(|| format!("no answer from {url}"))?;
    read(response)
}

fn agent(limit: Duration) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        // The machine may use a proxy for other requests, but this one is for the machine itself.
        .proxy(None)
        .timeout_global(Some(limit))
        .build()
        .into()
}

fn read(mut response: Response<Body>) -> Result<Answer> {
    let headers = response.headers().iter();
    let headers = headers
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let status = response.status().as_u16();
    let body = response
        .body_mut()
        .read_to_vec()
        .context("the response broke off")?;
    Ok(Answer {
        status,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
