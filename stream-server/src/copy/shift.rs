//! Finds which of the source's messages the copy begins with, if the beginning of either is gone.

use std::collections::VecDeque;

use jiff::Timestamp;
use sluice_cli::stream::Message;

use super::error::CopyError;
use super::job::Job;
use super::limits::{CLOCKS_APART_MAX, WINDOW_COUNT};
use super::sums::fingerprint;
use super::walk::{Source, Walk};

/// How many messages to skip, so that both ends go on with the same one. One of them is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shift {
    pub(super) source: u64,
    pub(super) copy: u64,
}

type Print = [u8; 16];

/// Finds the place behind which the source isn't copied yet by the last messages of the copy.
/// Messages can be alike, so the place must be the only one: a wrong one would lose or repeat some.
/// A message that is younger than its copy is no place, and neither is one that the copy would have
/// begun before: as long as a copy has its offset 0, it begins with the oldest message that the
/// source had, and the source has none that is older.
pub(super) fn find_shift(
    copy: &mut Walk<'_>,
    source: &mut Source<'_>,
    job: &Job,
) -> Result<Result<Shift, &'static str>, CopyError> {
    let mut last = Window::default();
    let is_whole = copy.peek()? == Some(0);
    while let Some(message) = copy.next()? {
        job.check()?;
        last.push(print(&message), message.stored_at);
    }
    let mut places = Places::new(&last, is_whole);
    while let Some(message) = source.next_surely()? {
        job.check()?;
        places.look(print(&message), message.stored_at);
    }
    Ok(places.shift())
}

fn print(message: &Message) -> Print {
    fingerprint(message.key.as_deref(), &message.value)
}

/// The latest messages.
#[derive(Debug, Default)]
struct Window {
    prints: VecDeque<Print>,
    count: u64,
    /// When the last one was stored.
    stored_at: Option<Timestamp>,
}

impl Window {
    fn push(&mut self, print: Print, stored_at: Option<Timestamp>) {
        self.stored_at = stored_at;
        self.count = self.count.saturating_add(1);
        self.prints.push_back(print);
        if self.prints.len() > WINDOW_COUNT {
            self.prints.pop_front();
        }
    }
}

/// Where the source has the last messages of the copy.
struct Places<'a> {
    wanted: &'a Window,
    /// The copy's first message has the offset 0.
    is_whole: bool,
    seen: Window,
    found: Vec<u64>,
}

impl<'a> Places<'a> {
    fn new(wanted: &'a Window, is_whole: bool) -> Self {
        Self {
            wanted,
            is_whole,
            seen: Window::default(),
            found: Vec::new(),
        }
    }

    fn look(&mut self, print: Print, stored_at: Option<Timestamp>) {
        self.seen.push(print, stored_at);
        let length = self.wanted.prints.len();
        let skipped = self.seen.prints.len().checked_sub(length);
        let is_there = skipped.is_some_and(|skipped| {
            let latest = self.seen.prints.iter().skip(skipped);
            latest.eq(self.wanted.prints.iter())
        });
        let copied_at = self.wanted.stored_at;
        let is_younger = stored_at
            .zip(copied_at)
            .is_some_and(|(source, copy)| source.duration_since(copy) > CLOCKS_APART_MAX);
        let is_too_late = self.is_whole && self.seen.count > self.wanted.count;
        // Two are as bad as more.
        if is_there && !is_younger && !is_too_late && self.found.len() < 2 {
            self.found.push(self.seen.count);
        }
    }

    fn shift(&self) -> Result<Shift, &'static str> {
        match *self.found.as_slice() {
            [behind] => Ok(Shift {
                source: behind.saturating_sub(self.wanted.count),
                copy: self.wanted.count.saturating_sub(behind),
            }),
            [] => Err("the source doesn't have its last messages"),
            [_, ..] => Err(
                "its last messages are several times at the source, whose oldest ones are gone, so \
                 that nobody can tell where to go on",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: usize) -> Option<Timestamp> {
        Timestamp::from_second(i64::try_from(second).unwrap()).ok()
    }

    /// The source got its messages at the seconds 0, 1 and so on, and the copy later.
    fn shift_of(copy: &str, source: &str, is_whole: bool) -> Result<Shift, &'static str> {
        let prints = |text: &str| text.bytes().map(|byte| [byte; 16]).collect::<Vec<_>>();
        let mut last = Window::default();
        for print in prints(copy) {
            last.push(print, at(100));
        }
        let mut places = Places::new(&last, is_whole);
        for (second, print) in prints(source).into_iter().enumerate() {
            places.look(print, at(second));
        }
        places.shift()
    }

    fn shift(copy: &str, source: &str) -> Result<Shift, &'static str> {
        shift_of(copy, source, false)
    }

    #[test]
    fn the_last_messages_tell_where_a_copy_goes_on() {
        let is = |source, copy| Ok(Shift { source, copy });
        assert_eq!(shift("abc", "abcde"), is(0, 0));
        assert_eq!(shift("cd", "abcde"), is(2, 0));
        let long = |range: std::ops::Range<u8>| range.map(char::from).collect::<String>();
        assert_eq!(shift(&long(20..90), &long(30..100)), is(0, 10));
        assert_eq!(shift(&long(30..90), &long(20..100)), is(10, 0));
    }

    #[test]
    fn a_place_that_is_not_the_only_one_is_none() {
        assert!(shift("a", "aab").is_err_and(|problem| problem.contains("several times")));
        assert!(shift("x", "abc").is_err_and(|problem| problem.contains("doesn't have")));
        assert!(shift("abc", "bc").is_err());
    }

    #[test]
    fn what_the_copy_cannot_end_with_is_no_place() {
        // The copy would have begun with the source's b.
        assert!(shift_of("a", "ba", true).is_err());
        // A later message that is alike.
        let later = format!("{}a", "b".repeat(170));
        assert!(shift("a", &later).is_err());
        assert_eq!(
            shift("a", &format!("a{later}")),
            Ok(Shift { source: 0, copy: 0 })
        );
    }
}
