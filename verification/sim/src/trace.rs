//! The timeline of a run, line by line. Two runs of one seed write the same bytes.

use std::fmt::Write as _;

/// The most lines of a timeline that are shown.
const SHOWN_MAX: usize = 120;

/// One line.
struct Line {
    at: u64,
    who: String,
    what: String,
}

/// The timeline of a run.
#[derive(Default)]
pub struct Trace(Vec<Line>);

impl Trace {
    /// Adds what happened at this time, in milliseconds from the start.
    pub fn note(&mut self, at: u64, who: impl Into<String>, what: impl Into<String>) {
        let (who, what) = (who.into(), what.into());
        self.0.push(Line { at, who, what });
    }

    /// Returns all lines.
    #[must_use]
    pub fn text(&self) -> String {
        self.shown(|_| true, usize::MAX)
    }

    /// Returns the lines about a call and those about everybody; only the latest if there are many.
    #[must_use]
    pub fn of_call(&self, id: &str) -> String {
        let concerns = |line: &Line| line.who == "everybody" || line.what.contains(id);
        self.shown(concerns, SHOWN_MAX)
    }

    /// Returns the latest lines.
    #[must_use]
    pub fn latest(&self) -> String {
        self.shown(|_| true, SHOWN_MAX)
    }

    fn shown(&self, is_shown: impl Fn(&Line) -> bool, lines_max: usize) -> String {
        let lines: Vec<&Line> = self.0.iter().filter(|line| is_shown(line)).collect();
        let skipped = lines.len().saturating_sub(lines_max);
        let mut text = String::new();
        if skipped > 0 {
            text = format!("  ... {skipped} earlier lines\n");
        }
        for line in lines.into_iter().skip(skipped) {
            let (seconds, millis) = (line.at / 1_000, line.at % 1_000);
            // Writing to a string can't fail.
            let _ = writeln!(
                text,
                "{seconds:>5}.{millis:03}  {:<12} {}",
                line.who, line.what
            );
        }
        text
    }
}

/// Returns a hash of a text: FNV-1a, 64 bits.
#[must_use]
pub fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
