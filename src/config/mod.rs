//! What the operator configures: one JSON document per role, checked as a whole when it is loaded.
//!
//! A document with any mistake is refused with all of its mistakes, each with its JSON path.

mod accept;
mod allow;
mod answer;
mod attempt;
mod callers;
mod drain;
mod key;
mod lanes;
mod metrics;
mod names;
mod options;
mod reader;
mod signing;

use std::fmt;

use serde_json::Value;

use crate::stream::StreamConfig;
use crate::stream::signing::SigningConfig;

pub use key::{Absent, KeyDocumentation, KeyKind, TextForm};
pub use reader::{Findings, Problem, Section};

impl StreamConfig {
    fn read(section: &mut Section<'_>) -> Self {
        let cluster = section.required_text(
            "cluster",
            "Envoy cluster of the Stream's messages endpoint.",
        );
        let authority = section.required_text("authority", "Host that the endpoint expects.");
        let stream_id = section.required_text("streamId", "OCID of the stream of calls.");
        let signing = SigningConfig::read(section, &authority);
        Self {
            cluster,
            authority,
            stream_id,
            signing,
        }
    }
}

/// All mistakes of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Problem>);

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} mistake(s) in the plugin configuration:",
            self.0.len()
        )?;
        self.0
            .iter()
            .try_for_each(|problem| write!(formatter, "\n  {problem}"))
    }
}

impl std::error::Error for ConfigError {}

/// A role's configuration document.
pub trait Document: Sized {
    /// Reads the document's keys. This also declares them.
    fn read(root: &mut Section<'_>) -> Self;

    /// Reads and checks a document.
    ///
    /// # Errors
    /// All mistakes, each with its JSON path.
    fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let document: Value = serde_json::from_slice(json).map_err(|error| {
            ConfigError(vec![Problem {
                path: "$".to_owned(),
                message: not_json(json, &error),
            }])
        })?;
        let mut findings = Findings::default();
        let mut root = Section::root(&document, &mut findings);
        let config = Self::read(&mut root);
        root.finish();
        if findings.problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError(findings.problems))
        }
    }

    /// Returns every key with unit, range, default and meaning, for the reference pages.
    #[must_use]
    fn keys() -> Vec<KeyDocumentation> {
        let empty = Value::Object(serde_json::Map::new());
        let mut findings = Findings::default();
        Self::read(&mut Section::root(&empty, &mut findings));
        findings.keys
    }
}

/// Returns why the document can't be read. Envoy passes a `google.protobuf.Struct` on as protobuf,
/// so the text says what to use instead.
fn not_json(json: &[u8], error: &serde_json::Error) -> String {
    let hint = match json.trim_ascii_start().first() {
        Some(b'{') => "",
        _ => {
            "; give the plugin configuration as \"@type\": \
             type.googleapis.com/google.protobuf.StringValue whose value is the JSON document"
        }
    };
    format!("is not valid JSON: {error}{hint}")
}

#[cfg(test)]
mod tests {
    use crate::answer::AnswerConfig;
    use crate::config::Document as _;

    #[test]
    fn a_struct_is_told_to_be_a_string() {
        let as_envoy_passes_it = b"\x0a\x0d\x0a\x07answers\x12\x02\x2a\x00";
        let error = AnswerConfig::from_json(as_envoy_passes_it).unwrap_err();
        assert!(
            error.to_string().contains("protobuf.StringValue"),
            "{error}"
        );
        let error = AnswerConfig::from_json(b"{").unwrap_err();
        assert!(!error.to_string().contains("StringValue"), "{error}");
    }
}
