//! JSON for people: what fits on a line stands on one, and keys stand in the order in which they
//! are declared.

use serde_json::{Map, Value, json};
use sluice::config::KeyDocumentation;

/// Columns within which an object or a list stays on one line.
const COLUMNS: usize = 80;

/// The text of a document, without a line break at its end.
pub(crate) fn document(value: &Value, keys: &[KeyDocumentation]) -> String {
    let mut text = String::new();
    write(&mut text, value, keys, "$", 0, 0);
    text
}

/// Writes a value that starts `before` columns into its line.
fn write(
    text: &mut String,
    value: &Value,
    keys: &[KeyDocumentation],
    path: &str,
    depth: usize,
    before: usize,
) {
    let line = one_line(value, keys, path);
    if before.saturating_add(line.len()) <= COLUMNS {
        text.push_str(&line);
        return;
    }
    let indent = "  ".repeat(depth.saturating_add(1));
    let (open, close, items) = match value {
        Value::Object(members) => {
            let members = ordered(members, keys, path).into_iter();
            let members = members.map(|(name, value)| {
                (
                    format!("{}: ", json!(name)),
                    format!("{path}.{name}"),
                    value,
                )
            });
            ('{', '}', members.collect::<Vec<_>>())
        }
        Value::Array(items) => {
            let items = items.iter();
            let items = items.map(|item| (String::new(), format!("{path}[]"), item));
            ('[', ']', items.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            text.push_str(&line);
            return;
        }
    };
    text.push(open);
    for (index, (name, path, item)) in items.iter().enumerate() {
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        text.push_str(&indent);
        text.push_str(name);
        let before = indent.len().saturating_add(name.len());
        write(text, item, keys, path, depth.saturating_add(1), before);
    }
    text.push('\n');
    text.push_str(&"  ".repeat(depth));
    text.push(close);
}

fn one_line(value: &Value, keys: &[KeyDocumentation], path: &str) -> String {
    match value {
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members = ordered(members, keys, path).into_iter();
            let members = members.map(|(name, value)| {
                let value = one_line(value, keys, &format!("{path}.{name}"));
                format!("{}: {value}", json!(name))
            });
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            let path = format!("{path}[]");
            let items = items.iter().map(|item| one_line(item, keys, &path));
            format!("[{}]", items.collect::<Vec<_>>().join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

fn ordered<'a>(
    members: &'a Map<String, Value>,
    keys: &[KeyDocumentation],
    path: &str,
) -> Vec<(&'a String, &'a Value)> {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by_key(|(name, _)| {
        let path = format!("{path}.{name}");
        let position = keys.iter().position(|key| {
            let rest = key.path.strip_prefix(&path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        });
        (position.unwrap_or(usize::MAX), (*name).clone())
    });
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice::answer::AnswerConfig;
    use sluice::config::Document as _;
    use sluice::drain::config::DrainConfig;

    #[test]
    fn short_things_stand_on_one_line_and_keys_in_their_order() {
        let answer = json!({ "answers": { "bodyBytes": 65_536 } });
        let text = document(&answer, &AnswerConfig::keys());
        assert_eq!(text, r#"{ "answers": { "bodyBytes": 65536 } }"#);
        let drain = json!({
            "lanes": [
                { "delayMs": 1000, "streamId": "ocid1.stream.oc1.local.calls-1s" },
                { "delayMs": 5000, "streamId": "ocid1.stream.oc1.local.calls-5s" },
            ],
            "stream": { "streamId": "a", "cluster": "stream" },
        });
        let text = document(&drain, &DrainConfig::keys());
        let expected = r#"{
  "stream": { "cluster": "stream", "streamId": "a" },
  "lanes": [
    { "streamId": "ocid1.stream.oc1.local.calls-1s", "delayMs": 1000 },
    { "streamId": "ocid1.stream.oc1.local.calls-5s", "delayMs": 5000 }
  ]
}"#;
        assert_eq!(text, expected);
    }
}
