//! Copies one partition.
//!
//! The destination itself tells how far an earlier copy has come: its messages are compared with
//! the source's one by one, and the copy goes on behind the last. So there is no other memory that
//! could be lost, be late or belong to another copy.

use std::thread;
use std::time::{Duration, Instant};

use sluice_cli::limits::BACKOFF;
use sluice_cli::stream::{Message, Piece, StreamClient, StreamError};

use super::copied::{Copied, Skipped};
use super::error::CopyError;
use super::job::{Job, Task};
use super::limits::{BATCH_COUNT_MAX, TRIES_MAX, VISIBLE_WITHIN};
use super::offsets::OffsetMap;
use super::shift::{Shift, find_shift};
use super::sums::Sums;
use super::walk::{Oddities, Source, Walk};
use crate::limits::REQUEST_BYTES_MAX;

/// A partition that is being copied.
pub(super) struct PartitionCopy<'a> {
    job: &'a Job,
    task: &'a Task,
    from: &'a StreamClient,
    to: &'a StreamClient,
    source: Source<'a>,
    copy: Walk<'a>,
    offsets: OffsetMap,
    at_source: Sums,
    at_copy: Sums,
    copied: u64,
    skipped: Skipped,
    /// Whether the source may have lost messages that the destination has.
    may_be_the_last: bool,
}

impl<'a> PartitionCopy<'a> {
    pub(super) fn new(
        job: &'a Job,
        task: &'a Task,
        (from, to): (&'a StreamClient, &'a StreamClient),
    ) -> Self {
        Self {
            job,
            task,
            from,
            to,
            source: source(job, task, from),
            copy: Walk::new(&job.to, to, (&task.pair.to, task.partition), None),
            offsets: OffsetMap::default(),
            at_source: Sums::default(),
            at_copy: Sums::default(),
            copied: 0,
            skipped: Skipped::default(),
            may_be_the_last: false,
        }
    }

    /// Compares what an earlier copy has left.
    pub(super) fn begin(&mut self) -> Result<(), CopyError> {
        let Some(first_copy) = self.copy.peek()? else {
            return Ok(());
        };
        let mut first = self.source.walk.peek()?;
        if first.is_none() {
            self.source.walk.renew();
            first = self.source.walk.peek()?;
        }
        self.may_be_the_last = first != Some(0);
        let Some(first) = first else {
            return self.skip_all();
        };
        // Nothing was ever removed where the first offset is 0: both begin with the same message.
        if (first, first_copy) != (0, 0) {
            self.skip()?;
        }
        self.compare()
    }

    /// Skips everything that the destination has, because the source has nothing any more.
    fn skip_all(&mut self) -> Result<(), CopyError> {
        while self.skip_one()? {}
        let end = self.source.walk.end();
        if end.is_some_and(|end| end < self.skipped.count) {
            self.may_be_the_last = false;
            return Err(self.refused("it has messages that the source never had"));
        }
        self.skipped.source_end = end;
        Ok(())
    }

    /// Skips a message of the destination. Returns false at the end.
    fn skip_one(&mut self) -> Result<bool, CopyError> {
        let Some(message) = self.copy.next()? else {
            return Ok(false);
        };
        let offset = message.position.offset;
        let first = self.skipped.offsets.map_or(offset, |(first, _)| first);
        self.skipped.offsets = Some((first, offset));
        self.skipped.count = self.skipped.count.saturating_add(1);
        Ok(true)
    }

    /// Skips what only one end still has.
    fn skip(&mut self) -> Result<(), CopyError> {
        let mut copy = self.new_copy_walk(None);
        let mut from = source(self.job, self.task, self.from);
        let found = find_shift(&mut copy, &mut from, self.job)?;
        let Shift { source, copy } = found.map_err(|problem| self.refused(problem))?;
        for _ in 0..source {
            self.source.next()?;
        }
        self.source.oddities = Oddities::default();
        for _ in 0..copy {
            self.skip_one()?;
        }
        Ok(())
    }

    /// Returns the last message that the destination is known to have.
    fn last_copy(&self) -> Option<u64> {
        let compared = self.offsets.last().map(|(_, copy)| copy);
        compared.or(self.skipped.offsets.map(|(_, last)| last))
    }

    /// Forgets what was read ahead.
    pub(super) fn forget_ahead(&mut self) {
        self.source.walk.forget_ahead();
        self.copy.forget_ahead();
    }

    /// Compares what the destination has behind what is compared already.
    pub(super) fn compare(&mut self) -> Result<(), CopyError> {
        while let Some(copy) = self.copy.next()? {
            self.job.check()?;
            let offset = copy.position.offset;
            let Some(message) = self.source.next_surely()? else {
                return Err(self.refused(&format!(
                    "at offset {offset} it has more than the source: somebody publishes there \
                     already"
                )));
            };
            if (&message.key, &message.value) != (&copy.key, &copy.value) {
                let theirs = message.position.offset;
                return Err(self.refused(&format!(
                    "its message at offset {offset} is not the source's at offset {theirs}"
                )));
            }
            self.at_copy.add(copy.key.as_deref(), &copy.value);
            self.note(&message, offset)?;
            self.job.count_compared();
        }
        Ok(())
    }

    /// Returns whether there is something to copy.
    pub(super) fn is_behind(&mut self) -> Result<bool, CopyError> {
        Ok(self.source.walk.peek()?.is_some())
    }

    /// Copies what the source has; at a dry run, counts it.
    pub(super) fn advance(&mut self, is_last: bool) -> Result<(), CopyError> {
        let mut is_sure = !is_last;
        loop {
            self.job.check()?;
            let batch = self.gather()?;
            if batch.is_empty() && is_sure {
                return Ok(());
            }
            is_sure |= batch.is_empty();
            if batch.is_empty() {
                self.source.walk.renew();
                continue;
            }
            if self.job.dry_run {
                let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
                self.copied = self.copied.saturating_add(count);
                self.job.count_copied(batch.len());
                continue;
            }
            self.store(&batch)?;
        }
    }

    /// Returns the next messages that fit into one request.
    fn gather(&mut self) -> Result<Vec<Message>, CopyError> {
        let mut batch = Vec::new();
        let mut bytes = 0_usize;
        while batch.len() < BATCH_COUNT_MAX {
            let Some(message) = self.source.next()? else {
                break;
            };
            let key_bytes = message.key.as_ref().map_or(0, Vec::len);
            bytes = bytes
                .saturating_add(key_bytes)
                .saturating_add(message.value.len());
            if bytes > REQUEST_BYTES_MAX && !batch.is_empty() {
                self.source.take_back(message);
                break;
            }
            batch.push(message);
        }
        Ok(batch)
    }

    /// Stores messages, each once. Whenever the destination hasn't said what it has stored, it is
    /// asked for what it has.
    fn store(&mut self, batch: &[Message]) -> Result<(), CopyError> {
        let mut rest = batch;
        let mut in_vain = 0;
        while !rest.is_empty() {
            let pieces: Vec<Piece<'_>> = rest
                .iter()
                .map(|message| (message.key.as_deref(), message.value.as_slice()))
                .collect();
            let put = self
                .to
                .put_into(&self.task.pair.to, self.task.partition, &pieces);
            let problem = match put {
                Ok(entries) => {
                    let stored: Result<Vec<u64>, String> = entries.into_iter().collect();
                    match stored {
                        Ok(offsets) => return self.note_stored(rest, &offsets),
                        Err(problem) => problem,
                    }
                }
                Err(error) if may_pass(&error) => self.job.to.error(&error).to_string(),
                Err(error) => return Err(self.job.to.error(&error)),
            };
            in_vain += 1;
            thread::sleep(self.job.settle.max(BACKOFF.pause(in_vain)));
            let stored = self.look_for(rest)?;
            if stored > 0 {
                in_vain = 0;
            } else if in_vain >= TRIES_MAX {
                return Err(CopyError::Stream(problem));
            }
            rest = rest.get(stored..).unwrap_or_default();
            self.job.check()?;
        }
        Ok(())
    }

    fn note_stored(&mut self, messages: &[Message], offsets: &[u64]) -> Result<(), CopyError> {
        for (message, offset) in messages.iter().zip(offsets) {
            self.expect(*offset)?;
            self.note(message, *offset)?;
        }
        self.count_copied(messages.len());
        Ok(())
    }

    /// Refuses an offset that doesn't follow the last one.
    fn expect(&self, offset: u64) -> Result<(), CopyError> {
        let expected = self.last_copy().map(|last| last.saturating_add(1));
        match expected {
            Some(expected) if expected != offset => Err(self.refused(&format!(
                "the copy's next message got offset {offset} and not {expected}: somebody else \
                 publishes there, or an interrupted request came later than --settle allows"
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// Looks how many of the messages the destination has behind those that are known.
    fn look_for(&mut self, messages: &[Message]) -> Result<usize, CopyError> {
        let mut walk = self.new_copy_walk(self.last_copy());
        let mut stored = 0;
        while let Some(copy) = walk.next()? {
            let offset = copy.position.offset;
            let expected = messages.get(stored);
            let same = expected.filter(|one| (&one.key, &one.value) == (&copy.key, &copy.value));
            let Some(message) = same else {
                return Err(self.refused(&format!(
                    "after a request that failed, its message at offset {offset} is not the \
                     source's next one: a part of the request was not stored, or somebody else \
                     publishes there"
                )));
            };
            self.note(message, offset)?;
            stored += 1;
        }
        self.count_copied(stored);
        Ok(stored)
    }

    /// Reads back what was copied, and compares count, bytes and digest.
    pub(super) fn verify(&mut self) -> Result<(), CopyError> {
        if self.job.dry_run {
            return Ok(());
        }
        let begun = Instant::now();
        loop {
            while let Some(copy) = self.copy.next()? {
                self.at_copy.add(copy.key.as_deref(), &copy.value);
            }
            if self.at_copy.count >= self.at_source.count || begun.elapsed() >= VISIBLE_WITHIN {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        if self.at_copy.is_same_as(&self.at_source) {
            return Ok(());
        }
        let (source, copy) = (&self.at_source, &self.at_copy);
        Err(self.refused(&format!(
            "{} messages with {} bytes of the source are {} messages with {} bytes there, SHA-256 \
             {} and {}",
            source.count,
            source.bytes,
            copy.count,
            copy.bytes,
            source.digest(),
            copy.digest(),
        )))
    }

    /// Returns what has become of the partition.
    pub(super) fn result(&self) -> Copied {
        Copied {
            task: self.task.clone(),
            offsets: self.offsets.clone(),
            sums: self.at_copy.clone(),
            copied: self.copied,
            skipped: self.skipped,
            oddities: self.source.oddities,
            bound: self.source.bound,
            missed: self.source.walk.missed(),
            reached: self.source.walk.reached(),
        }
    }

    fn note(&mut self, message: &Message, copy: u64) -> Result<(), CopyError> {
        self.at_source.add(message.key.as_deref(), &message.value);
        self.offsets.add(message.position.offset, copy)
    }

    fn count_copied(&mut self, messages: usize) {
        let count = u64::try_from(messages).unwrap_or(u64::MAX);
        self.copied = self.copied.saturating_add(count);
        self.job.count_copied(messages);
    }

    fn new_copy_walk(&self, last: Option<u64>) -> Walk<'a> {
        let place = (self.task.pair.to.as_str(), self.task.partition);
        Walk::new(&self.job.to, self.to, place, last)
    }

    fn refused(&self, problem: &str) -> CopyError {
        let (partition, stream) = (self.task.partition, &self.task.pair.to);
        let advice = match self.may_be_the_last {
            true => {
                "It may have the only copy of messages that the source has lost: keep it, and name \
                 another one"
            }
            false => "Delete that stream and create it anew, or name another one",
        };
        CopyError::Refused(format!(
            "partition {partition} of the destination's {stream} is not a copy: {problem}. Nothing \
             was deleted. {advice}"
        ))
    }
}

fn source<'a>(job: &'a Job, task: &'a Task, from: &'a StreamClient) -> Source<'a> {
    let place = (task.pair.from.as_str(), task.partition);
    let walk = Walk::new(&job.from, from, place, None);
    Source::new(walk, job, task.partition, task.partitions)
}

/// Returns whether the same request may succeed later. What it has stored is looked at.
fn may_pass(error: &StreamError) -> bool {
    match error {
        StreamError::Unanswered { .. } | StreamError::Unreachable { .. } => true,
        StreamError::Refused { status, .. } => *status == 429,
        StreamError::Insecure { .. }
        | StreamError::Unsigned { .. }
        | StreamError::Foreign { .. } => false,
    }
}
