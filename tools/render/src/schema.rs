//! The JSON Schema of a document, from its declared keys.

use serde_json::{Value, json};
use sluice::config::{Absent, KeyDocumentation, KeyKind, TextForm};

use crate::key_tree::{Content, Member, tree};

/// A JSON value whose members keep their order, whatever `serde_json` was built with.
enum Ordered {
    Plain(Value),
    Object(Vec<(String, Self)>),
}

impl Ordered {
    fn write(&self, text: &mut String, depth: usize) {
        match self {
            Self::Plain(value) => text.push_str(&value.to_string()),
            Self::Object(members) if members.is_empty() => text.push_str("{}"),
            Self::Object(members) => {
                let inner = depth.saturating_add(1);
                let indent = "  ".repeat(inner);
                for (index, (name, value)) in members.iter().enumerate() {
                    let start = if index == 0 { "{" } else { "," };
                    text.push_str(&format!("{start}\n{indent}{}: ", json!(name)));
                    value.write(text, inner);
                }
                text.push_str(&format!("\n{}}}", "  ".repeat(depth)));
            }
        }
    }
}

fn plain(name: &str, value: impl Into<Value>) -> (String, Ordered) {
    (name.to_owned(), Ordered::Plain(value.into()))
}

fn form(form: &TextForm) -> Vec<(String, Ordered)> {
    let mut members = vec![plain("type", "string")];
    members.push(match form {
        TextForm::Any => plain("minLength", 1),
        TextForm::OneOf(texts) => plain("enum", texts.clone()),
        TextForm::Pattern(pattern) => plain("pattern", *pattern),
    });
    members
}

fn value(kind: &KeyKind) -> Vec<(String, Ordered)> {
    match kind {
        KeyKind::Flag => vec![plain("type", "boolean")],
        KeyKind::Text(text) => form(text),
        KeyKind::Integer { range, .. } => vec![
            plain("type", "integer"),
            plain("minimum", *range.start()),
            plain("maximum", *range.end()),
        ],
        KeyKind::Texts {
            form: text,
            items_max,
        } => vec![
            plain("type", "array"),
            plain("maxItems", *items_max),
            ("items".to_owned(), Ordered::Object(form(text))),
        ],
        KeyKind::Objects { items_max } => {
            vec![plain("type", "array"), plain("maxItems", *items_max)]
        }
    }
}

/// Returns what an object with these members is; anything else in it is a mistake.
fn object(members: &[Member]) -> Vec<(String, Ordered)> {
    let required = members.iter().filter(|member| member.is_required());
    let required: Vec<&str> = required.map(|member| member.name.as_str()).collect();
    let properties = members.iter().map(|one| (one.name.clone(), member(one)));
    vec![
        plain("type", "object"),
        plain("additionalProperties", false),
        plain("required", required),
        (
            "properties".to_owned(),
            Ordered::Object(properties.collect()),
        ),
    ]
}

fn member(member: &Member) -> Ordered {
    let (key, items) = match &member.content {
        Content::Section(members) => return Ordered::Object(object(members)),
        Content::Value(key) => (key, None),
        Content::List(key, items) => (key, Some(items)),
    };
    let meaning = if let KeyKind::Integer { unit, .. } = &key.kind {
        format!("{} ({unit})", key.meaning)
    } else {
        key.meaning.to_owned()
    };
    let mut parts = vec![plain("description", meaning)];
    if let Absent::Default(default) = &key.absent {
        parts.push(plain("default", default.clone()));
    }
    parts.extend(value(&key.kind));
    if let Some(items) = items {
        parts.push(("items".to_owned(), Ordered::Object(object(items))));
    }
    Ordered::Object(parts)
}

/// The JSON Schema (draft 2020-12) of a document with these keys.
#[must_use]
pub fn schema(title: &str, comment: &str, keys: &[KeyDocumentation]) -> String {
    let mut parts = vec![
        plain("$schema", "https://json-schema.org/draft/2020-12/schema"),
        plain("title", title),
        plain("$comment", comment),
    ];
    parts.extend(object(&tree(keys)));
    let mut text = String::new();
    Ordered::Object(parts).write(&mut text, 0);
    text.push('\n');
    text
}
