//! `sluice dead redrive`: letters become calls on their stream again.
//!
//! A batch is put on the stream. Once that is acknowledged, its marks are put on the dead stream.
//! So after a crash in between, at most one batch is repeated, and no call is lost.

mod batch;
mod pace;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Instant;

use jiff::Timestamp;

use crate::dead::filter::Filter;
use crate::dead::letter::Letter;
use crate::dead::{DeadStream, Found, Survey};
use crate::destination::{Configured, Destination};
use crate::failure::Failure;
use crate::limits::{LINE_CHARS_MAX, QUESTIONS_MAX};
use crate::stream::is_stream_id;
use crate::text;
use batch::{Batch, Item};
pub use pace::Pace;
pub use report::Counts;
use report::Report;

/// The options of `redrive`.
#[derive(Debug)]
pub struct RedriveOptions {
    /// Which letters are redriven.
    pub filter: Filter,
    /// Whether to only say what would be done.
    pub dry_run: bool,
    /// Whether letters that were redriven before are redriven again.
    pub again: bool,
    /// How fast.
    pub pace: Pace,
    /// Whether the output is JSON, for programs.
    pub json: bool,
    /// The stream to which calls go.
    pub stream: Configured,
}

/// Asks a person; `None` if nobody can be asked.
pub type Ask<'a> = &'a mut dyn FnMut(&str) -> Option<bool>;

struct Redrive<'a> {
    dead: &'a DeadStream<'a>,
    options: &'a RedriveOptions,
    ask: Ask<'a>,
    /// The answers for streams that letters name.
    answers: BTreeMap<String, bool>,
    survey: &'a Survey,
    report: Report<'a>,
    batch: Batch,
    started: Instant,
    sent: u64,
    /// Requested ids that were found, whatever happened to them.
    met: BTreeSet<String>,
}

/// Puts calls back on their stream.
///
/// # Errors
/// [`Failure`]; [`Failure::Nothing`] if no letter matches.
pub fn redrive(
    dead: &DeadStream<'_>,
    options: &RedriveOptions,
    ask: Ask<'_>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut report = Report::begin(options.json, options.dry_run, out)?;
    let survey = match Survey::take(dead, &mut report.progress) {
        Ok(survey) => survey,
        Err(error) => {
            report.end(Some(&error.to_string()))?;
            return Err(error.into());
        }
    };
    let mut redrive = Redrive {
        dead,
        options,
        ask,
        answers: BTreeMap::new(),
        survey: &survey,
        report,
        batch: Batch::default(),
        started: Instant::now(),
        sent: 0,
        met: BTreeSet::new(),
    };
    let visited = survey.visit(dead, &mut |found| match found {
        Found::Letter(letter) => redrive.consider(&letter),
        Found::Unreadable(..) => Ok(()),
    });
    let outcome = visited
        .and_then(|()| redrive.flush())
        .and_then(|()| redrive.name_incomplete());
    let missing: Vec<String> = missing(&options.filter.ids, &redrive.met);
    let outcome = outcome.and_then(|()| judge(redrive.report.counts, &missing));
    let problem = outcome.as_ref().err().map(Failure::to_string);
    redrive.report.end(problem.as_deref())?;
    outcome
}

impl Redrive<'_> {
    fn consider(&mut self, letter: &Letter) -> Result<(), Failure> {
        if !self.options.filter.matches(letter) {
            return Ok(());
        }
        if !self.options.filter.ids.is_empty() {
            self.met.insert(letter.head.id.clone());
        }
        if self.survey.redriven_at(letter).is_some() && !self.options.again {
            self.report.redriven_before();
            return Ok(());
        }
        let stream = self.destination(letter);
        let item = match stream.and_then(|to| Item::prepare(letter, &to, Timestamp::now())) {
            Ok(item) => item,
            Err(problem) => {
                let (id, position) = (&letter.head.id, Some(letter.position));
                return Ok(self.report.not_redrivable(id, position, &problem)?);
            }
        };
        if self.options.dry_run {
            return Ok(self.report.would_redrive(&item)?);
        }
        if !self
            .batch
            .has_room_for(&item, self.options.pace.batch_count())
        {
            self.flush()?;
        }
        self.batch.add(item);
        Ok(())
    }

    /// Returns the stream to which the call of a letter goes, or why it goes nowhere.
    fn destination(&mut self, letter: &Letter) -> Result<String, String> {
        let stood_on = match self.options.stream.of(letter.head.stream_id.as_deref()) {
            Destination::Stream(stream) => return Ok(stream.to_owned()),
            Destination::Unclear(stood_on) => stood_on,
        };
        let ours = self.options.stream.stream();
        if !is_stream_id(stood_on) {
            return Err(format!(
                "its letter names a stream that can't be one; --stream {ours} puts it there"
            ));
        }
        if self.may_go_to(stood_on, &letter.head.id) {
            return Ok(stood_on.to_owned());
        }
        Err(format!(
            "its letter names the stream {stood_on}, and calls go to {ours}: name the right one of \
             them with --stream"
        ))
    }

    /// Returns whether a person agrees that calls go to a stream that letters name. The question is
    /// asked once for each stream.
    fn may_go_to(&mut self, stream: &str, id: &str) -> bool {
        if let Some(answer) = self.answers.get(stream) {
            return *answer;
        }
        if self.options.dry_run || self.options.json || self.answers.len() >= QUESTIONS_MAX {
            return false;
        }
        self.report.progress.wipe();
        let question = format!(
            "the letter of {} names the stream {stream}. Put its call there, and those of all \
             others that name it?",
            text::line(id, LINE_CHARS_MAX)
        );
        let answer = (self.ask)(&question).unwrap_or(false);
        self.answers.insert(stream.to_owned(), answer);
        answer
    }

    /// Sends the calls that have gathered.
    fn flush(&mut self) -> Result<(), Failure> {
        let batch = std::mem::take(&mut self.batch);
        if batch.items().is_empty() {
            return Ok(());
        }
        std::thread::sleep(self.options.pace.wait(self.sent, self.started.elapsed()));
        let sent = batch.send(self.dead.client, self.dead.id, Timestamp::now());
        self.sent = self
            .sent
            .saturating_add(u64::try_from(sent.outcomes.len()).unwrap_or(0));
        for (item, outcome) in batch.items().iter().zip(&sent.outcomes) {
            self.report.sent(item, outcome)?;
        }
        let counts = self.report.counts;
        self.report.progress.show(|| {
            format!(
                "redriving: {} put back",
                text::count(counts.redriven, "call", "calls")
            )
        });
        sent.fatal.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Names letters some of whose messages are missing. Only filters by id apply to them.
    fn name_incomplete(&mut self) -> Result<(), Failure> {
        let filter = &self.options.filter;
        let ids_alone = Filter {
            ids: filter.ids.clone(),
            ..Filter::default()
        };
        if *filter != ids_alone {
            return Ok(());
        }
        for incomplete in self.survey.incomplete() {
            let id = &incomplete.id;
            if filter.ids.is_empty() || filter.ids.contains(id) {
                self.met.insert(id.clone());
                let (found, parts) = (incomplete.found, incomplete.parts);
                let problem = format!("only {found} of its {parts} messages are there");
                self.report.not_redrivable(id, None, &problem)?;
            }
        }
        Ok(())
    }
}

fn missing(asked: &[String], met: &BTreeSet<String>) -> Vec<String> {
    let missing = asked.iter().filter(|id| !met.contains(*id));
    missing.map(|id| text::line(id, LINE_CHARS_MAX)).collect()
}

fn judge(counts: Counts, missing: &[String]) -> Result<(), Failure> {
    let Counts {
        redriven,
        unmarked,
        failed,
        not_redrivable,
        redriven_before,
    } = counts;
    if failed > 0 || unmarked > 0 {
        return Err(Failure::Failed(
            "not everything went well; run the same command again for what was not put back"
                .to_owned(),
        ));
    }
    if redriven == 0 && not_redrivable > 0 {
        return Err(Failure::Failed(
            "nothing was put back: what matches can't be redriven; sluice dead show ID shows it"
                .to_owned(),
        ));
    }
    if redriven == 0 && redriven_before > 0 {
        return Err(Failure::Nothing(
            "nothing to do: what matches was redriven before; --again repeats it".to_owned(),
        ));
    }
    if redriven == 0 {
        return Err(Failure::Nothing(
            "no dead letter matches; sluice dead list shows what there is".to_owned(),
        ));
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "no dead letter matches with the id {}; sluice dead list --all shows all ids",
        missing.join(", ")
    )))
}
