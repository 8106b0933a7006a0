//! A document's keys as a tree, in the order of their declaration.

use sluice::config::{Absent, KeyDocumentation, KeyKind};

/// One member of a document.
pub(crate) struct Member {
    /// Its name within its object.
    pub(crate) name: String,
    /// What it is.
    pub(crate) content: Content,
}

/// What a member is.
pub(crate) enum Content {
    /// A value that has no members.
    Value(KeyDocumentation),
    /// An object.
    Section(Vec<Member>),
    /// A list of objects, with the members of each.
    List(KeyDocumentation, Vec<Member>),
}

impl Member {
    /// Returns whether a document without it is refused.
    pub(crate) fn is_required(&self) -> bool {
        match &self.content {
            Content::Value(key) => key.absent == Absent::Refused,
            Content::Section(members) => members.iter().any(Self::is_required),
            Content::List(..) => false,
        }
    }
}

/// Returns the members of the document itself.
pub(crate) fn tree(keys: &[KeyDocumentation]) -> Vec<Member> {
    let mut root = Vec::new();
    for key in keys {
        let path = key.path.strip_prefix("$.").unwrap();
        insert(&mut root, path, key);
    }
    root
}

fn insert(members: &mut Vec<Member>, path: &str, key: &KeyDocumentation) {
    let Some((first, rest)) = path.split_once('.') else {
        let content = if matches!(key.kind, KeyKind::Objects { .. }) {
            Content::List(key.clone(), Vec::new())
        } else {
            Content::Value(key.clone())
        };
        let name = path.to_owned();
        members.push(Member { name, content });
        return;
    };
    let name = first.trim_end_matches("[]");
    if !members.iter().any(|member| member.name == name) {
        members.push(Member {
            name: name.to_owned(),
            content: Content::Section(Vec::new()),
        });
    }
    let found = members.iter_mut().find(|member| member.name == name);
    match &mut found.unwrap().content {
        Content::Section(inner) | Content::List(_, inner) => insert(inner, rest, key),
        Content::Value(key) => panic!("{} has members", key.path),
    }
}
