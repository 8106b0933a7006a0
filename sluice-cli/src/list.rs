//! `sluice dead list`.

use std::io::Write;

use serde::Serialize;

use crate::call::Call;
use crate::dead::filter::Filter;
use crate::dead::letter::{Letter, Position};
use crate::dead::parts::Incomplete;
use crate::dead::{DeadStream, Found, Survey};
use crate::destination::{Configured, Destination};
use crate::failure::Failure;
use crate::json::Document;
use crate::limits::{LIST_ROWS_MAX, NAMED_MAX, ROW_TEXT_CHARS_MAX};
use crate::moment;
use crate::progress::Progress;
use crate::table::Table;
use crate::text;

/// The options of `list`.
#[derive(Debug)]
pub struct ListOptions {
    /// Which letters are listed.
    pub filter: Filter,
    /// Whether redriven letters are listed too.
    pub all: bool,
    /// Whether the output is JSON, for programs.
    pub json: bool,
    /// The stream to which `redrive` would put calls back.
    pub stream: Configured,
}

/// A line of the list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: String,
    dead_at: Option<String>,
    reason: String,
    detail: String,
    attempts: u64,
    last_status: Option<u64>,
    method: Option<String>,
    target: Option<String>,
    route: Option<String>,
    /// The stream of the call, as the letter says.
    stream_id: Option<String>,
    /// Where `redrive` would put the call; `None` if a person has to decide.
    destination: Option<String>,
    partition: String,
    offset: u64,
    parts: u32,
    redriven_at: Option<String>,
    #[serde(skip)]
    order: (Option<jiff::Timestamp>, Position),
}

#[derive(Debug, Default)]
struct List {
    rows: Vec<Row>,
    matched: u64,
    hidden: u64,
    unreadable: Vec<(Position, String)>,
    unreadable_count: u64,
    incomplete: Vec<Incomplete>,
}

/// Lists letters, oldest first.
///
/// # Errors
/// [`Failure`]; [`Failure::Nothing`] if no letter matches.
pub fn list(
    dead: &DeadStream<'_>,
    options: &ListOptions,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let list = gather(dead, options)?;
    if options.json {
        write_json(&list, out)?;
    } else {
        write_table(&list, options, out)?;
    }
    if list.matched > 0 {
        return Ok(());
    }
    Err(Failure::Nothing(match list.hidden {
        0 => "no dead letter matches".to_owned(),
        hidden => format!(
            "no dead letter matches but {} redriven already, which --all shows",
            text::count(hidden, "letter", "letters")
        ),
    }))
}

fn gather(dead: &DeadStream<'_>, options: &ListOptions) -> Result<List, Failure> {
    let mut progress = Progress::start();
    let survey = Survey::take(dead, &mut progress)?;
    let mut list = List {
        incomplete: survey.incomplete().collect(),
        ..List::default()
    };
    if survey.beyond() > 0 {
        let parts = text::count(survey.beyond(), "part", "parts");
        progress.say(&format!(
            "too many letters in several messages: {parts} are left out"
        ));
    }
    survey.visit(dead, &mut |found| {
        match found {
            Found::Unreadable(position, problem) => {
                list.unreadable_count = list.unreadable_count.saturating_add(1);
                if list.unreadable.len() < NAMED_MAX {
                    list.unreadable
                        .push((position, text::line(&problem, ROW_TEXT_CHARS_MAX)));
                }
            }
            Found::Letter(letter) if options.filter.matches(&letter) => {
                let redriven_at = survey.redriven_at(&letter);
                if redriven_at.is_some() && !options.all {
                    list.hidden = list.hidden.saturating_add(1);
                } else {
                    list.matched = list.matched.saturating_add(1);
                    if list.rows.len() < LIST_ROWS_MAX {
                        let redriven_at = redriven_at.map(moment::exact);
                        list.rows.push(row(&letter, redriven_at, &options.stream));
                    }
                }
            }
            Found::Letter(_) => {}
        }
        progress.show(|| {
            let letters = text::count(list.matched, "dead letter", "dead letters");
            format!("found {letters}")
        });
        Ok(())
    })?;
    list.rows.sort_by_key(|row| row.order);
    Ok(list)
}

fn row(letter: &Letter, redriven_at: Option<String>, stream: &Configured) -> Row {
    let clip = |text: &str| text::clip(text, ROW_TEXT_CHARS_MAX);
    let call = Call::parse(&letter.record).ok();
    let (head, position) = (&letter.head, letter.position);
    let destination = match stream.of(head.stream_id.as_deref()) {
        Destination::Stream(stream) => Some(stream.to_owned()),
        Destination::Unclear(_) => None,
    };
    Row {
        id: head.id.clone(),
        dead_at: head.dead_at.map(moment::exact),
        reason: clip(&head.reason),
        detail: clip(&head.detail),
        attempts: head.attempt_count(),
        last_status: head.last_status(),
        method: call.as_ref().map(|call| clip(&call.method())),
        target: call.as_ref().map(|call| clip(&call.target())),
        route: call
            .as_ref()
            .and_then(|call| call.text("route"))
            .map(|route| clip(&route)),
        stream_id: head.stream_id.as_deref().map(clip),
        destination,
        partition: position.partition.to_string(),
        offset: position.offset,
        parts: letter.parts,
        redriven_at,
        order: (head.dead_at, position),
    }
}

/// Returns all columns, or all but the one that says when a letter was redriven.
fn columns(cells: [&str; 8], all: bool) -> Vec<&str> {
    let shown = |(place, cell)| (all || place != 5).then_some(cell);
    cells.into_iter().enumerate().filter_map(shown).collect()
}

fn write_table(list: &List, options: &ListOptions, out: &mut dyn Write) -> Result<(), Failure> {
    let titles = [
        "ID",
        "DEAD SINCE",
        "REASON",
        "ATTEMPTS",
        "STATUS",
        "REDRIVEN",
        "GOES BACK TO",
        "CALL",
    ];
    if !list.rows.is_empty() {
        let mut table = Table::new(&columns(titles, options.all));
        for row in &list.rows {
            let time = |time: Option<&String>| {
                let moment = time.and_then(|time| moment::parse(time));
                moment.map(moment::rough).unwrap_or_default()
            };
            let status = row
                .last_status
                .map(|status| status.to_string())
                .unwrap_or_default();
            let call = match (&row.method, &row.target) {
                (Some(method), Some(target)) => format!("{method} {target}"),
                _ => "(the record is not a JSON object)".to_owned(),
            };
            let stood_on = row.stream_id.as_deref().unwrap_or_default();
            let unclear = || format!("needs --stream (stood on {stood_on})");
            let destination = row.destination.clone().unwrap_or_else(unclear);
            table.add(&columns(
                [
                    &row.id,
                    &time(row.dead_at.as_ref()),
                    &row.reason,
                    &row.attempts.to_string(),
                    &status,
                    &time(row.redriven_at.as_ref()),
                    &destination,
                    &call,
                ],
                options.all,
            ));
        }
        writeln!(out, "{table}")?;
    }
    write_oddities(list, options, out)?;
    writeln!(out, "{}", summary(list))?;
    Ok(out.flush()?)
}

/// Writes what isn't a letter, or isn't complete yet. It is left out if a filter asks for certain
/// letters.
fn write_oddities(list: &List, options: &ListOptions, out: &mut dyn Write) -> Result<(), Failure> {
    if !options.filter.is_empty() {
        return Ok(());
    }
    for (position, problem) in &list.unreadable {
        writeln!(out, "unreadable: {position}: {problem}")?;
    }
    for incomplete in list.incomplete.iter().take(NAMED_MAX) {
        let Incomplete { id, found, parts } = incomplete;
        let id = text::line(id, usize::MAX);
        writeln!(
            out,
            "incomplete: {id}: {found} of its {parts} messages are there"
        )?;
    }
    Ok(())
}

fn summary(list: &List) -> String {
    let mut notes = Vec::new();
    let held = u64::try_from(list.rows.len()).unwrap_or(u64::MAX);
    if held < list.matched {
        notes.push(format!(
            "only {} are shown: ask for fewer by filters",
            list.rows.len()
        ));
    }
    if list.hidden > 0 {
        notes.push(format!(
            "{} redriven already: --all shows them",
            text::count(list.hidden, "more is", "more are")
        ));
    }
    if list.unreadable_count > 0 {
        notes.push(text::count(
            list.unreadable_count,
            "unreadable message",
            "unreadable messages",
        ));
    }
    if !list.incomplete.is_empty() {
        let count = u64::try_from(list.incomplete.len()).unwrap_or(u64::MAX);
        notes.push(text::count(
            count,
            "incomplete letter",
            "incomplete letters",
        ));
    }
    let letters = text::count(list.matched, "dead letter", "dead letters");
    if notes.is_empty() {
        letters
    } else {
        format!("{letters} ({})", notes.join("; "))
    }
}

fn write_json(list: &List, out: &mut dyn Write) -> std::io::Result<()> {
    let mut document = Document::begin(out)?;
    document.begin_list("letters")?;
    for row in &list.rows {
        document.item(row)?;
    }
    document.end_list()?;
    document.begin_list("unreadable")?;
    for (Position { partition, offset }, problem) in &list.unreadable {
        document.item(&serde_json::json!({
            "partition": partition.to_string(), "offset": offset, "problem": problem
        }))?;
    }
    document.end_list()?;
    document.begin_list("incomplete")?;
    for Incomplete { id, found, parts } in list.incomplete.iter().take(NAMED_MAX) {
        document.item(&serde_json::json!({ "id": id, "found": found, "parts": parts }))?;
    }
    document.end_list()?;
    document.member(
        "counts",
        &serde_json::json!({
            "letters": list.matched,
            "redrivenHidden": list.hidden,
            "unreadable": list.unreadable_count,
            "incomplete": list.incomplete.len(),
        }),
    )?;
    document.end()
}
