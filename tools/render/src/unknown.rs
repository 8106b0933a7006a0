//! Keys that the input doesn't know: typing mistakes mostly, so that the nearest one is named.

use serde_json::Value;
use sluice::config::Problem;

use crate::key_tree::{Content, Member};

/// How alike two names have to be, from 0 to 1, for one to be meant by the other.
const ALIKE: f64 = 0.75;

/// Takes every member out of a document that its tree of keys doesn't have, and reports each.
pub(crate) fn take_out(document: &mut Value, keys: &[Member]) -> Vec<Problem> {
    let mut problems = Vec::new();
    walk(document, keys, "$", &mut problems);
    problems
}

fn walk(value: &mut Value, keys: &[Member], path: &str, problems: &mut Vec<Problem>) {
    let Value::Object(members) = value else {
        return;
    };
    members.retain(|name, _| {
        let is_known = keys.iter().any(|key| key.name == *name);
        if !is_known {
            problems.push(Problem {
                path: format!("{path}.{name}"),
                message: message(name, keys),
            });
        }
        is_known
    });
    for key in keys {
        let Some(value) = members.get_mut(&key.name) else {
            continue;
        };
        let path = format!("{path}.{}", key.name);
        match &key.content {
            Content::Value(_) => {}
            Content::Section(inner) => walk(value, inner, &path, problems),
            Content::List(_, inner) => {
                let items = value.as_array_mut().into_iter().flatten();
                for (index, item) in items.enumerate() {
                    walk(item, inner, &format!("{path}[{index}]"), problems);
                }
            }
        }
    }
}

fn message(name: &str, keys: &[Member]) -> String {
    let alike = |key: &&Member| {
        let (name, key) = (name.to_lowercase(), key.name.to_lowercase());
        strsim::jaro_winkler(&name, &key)
    };
    let likeness = keys.iter().map(|key| (alike(&key), key));
    let nearest = likeness.max_by(|(one, _), (other, _)| one.total_cmp(other));
    match nearest.filter(|(likeness, _)| *likeness >= ALIKE) {
        Some((_, key)) => format!("is no key here; did you mean {}?", key.name),
        None => {
            let known: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
            format!("is no key here; known are {}", known.join(", "))
        }
    }
}
