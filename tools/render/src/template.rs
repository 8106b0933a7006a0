//! The pieces of text, and how values get into them: quoted where YAML would read them otherwise.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};

/// The files of `templates/`, by their path there.
macro_rules! pieces {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../templates/", $name)))),*]
    };
}

const PIECES: &[(&str, &str)] = pieces![
    "bootstrap.yaml",
    "istio.yaml",
    "envoy-gateway.yaml",
    "stats.yaml",
    "internal_listener.yaml",
    "head/envoy.txt",
    "head/loopback.txt",
    "head/principal.txt",
    "head/sidecar.txt",
    "head/istio.txt",
    "head/envoy-gateway.txt",
    "cluster/admin.yaml",
    "cluster/dispatch.yaml",
    "cluster/drain.yaml",
    "cluster/egress-http.yaml",
    "cluster/egress-https.yaml",
    "cluster/function.yaml",
    "cluster/oci-auth.yaml",
    "cluster/oci-files.yaml",
    "cluster/oci-metadata.yaml",
    "cluster/service.yaml",
    "cluster/stream.yaml",
    "cluster/targets-http.yaml",
    "cluster/targets-https.yaml",
    "cluster/tls.yaml",
    "filter/accept.yaml",
    "filter/answer.yaml",
    "filter/loopback_expected.yaml",
    "filter/loopback_forget.yaml",
    "filter/loopback_judge.yaml",
    "filter/no_conversation.yaml",
    "filter/no_marks.yaml",
    "listener/dispatch.yaml",
    "listener/drain.yaml",
    "listener/egress-http.yaml",
    "listener/egress-https.yaml",
    "listener/gateway.yaml",
    "listener/inbound.yaml",
    "listener/oci-files.yaml",
    "listener/outbound.yaml",
    "listener/probe.yaml",
];

/// Words that YAML doesn't read as text, in lower case.
const NO_TEXT: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];

/// All pieces, ready to be put together.
///
/// # Errors
/// When a piece is no template, which a test rules out.
pub(crate) fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    let mut syntax = SyntaxConfig::builder();
    let syntax = syntax.trim_blocks(true).lstrip_blocks(true);
    environment.set_syntax(syntax.keep_trailing_newline(true).build()?);
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(|out, _, value| out.write_str(&scalar(value)).map_err(Error::from));
    environment.add_filter("raw", |text: String| Value::from_safe_string(text));
    environment.add_filter("listed", listed);
    environment.add_filter("under", under);
    environment.add_filter("item", item);
    environment.add_filter("mapping", mapping);
    environment.add_filter("member", member);
    for (name, text) in PIECES {
        environment.add_template(name, text)?;
    }
    Ok(environment)
}

/// A value as YAML that means it, in a flow or outside of one. What is safe already stays.
fn scalar(value: &Value) -> String {
    match value.as_str() {
        Some(text) if value.is_safe() || is_plain(text) => text.to_owned(),
        Some(text) => serde_json::Value::from(text).to_string(),
        None if value.kind() == ValueKind::Undefined => String::new(),
        None => value.to_string(),
    }
}

/// Whether YAML reads it as this very text without quotes.
fn is_plain(text: &str) -> bool {
    let starts = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/');
    let is_version_four = text.parse::<std::net::Ipv4Addr>().is_ok();
    let is_part = |character: char| character.is_ascii_alphanumeric() || "._/-".contains(character);
    (starts || is_version_four)
        && text.chars().all(is_part)
        && !NO_TEXT.contains(&text.to_lowercase().as_str())
}

/// The items of a list, for within brackets.
fn listed(list: Vec<String>) -> Value {
    let items = list.into_iter().map(|item| scalar(&Value::from(item)));
    Value::from_safe_string(items.collect::<Vec<_>>().join(", "))
}

/// Each line moved to the right, with a line break at the end; nothing for nothing.
fn under(text: String, width: usize) -> Value {
    Value::from_safe_string(moved(text.lines(), width))
}

fn moved<'a>(lines: impl Iterator<Item = &'a str>, width: usize) -> String {
    let indent = " ".repeat(width);
    let mut text = String::new();
    for line in lines {
        if !line.is_empty() {
            text.push_str(&indent);
            text.push_str(line);
        }
        text.push('\n');
    }
    text
}

/// A mapping as an item of a list, with an anchor or without. Comments before it stay before it.
fn item(text: String, width: usize, anchor: Option<String>) -> Value {
    let is_comment = |line: &&str| line.starts_with('#');
    let comments = moved(text.lines().take_while(is_comment), width);
    let inner = width.saturating_add(2);
    let mapping = moved(text.lines().skip_while(is_comment), inner);
    let indent = " ".repeat(width);
    Value::from_safe_string(match anchor {
        Some(anchor) => format!("{comments}{indent}- &{anchor}\n{mapping}"),
        None => format!(
            "{comments}{indent}- {}",
            mapping.get(inner..).unwrap_or_default()
        ),
    })
}

/// What stands as an item of a list, as a mapping: the other way round.
fn mapping(text: String, width: usize) -> Result<Value, Error> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let inner = line.strip_prefix("- ").or_else(|| line.strip_prefix("  "));
        match inner {
            Some(inner) => lines.push(inner),
            None if line.is_empty() || line.starts_with('#') => lines.push(line),
            None => {
                let message = format!("'{line}' is no item of a list");
                return Err(Error::new(ErrorKind::InvalidOperation, message));
            }
        }
    }
    Ok(Value::from_safe_string(moved(lines.into_iter(), width)))
}

/// The value of the first member of this name, wherever it stands, as the member `to`.
fn member(text: String, name: String, to: String, width: usize) -> Result<Value, Error> {
    let depth = |line: &str| line.len().saturating_sub(line.trim_start().len());
    let key = format!("{name}:");
    let is_key = |line: &&str| line.trim_start().starts_with(&key);
    let mut lines = text.lines().skip_while(|line| !is_key(line));
    let Some(first) = lines.next() else {
        let message = format!("there is no '{name}' in it");
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    };
    let column = depth(first);
    let rest = first.trim_start().strip_prefix(&key).unwrap_or_default();
    let inner = lines.take_while(|line| line.is_empty() || depth(line) > column);
    let inner = moved(
        inner.map(|line| line.get(column..).unwrap_or_default()),
        width,
    );
    let indent = " ".repeat(width);
    Ok(Value::from_safe_string(format!(
        "{indent}{to}:{rest}\n{inner}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_a_template() {
        environment().unwrap();
    }

    #[test]
    fn what_yaml_reads_otherwise_is_quoted() {
        let written = |text: &str| scalar(&Value::from(text));
        for plain in [
            "a.example",
            "127.0.0.1",
            "/etc/envoy/sluice.wasm",
            "target/dist/x",
        ] {
            assert_eq!(written(plain), plain);
        }
        for text in [
            "::1", "yes", "1.5", "a: b", "a # b", "{a}", "*", "a\nb", "", "é", "-",
        ] {
            let quoted = written(text);
            assert!(quoted.starts_with('"'), "{quoted}");
            let read: serde_json::Value = yaml_serde::from_str(&quoted).unwrap();
            assert_eq!(read, text);
        }
    }

    #[test]
    fn pieces_are_moved() {
        let text = |value: Value| value.to_string();
        assert_eq!(
            text(under("a:\n  b\n\nc\n".into(), 2)),
            "  a:\n    b\n\n  c\n"
        );
        assert_eq!(text(under(String::new(), 2)), "");
        let piece = "# c\nname: a\nb: 1\n".to_owned();
        assert_eq!(
            text(item(piece.clone(), 2, None)),
            "  # c\n  - name: a\n    b: 1\n"
        );
        let anchored = "  # c\n  - &x\n    name: a\n    b: 1\n";
        assert_eq!(text(item(piece, 2, Some("x".into()))), anchored);
        let back = mapping("# c\n- name: a\n  b: 1\n".into(), 2).unwrap();
        assert_eq!(text(back), "  # c\n  name: a\n  b: 1\n");
        let nested =
            "# c\n- name: a\n  b: &x\n    - c: 1\n\n      # d\n      e: 2\n  f: 3\n".to_owned();
        let taken = member(nested.clone(), "b".into(), "value".into(), 4).unwrap();
        let moved = "    value: &x\n      - c: 1\n\n        # d\n        e: 2\n";
        assert_eq!(text(taken), moved);
        let last = member(nested.clone(), "f".into(), "g".into(), 0).unwrap();
        assert_eq!(text(last), "g: 3\n");
        assert!(member(nested, "z".into(), "value".into(), 0).is_err());
    }
}
