//! What several sections read in the same way.

use sluice::config::{Section, TextForm};

use crate::origin::Origin;

/// The form of a name of an object or a cluster.
const NAME: TextForm = TextForm::Pattern("^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$");

/// Reads a port.
pub(super) fn port(
    section: &mut Section<'_>,
    key: &'static str,
    default: u64,
    meaning: &'static str,
) -> u64 {
    section.integer(key, 1..=65_535, default, "a TCP port", meaning)
}

/// Reads the name of an object or a cluster.
pub(super) fn name(
    section: &mut Section<'_>,
    key: &'static str,
    default: Option<&'static str>,
    meaning: &'static str,
) -> String {
    let text = match default {
        Some(default) => section.text(key, default, meaning),
        None => section.required_text(key, meaning),
    };
    section.declare_form(NAME);
    let is_part =
        |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || "-.".contains(one);
    let is_edge = |one: char| "-.".contains(one);
    if !text.chars().all(is_part) || text.starts_with(is_edge) || text.ends_with(is_edge) {
        let message = "must be lower-case letters, digits, hyphens and dots";
        section.refuse(key, message.to_owned());
    }
    text
}

/// Reads a text as the URL of a server.
pub(super) fn origin(
    section: &mut Section<'_>,
    key: &'static str,
    url: Option<String>,
) -> Option<Origin> {
    match url?.parse() {
        Ok(origin) => Some(origin),
        Err(error) => {
            section.refuse(key, format!("must be the URL of a server: {error}"));
            None
        }
    }
}

/// Refuses a text that could end its line.
pub(super) fn refuse_control(section: &mut Section<'_>, key: &'static str, text: Option<&str>) {
    if text.is_some_and(|text| text.chars().any(char::is_control)) {
        section.refuse(key, "must have no control characters".to_owned());
    }
}
