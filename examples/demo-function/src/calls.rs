//! The calls that have reached this function: the last hundred.

use std::collections::VecDeque;

use hyper::HeaderMap;
use serde::Serialize;

const KEPT_COUNT: usize = 100;

/// A request that carried a call's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Call {
    pub(crate) call_id: String,
    pub(crate) attempt: Option<u32>,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body_bytes: usize,
    pub(crate) received_at: String,
}

/// The calls that are remembered.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    last: VecDeque<Call>,
    total: u64,
}

impl Calls {
    pub(crate) fn add(&mut self, call: Call) {
        if self.last.len() == KEPT_COUNT {
            self.last.pop_front();
        }
        self.last.push_back(call);
        self.total += 1;
    }

    /// Returns how many calls there have been, and the latest of them, oldest first.
    pub(crate) fn list(&self) -> serde_json::Value {
        serde_json::json!({ "received": self.total, "calls": self.last })
    }
}

/// Returns the call's id and attempt, if the request has them.
pub(crate) fn call_of(headers: &HeaderMap) -> Option<(String, Option<u32>)> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let id = text("async-call-id")?;
    Some((
        id.to_owned(),
        text("async-attempt").and_then(|attempt| attempt.parse().ok()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: usize) -> Call {
        Call {
            call_id: number.to_string(),
            attempt: Some(1),
            method: "POST".into(),
            path: "/".into(),
            body_bytes: 0,
            received_at: String::new(),
        }
    }

    #[test]
    fn only_the_last_hundred_are_kept_and_all_are_counted() {
        let mut calls = Calls::default();
        (0..250).for_each(|number| calls.add(call(number)));
        let list = calls.list();
        assert_eq!(list["received"], 250);
        assert_eq!(list["calls"].as_array().unwrap().len(), KEPT_COUNT);
        assert_eq!(list["calls"][0]["callId"], "150");
        assert_eq!(list["calls"][99]["callId"], "249");
    }
}
