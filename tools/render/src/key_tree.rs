//! A document's keys as a tree, in the order of their declaration.

use sluice::config::{Absent, KeyDocumentation, KeyKind};

/// One member of a document.
pub struct Member {
    /// Its name within its object.
    pub name: String,
    /// What it is.
    pub content: Content,
}

/// What a member is.
pub enum Content {
    /// A value that has no members.
    Value(KeyDocumentation),
    /// An object.
    Section(Vec<Member>),
    /// A list of objects, with the members of each.
    List(KeyDocumentation, Vec<Member>),
}

impl Member {
    /// Returns whether a document without it is refused.
    #[must_use]
    pub fn is_required(&self) -> bool {
        match &self.content {
            Content::Value(key) => key.absent == Absent::Refused,
            Content::Section(members) => members.iter().any(Self::is_required),
            Content::List(..) => false,
        }
    }
}

/// Returns the members of the document itself.
#[must_use]
pub fn tree(keys: &[KeyDocumentation]) -> Vec<Member> {
    let mut root = Vec::new();
    for key in keys {
        let path = key.path.strip_prefix("$.").unwrap_or(&key.path);
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
    let found = members.iter().position(|member| member.name == name);
    let index = found.unwrap_or_else(|| {
        members.push(Member {
            name: name.to_owned(),
            content: Content::Section(Vec::new()),
        });
        members.len().saturating_sub(1)
    });
    let content = members.get_mut(index).map(|member| &mut member.content);
    if let Some(Content::Section(inner) | Content::List(_, inner)) = content {
        insert(inner, rest, key);
    }
}
