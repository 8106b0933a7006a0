//! The report of a redrive: a line or item for each call, and the counts at the end.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::batch::{Item, Outcome};
use crate::dead::letter::Position;
use crate::json::Document;
use crate::limits::{LINE_CHARS_MAX, NAMED_MAX};
use crate::progress::Progress;
use crate::text;

/// How many calls ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// On their stream again; in a dry run, those that would be.
    pub redriven: u64,
    /// Of these, those without a mark: the next run would repeat them.
    pub unmarked: u64,
    /// Calls that are not on their stream, or of which this is unknown.
    pub failed: u64,
    /// Calls that can't go back: not a JSON object, no valid key, incomplete, or an unclear stream.
    pub not_redrivable: u64,
    /// Calls that were left alone because they were redriven before.
    pub redriven_before: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemJson<'a> {
    id: &'a str,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_partition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
}

/// The report under way.
pub(super) struct Report<'a> {
    out: Output<'a>,
    dry_run: bool,
    named: usize,
    /// How many calls went to each stream.
    streams: BTreeMap<String, u64>,
    pub(super) counts: Counts,
    pub(super) progress: Progress,
}

enum Output<'a> {
    Json(Document<'a>),
    People(&'a mut dyn Write),
}

impl<'a> Report<'a> {
    pub(super) fn begin(json: bool, dry_run: bool, out: &'a mut dyn Write) -> io::Result<Self> {
        let out = if json {
            let mut document = Document::begin(out)?;
            document.begin_list("letters")?;
            Output::Json(document)
        } else {
            Output::People(out)
        };
        let (counts, progress) = (Counts::default(), Progress::start());
        Ok(Self {
            out,
            dry_run,
            named: 0,
            streams: BTreeMap::new(),
            counts,
            progress,
        })
    }

    /// Reports a call of a dry run.
    pub(super) fn would_redrive(&mut self, item: &Item) -> io::Result<()> {
        self.redriven(item);
        self.item(item, "would_redrive", None)?;
        if let Output::People(out) = &mut self.out {
            let line = format!("{}  {}  to {}", item.id, item.call, item.stream);
            writeln!(out, "{}", text::line(&line, LINE_CHARS_MAX))?;
        }
        Ok(())
    }

    /// Reports a call that was sent.
    pub(super) fn sent(&mut self, item: &Item, outcome: &Outcome) -> io::Result<()> {
        match outcome {
            Outcome::Redriven => {
                self.redriven(item);
                self.item(item, "redriven", None)
            }
            Outcome::Unmarked(problem) => {
                self.redriven(item);
                bump(&mut self.counts.unmarked);
                let what = "is back on its stream, but not marked as redriven";
                self.complain(&item.id, &format!("{what}: {problem}"));
                self.item(item, "redriven_unmarked", Some(problem))
            }
            Outcome::Failed(problem) => {
                bump(&mut self.counts.failed);
                self.complain(&item.id, &format!("was not put back: {problem}"));
                self.item(item, "failed", Some(problem))
            }
        }
    }

    fn redriven(&mut self, item: &Item) {
        bump(&mut self.counts.redriven);
        // There are only the streams that a person has agreed to, and the configured one.
        bump(self.streams.entry(item.stream.clone()).or_default());
    }

    /// Reports a call that can't go back.
    pub(super) fn not_redrivable(
        &mut self,
        id: &str,
        position: Option<Position>,
        problem: &str,
    ) -> io::Result<()> {
        bump(&mut self.counts.not_redrivable);
        self.complain(id, &format!("can't be redriven: {problem}"));
        self.write(&ItemJson {
            id,
            outcome: "not_redrivable",
            stream_id: None,
            call: None,
            dead_partition: position.map(|position| position.partition.to_string()),
            dead_offset: position.map(|position| position.offset),
            problem: Some(problem),
        })
    }

    /// Counts a call that was redriven before.
    pub(super) fn redriven_before(&mut self) {
        bump(&mut self.counts.redriven_before);
    }

    /// Ends the report: the counts, and why it ended early, if it did.
    pub(super) fn end(mut self, problem: Option<&str>) -> io::Result<()> {
        self.progress.wipe();
        let (counts, dry_run) = (self.counts, self.dry_run);
        match self.out {
            Output::Json(mut document) => {
                document.end_list()?;
                document.member("dryRun", &dry_run)?;
                document.member("counts", &counts)?;
                document.member("streams", &self.streams)?;
                if let Some(problem) = problem {
                    document.member("problem", &problem)?;
                }
                document.end()
            }
            Output::People(out) => {
                writeln!(out, "{}", counts.sentence(dry_run, &self.streams))?;
                out.flush()
            }
        }
    }

    fn complain(&mut self, id: &str, problem: &str) {
        self.named = self.named.saturating_add(1);
        match self.named {
            named if named <= NAMED_MAX => {
                let line = text::line(&format!("{id} {problem}"), LINE_CHARS_MAX);
                self.progress.say(&line);
            }
            named if named == NAMED_MAX.saturating_add(1) => {
                self.progress
                    .say("there are more; from here on they are only counted");
            }
            _ => {}
        }
    }

    fn item(&mut self, item: &Item, outcome: &str, problem: Option<&str>) -> io::Result<()> {
        self.write(&ItemJson {
            id: &item.id,
            outcome,
            stream_id: Some(&item.stream),
            call: Some(&item.call),
            dead_partition: Some(item.position.partition.to_string()),
            dead_offset: Some(item.position.offset),
            problem,
        })
    }

    fn write(&mut self, item: &ItemJson<'_>) -> io::Result<()> {
        match &mut self.out {
            Output::Json(document) => document.item(item),
            Output::People(_) => Ok(()),
        }
    }
}

impl Counts {
    fn sentence(&self, dry_run: bool, streams: &BTreeMap<String, u64>) -> String {
        let calls = text::count(self.redriven, "call", "calls");
        let to: Vec<String> = match streams.len() {
            1 => streams
                .keys()
                .map(|stream| format!(" on {stream}"))
                .collect(),
            _ => streams
                .iter()
                .map(|(stream, count)| format!(", {count} on {stream}"))
                .collect(),
        };
        let to = to.concat();
        let mut sentence = if dry_run {
            format!("{calls} would be put back{to}; nothing was changed (dry run)")
        } else {
            format!("{calls} put back{to}")
        };
        for (count, what) in [
            (
                self.unmarked,
                "of them not marked, so that another redrive repeats them",
            ),
            (self.failed, "not put back"),
            (self.not_redrivable, "can't be redriven"),
            (self.redriven_before, "left alone: redriven before"),
        ] {
            if count > 0 {
                sentence.push_str(&format!("; {count} {what}"));
            }
        }
        sentence
    }
}

fn bump(count: &mut u64) {
    *count = count.saturating_add(1);
}
