//! `sluice dead show`.

use std::fmt::Write as _;
use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::call::{Call, Content};
use crate::dead::filter::Filter;
use crate::dead::letter::{Attempt, Letter};
use crate::dead::{DeadStream, Found, Survey};
use crate::failure::Failure;
use crate::json::Document;
use crate::limits::{LINE_CHARS_MAX, SHOWN_LINES_MAX, SHOWN_TEXT_CHARS_MAX};
use crate::moment;
use crate::progress::Progress;
use crate::table::Table;
use crate::text;

/// Shows every letter of one call: a call that was redriven may have died again.
///
/// # Errors
/// [`Failure`]; [`Failure::Nothing`] if there is no such letter.
pub fn show(
    dead: &DeadStream<'_>,
    id: &str,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut progress = Progress::start();
    let survey = Survey::take(dead, &mut progress)?;
    let filter = Filter {
        ids: vec![id.to_owned()],
        ..Filter::default()
    };
    let mut sink = Sink::begin(json, out)?;
    let mut shown = false;
    survey.visit(dead, &mut |found| match found {
        Found::Letter(letter) if filter.matches(&letter) => {
            progress.wipe();
            shown = true;
            let redriven_at = survey.redriven_at(&letter).map(moment::exact);
            Ok(sink.letter(&letter, redriven_at)?)
        }
        Found::Letter(_) | Found::Unreadable(..) => Ok(()),
    })?;
    sink.end()?;
    if shown {
        return Ok(());
    }
    let shown_id = text::line(id, LINE_CHARS_MAX);
    match survey.incomplete().find(|incomplete| incomplete.id == id) {
        Some(incomplete) => Err(Failure::Failed(format!(
            "the letter of {shown_id} is incomplete: {} of its {} messages are on the dead stream. \
             Try again in a moment; if that doesn't help, the Stream has dropped the others by age",
            incomplete.found, incomplete.parts
        ))),
        None => Err(Failure::Nothing(format!(
            "no dead letter has the id {shown_id}; sluice dead list --all shows all ids"
        ))),
    }
}

enum Sink<'a> {
    Json(Document<'a>),
    People(&'a mut dyn Write, bool),
}

impl<'a> Sink<'a> {
    fn begin(json: bool, out: &'a mut dyn Write) -> std::io::Result<Self> {
        if !json {
            return Ok(Self::People(out, false));
        }
        let mut document = Document::begin(out)?;
        document.begin_list("letters")?;
        Ok(Self::Json(document))
    }

    fn letter(&mut self, letter: &Letter, redriven_at: Option<String>) -> std::io::Result<()> {
        match self {
            Self::Json(document) => document.item(&Whole::of(letter, redriven_at)),
            Self::People(out, another) => {
                if std::mem::replace(another, true) {
                    writeln!(out)?;
                }
                out.write_all(for_people(letter, redriven_at).as_bytes())
            }
        }
    }

    fn end(self) -> std::io::Result<()> {
        match self {
            Self::Json(mut document) => {
                document.end_list()?;
                document.end()
            }
            Self::People(out, _) => out.flush(),
        }
    }
}

/// The whole letter, for programs, with the names of the dead stream for everything that is there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Whole<'a> {
    id: &'a str,
    reason: &'a str,
    detail: &'a str,
    dead_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_id: Option<&'a str>,
    attempts: Vec<WholeAttempt<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_base64: Option<String>,
    dead_partition: String,
    dead_offset: u64,
    parts: u32,
    redriven_at: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WholeAttempt<'a> {
    attempt: u64,
    at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    excerpt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    excerpt_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<&'a str>,
}

impl<'a> Whole<'a> {
    fn of(letter: &'a Letter, redriven_at: Option<String>) -> Self {
        let head = &letter.head;
        // Other readers of JSON must be able to read what is passed on as JSON.
        let readable = serde_json::from_slice::<serde_json::Value>(&letter.record).is_ok();
        let call = serde_json::from_slice::<&RawValue>(&letter.record)
            .ok()
            .filter(|_| readable);
        let source = head.source.as_ref();
        Self {
            id: &head.id,
            reason: &head.reason,
            detail: &head.detail,
            dead_at: head.dead_at.map(moment::exact),
            partition: source.map(|(partition, _)| partition.as_str()),
            offset: source.map(|(_, offset)| *offset),
            stream_id: head.stream_id.as_deref(),
            attempts: head.attempts.iter().map(WholeAttempt::of).collect(),
            call,
            record_base64: call.is_none().then(|| BASE64.encode(&letter.record)),
            dead_partition: letter.position.partition.to_string(),
            dead_offset: letter.position.offset,
            parts: letter.parts,
            redriven_at,
        }
    }
}

impl<'a> WholeAttempt<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        let (excerpt, excerpt_base64) = match &attempt.excerpt {
            Some(Content::Text(text)) => (Some(text.as_str()), None),
            Some(Content::Binary(bytes)) => (None, Some(BASE64.encode(bytes))),
            None => (None, None),
        };
        let Attempt {
            number, at, status, ..
        } = attempt;
        Self {
            attempt: *number,
            at,
            status: *status,
            excerpt,
            excerpt_base64,
            gateway: attempt.gateway.as_deref(),
        }
    }
}

fn for_people(letter: &Letter, redriven_at: Option<String>) -> String {
    let head = &letter.head;
    let call = Call::parse(&letter.record);
    let mut page = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a string can't fail.
            let _ = writeln!(page, "{name:<12}{}", text::line(value, LINE_CHARS_MAX));
        }
    };
    line("Dead letter", &head.id);
    line(
        "dead since",
        &head.dead_at.map(moment::exact).unwrap_or_default(),
    );
    line("reason", &head.reason);
    line("detail", &head.detail);
    if let Ok(call) = &call {
        line("call", &format!("{} {}", call.method(), call.target()));
        line("route", &call.text("route").unwrap_or_default());
        line("accepted", &call.text("acceptedAt").unwrap_or_default());
        line(
            "correlation",
            &call.text("correlationId").unwrap_or_default(),
        );
        if call.redrives() > 0 {
            line(
                "redrives",
                &format!("{} before this letter", call.redrives()),
            );
        }
    }
    if let Some((partition, offset)) = &head.source {
        let stream = head.stream_id.as_deref().unwrap_or("the stream of calls");
        line(
            "stood on",
            &format!("{stream}, partition {partition}, offset {offset}"),
        );
    }
    let messages = text::count(u64::from(letter.parts), "message", "messages");
    line("letter at", &format!("{}, {messages}", letter.position));
    line("redriven", redriven_at.as_deref().unwrap_or("no"));
    write_attempts(&mut page, &head.attempts);
    match call {
        Ok(call) => write_call(&mut page, &call),
        Err(problem) => {
            let _ = writeln!(page, "\nRecord: {}", text::line(&problem, LINE_CHARS_MAX));
            write_content(&mut page, &Content::new(letter.record.clone()));
        }
    }
    page
}

fn write_attempts(page: &mut String, attempts: &[Attempt]) {
    if attempts.is_empty() {
        page.push_str("\nAttempts: none is known\n");
        return;
    }
    let mut table = Table::new(&["ATTEMPT", "AT", "STATUS", "RESPONSE BEGINS"]);
    for attempt in attempts.iter().take(SHOWN_LINES_MAX) {
        let status = match attempt.status {
            Some(status) => status.to_string(),
            None => "no answer".to_owned(),
        };
        let excerpt = match &attempt.excerpt {
            Some(Content::Text(text)) => text.clone(),
            Some(Content::Binary(bytes)) => format!("({} bytes, binary)", bytes.len()),
            None => match &attempt.gateway {
                Some(said) => format!("(the gateway) {said}"),
                None => String::new(),
            },
        };
        table.add(&[&attempt.number.to_string(), &attempt.at, &status, &excerpt]);
    }
    let _ = write!(page, "\n{table}");
    write_rest(page, attempts.len(), "attempts");
}

fn write_call(page: &mut String, call: &Call<'_>) {
    let headers = call.headers();
    page.push_str(if headers.is_empty() {
        "\nHeaders: none\n"
    } else {
        "\nHeaders\n"
    });
    for (name, value) in headers.iter().take(SHOWN_LINES_MAX) {
        let value = match value {
            Content::Text(text) => text.clone(),
            Content::Binary(bytes) => format!("base64 {}", BASE64.encode(bytes)),
        };
        let header = text::line(&format!("{name}: {value}"), LINE_CHARS_MAX);
        let _ = writeln!(page, "  {header}");
    }
    write_rest(page, headers.len(), "headers");
    match call.body() {
        None => page.push_str("\nBody: none\n"),
        Some(body) => {
            page.push_str("\nBody: ");
            write_content(page, &body);
        }
    }
}

fn write_content(page: &mut String, content: &Content) {
    let bytes =
        |count: usize| text::count(u64::try_from(count).unwrap_or(u64::MAX), "byte", "bytes");
    let text = match content {
        Content::Binary(binary) => {
            let _ = writeln!(
                page,
                "{}, binary; --json gives it in base64",
                bytes(binary.len())
            );
            return;
        }
        Content::Text(text) => text,
    };
    let _ = writeln!(page, "{}", bytes(text.len()));
    for line in text::lines(text, SHOWN_TEXT_CHARS_MAX).lines() {
        let _ = writeln!(page, "  {line}");
    }
    if text.chars().nth(SHOWN_TEXT_CHARS_MAX).is_some() {
        page.push_str("  (cut here; --json gives all of it)\n");
    }
}

fn write_rest(page: &mut String, count: usize, what: &str) {
    let rest = count.saturating_sub(SHOWN_LINES_MAX);
    if rest > 0 {
        let _ = writeln!(page, "  and {rest} more {what}; --json gives all of them");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead::letter::{Entry, Position};

    fn page(json: &str) -> String {
        let position = Position {
            partition: 0,
            offset: 3,
        };
        let Entry::Letter(letter) = Entry::parse(json.as_bytes(), position, None) else {
            panic!("something else")
        };
        for_people(&letter, None)
    }

    #[test]
    fn nothing_of_a_letter_reaches_the_terminal_unescaped() {
        let evil = r"\u001b[2J\u009b\u202e";
        let page = page(&format!(
            r#"{{"id":"{evil}","reason":"{evil}","detail":"{evil}","streamId":"{evil}",
            "partition":"{evil}","offset":1,"attempts":[{{"at":"{evil}","excerpt":"{evil}"}}],
            "call":{{"method":"{evil}","path":"{evil}","route":"{evil}","acceptedAt":"{evil}",
            "correlationId":"{evil}","headers":[["{evil}","{evil}"]],"body":"{evil}\n{evil}"}}}}"#
        ));
        assert!(!page.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{page}");
        assert_eq!(page.matches("[2J").count(), 16, "{page}");
    }

    #[test]
    fn binary_and_long_bodies_are_said_to_be() {
        let binary = page(r#"{"id":"c","call":{"bodyBase64":"/wA="}}"#);
        assert!(binary.contains("Body: 2 bytes, binary; --json"), "{binary}");
        let long = "x".repeat(SHOWN_TEXT_CHARS_MAX + 1);
        let long = page(&format!(r#"{{"id":"c","call":{{"body":"{long}"}}}}"#));
        assert!(
            long.contains("cut here") && long.len() < SHOWN_TEXT_CHARS_MAX + 500,
            "{long}"
        );
        let rubbish = page(r#"{"id":"c","recordBase64":"cnViYmlzaA=="}"#);
        assert!(
            rubbish.contains("not a JSON object") && rubbish.contains("  rubbish"),
            "{rubbish}"
        );
    }
}
