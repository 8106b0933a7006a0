//! The JSON Schemas of the configuration documents.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sluice::accept::config::AcceptConfig;
use sluice::answer::AnswerConfig;
use sluice::config::{Absent, Document, KeyKind, TextForm};
use sluice::drain::config::DrainConfig;

use super::key_tree::{Content, Member, tree};
use super::settle;

/// A JSON value whose members keep their order, whatever `serde_json` was built with.
enum Ordered {
    Plain(Value),
    Object(Vec<(String, Self)>),
}

impl Ordered {
    fn write(&self, text: &mut String, depth: usize) {
        match self {
            Self::Plain(value) => write!(text, "{value}").unwrap(),
            Self::Object(members) if members.is_empty() => text.push_str("{}"),
            Self::Object(members) => {
                let indent = "  ".repeat(depth + 1);
                for (index, (name, value)) in members.iter().enumerate() {
                    let start = if index == 0 { "{" } else { "," };
                    write!(text, "{start}\n{indent}{}: ", json!(name)).unwrap();
                    value.write(text, depth + 1);
                }
                write!(text, "\n{}}}", "  ".repeat(depth)).unwrap();
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

fn schema<D: Document>(role: &str) -> String {
    let mut parts = vec![
        plain("$schema", "https://json-schema.org/draft/2020-12/schema"),
        plain("title", format!("Configuration of Sluice's {role} role")),
        plain(
            "$comment",
            "Generated from src/config/: UPDATE_DOCUMENTS=1 cargo test --test documents",
        ),
    ];
    parts.extend(object(&tree(&D::keys())));
    let mut text = String::new();
    Ordered::Object(parts).write(&mut text, 0);
    text + "\n"
}

#[test]
fn the_schemas_of_configurations_say_what_the_code_says() {
    settle(
        "filter-config/accept.schema.json",
        &schema::<AcceptConfig>("accept"),
    );
    settle(
        "filter-config/drain.schema.json",
        &schema::<DrainConfig>("drain"),
    );
    settle(
        "filter-config/answer.schema.json",
        &schema::<AnswerConfig>("answer"),
    );
}
