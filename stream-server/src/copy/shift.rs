//! Finds which of the source's messages the copy begins with, if the beginning of either is gone.

use std::collections::VecDeque;

use super::error::CopyError;
use super::job::Job;
use super::limits::WINDOW_COUNT;
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
pub(super) fn find_shift(
    copy: &mut Walk<'_>,
    source: &mut Source<'_>,
    job: &Job,
) -> Result<Result<Shift, &'static str>, CopyError> {
    let mut last = Window::default();
    while let Some(message) = copy.next()? {
        job.check()?;
        last.push(fingerprint(message.key.as_deref(), &message.value));
    }
    let mut places = Places::new(&last);
    while let Some(message) = source.next()? {
        job.check()?;
        places.look(fingerprint(message.key.as_deref(), &message.value));
    }
    Ok(places.shift())
}

/// The latest messages.
#[derive(Debug, Default)]
struct Window {
    prints: VecDeque<Print>,
    count: u64,
}

impl Window {
    fn push(&mut self, print: Print) {
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
    seen: Window,
    found: Vec<u64>,
}

impl<'a> Places<'a> {
    fn new(wanted: &'a Window) -> Self {
        Self {
            wanted,
            seen: Window::default(),
            found: Vec::new(),
        }
    }

    fn look(&mut self, print: Print) {
        self.seen.push(print);
        let length = self.wanted.prints.len();
        let skipped = self.seen.prints.len().checked_sub(length);
        let is_there = skipped.is_some_and(|skipped| {
            let latest = self.seen.prints.iter().skip(skipped);
            latest.eq(self.wanted.prints.iter())
        });
        // Two are as bad as more.
        if is_there && self.found.len() < 2 {
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

    fn shift(copy: &str, source: &str) -> Result<Shift, &'static str> {
        let prints = |text: &str| text.bytes().map(|byte| [byte; 16]).collect::<Vec<_>>();
        let mut last = Window::default();
        prints(copy).into_iter().for_each(|print| last.push(print));
        let mut places = Places::new(&last);
        prints(source)
            .into_iter()
            .for_each(|print| places.look(print));
        places.shift()
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
}
