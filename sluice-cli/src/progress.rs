//! A line on standard error that shows how far long work has come, if a person watches.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// The least time between two changes of the line.
const INTERVAL: Duration = Duration::from_millis(100);

/// The line. It is wiped when the value is dropped.
#[derive(Debug)]
pub struct Progress {
    watched: bool,
    shown: bool,
    next: Instant,
}

impl Progress {
    /// Starts the line. Nothing is shown if standard error is not a terminal, or in the first
    /// moment.
    #[must_use]
    pub fn start() -> Self {
        Self {
            watched: std::io::stderr().is_terminal(),
            shown: false,
            next: Instant::now() + INTERVAL.saturating_mul(5),
        }
    }

    /// Shows a text, if it is time.
    pub fn show(&mut self, text: impl FnOnce() -> String) {
        if !self.watched || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + INTERVAL;
        self.shown = true;
        // Nothing is lost if this can't be written.
        let _ = write!(std::io::stderr(), "\r\u{1b}[K{}", text());
    }

    /// Wipes the line, so that something else can be printed.
    pub fn wipe(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }

    /// Prints a line that stays.
    pub fn say(&mut self, line: &str) {
        self.wipe();
        let _ = writeln!(std::io::stderr(), "sluice: {line}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.wipe();
    }
}
