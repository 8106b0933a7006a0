//! Calls through a gateway, as its clients and the demo function see them.

use anyhow::Result;
use local_gateway::http::{self, Answer};
use serde_json::Value;
use testkit::{PATIENCE, wait};

/// A gateway before the demo function.
#[derive(Clone, Debug)]
pub struct Gateway {
    url: String,
}

/// A call that was accepted.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Its id.
    pub id: String,
    /// When it is due: RFC 3339, in milliseconds and UTC, so that texts compare as times do.
    pub deliver_at: String,
}

impl Gateway {
    /// Returns the gateway on this port of the machine.
    #[must_use]
    pub fn at(port: u16) -> Self {
        Self {
            url: format!("http://127.0.0.1:{port}"),
        }
    }

    /// Sends a marked request with these options.
    #[must_use]
    pub fn ask(&self, path: &str, options: &[(&str, &str)]) -> Answer {
        let answer = self.try_ask(path, options);
        answer.unwrap_or_else(|error| panic!("{error:#}"))
    }

    fn try_ask(&self, path: &str, options: &[(&str, &str)]) -> Result<Answer> {
        let url = format!("{}{path}", self.url);
        let headers: Vec<_> = [("prefer", "respond-async")]
            .into_iter()
            .chain(options.iter().copied())
            .collect();
        http::post_within(PATIENCE, &url, &headers, "hello=world")
    }

    /// Has a request accepted as a call.
    #[must_use]
    pub fn accept(&self, path: &str, options: &[(&str, &str)]) -> Accepted {
        let answer = self.ask(path, options);
        accepted(&answer).unwrap_or_else(|| panic!("{answer:?}"))
    }

    /// Has a request accepted as a call, unless it is refused or nobody answers.
    #[must_use]
    pub fn try_accept(&self, path: &str, options: &[(&str, &str)]) -> Option<Accepted> {
        let answer = self.try_ask(path, options).ok()?;
        accepted(&answer)
    }

    /// Waits until a call has arrived on this path, and returns what the function tells of it. It
    /// never arrives before it is due.
    #[must_use]
    pub fn wait_for(&self, call: &Accepted, path: &str) -> Value {
        let arrived = wait::until_some(PATIENCE, wait::POLL_INTERVAL, || {
            let found = |seen: &Value| seen["callId"] == call.id.as_str() && seen["path"] == path;
            self.calls().into_iter().find(found)
        });
        let arrived = arrived.unwrap_or_else(|| panic!("{call:?} has not arrived on {path}"));
        let at = arrived["receivedAt"].as_str().expect("text");
        assert!(at >= call.deliver_at.as_str(), "early: {arrived} {call:?}");
        arrived
    }

    /// Tries what the README has for everybody to try: a call, and a deferred one with a reply.
    pub fn makes_calls(&self) {
        let call = self.accept("/hello", &[]);
        let arrived = self.wait_for(&call, "/hello");
        assert_eq!(arrived["bodyBytes"], 11, "{arrived}");
        let options = [("async-delay", "2s"), ("async-reply-to", "/inbox")];
        let deferred = self.accept("/later", &options);
        let _call = self.wait_for(&deferred, "/later");
        let _reply = self.wait_for(&deferred, "/inbox");
    }

    /// Returns the calls that have reached the function; none where nobody answers.
    fn calls(&self) -> Vec<Value> {
        let answer = http::get(&format!("{}/calls", self.url));
        let told = answer.and_then(|answer| answer.json());
        let told = told.ok().and_then(|told| told["calls"].as_array().cloned());
        told.unwrap_or_default()
    }
}

/// Returns the call that an answer tells of, if it does.
fn accepted(answer: &Answer) -> Option<Accepted> {
    let told = answer.json().ok().filter(|_| answer.status == 202)?;
    let text = |member: &str| told[member].as_str().map(str::to_owned);
    Some(Accepted {
        id: text("id")?,
        deliver_at: text("deliverAt")?,
    })
}
