//! A proxy that stands before the stream server and spoils some of its answers.

use std::sync::Arc;

use local_gateway::http;
use serde_json::{Value, json};
use testkit::server::{Answer, Server};

/// What the proxy does instead of passing a request on.
pub enum Fault {
    /// Answers by itself.
    Answer(u16, &'static str),
    /// Passes the first messages of a PutMessages on, and says that the others failed.
    StoreOnly(usize),
}

/// Starts one. `faults` gets method and path of each request.
pub fn start(
    upstream: &str,
    faults: impl Fn(&str) -> Option<Fault> + Send + Sync + 'static,
) -> Server {
    let upstream = upstream.to_owned();
    Server::start(Arc::new(move |incoming| {
        let request = incoming.message;
        let (method, path) = (request.word(0), request.word(1));
        let url = format!("{upstream}{path}");
        let body = String::from_utf8(request.body).unwrap();
        match faults(&format!("{method} {path}")) {
            Some(Fault::Answer(status, body)) => answer(status, body, None),
            Some(Fault::StoreOnly(count)) => store_only(&url, count, &body),
            None if method == "GET" => pass(&http::get(&url).unwrap()),
            None => pass(&post(&url, &body)),
        }
    }))
}

fn answer(status: u16, body: &str, cursor: Option<&str>) -> Answer {
    let answer = Answer::Reply {
        status,
        fields: Vec::new(),
        body: body.into(),
    };
    match cursor {
        Some(cursor) => answer.with("opc-next-cursor", cursor),
        None => answer,
    }
}

fn post(url: &str, body: &str) -> http::Answer {
    http::post(url, &[("content-type", "application/json")], body).unwrap()
}

fn pass(upstream: &http::Answer) -> Answer {
    let cursor = upstream.header("opc-next-cursor");
    answer(upstream.status, &upstream.body, cursor)
}

fn store_only(url: &str, count: usize, body: &str) -> Answer {
    let mut body: Value = serde_json::from_str(body).unwrap();
    let messages = body["messages"].as_array_mut().unwrap();
    let failures = messages.len().saturating_sub(count);
    messages.truncate(count);
    let mut upstream = post(url, &body.to_string());
    let mut answer: Value = serde_json::from_str(&upstream.body).unwrap();
    let error = json!({ "error": "TooManyRequests", "errorMessage": "slow down" });
    let entries = answer["entries"].as_array_mut().unwrap();
    entries.extend(vec![error; failures]);
    answer["failures"] = failures.into();
    upstream.body = answer.to_string();
    pass(&upstream)
}
