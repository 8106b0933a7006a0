//! Tables for people.

use std::fmt;

use crate::limits::CELL_CHARS_MAX;
use crate::text;

/// A table: columns as wide as their widest cell, two spaces apart. What goes in is escaped.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Returns a table with a line of titles.
    #[must_use]
    pub fn new(titles: &[&str]) -> Self {
        let titles = titles.iter().map(|title| (*title).to_owned()).collect();
        Self { rows: vec![titles] }
    }

    /// Adds a line; an empty cell is shown as `-`.
    pub fn add(&mut self, cells: &[&str]) {
        let cell = |cell: &&str| match *cell {
            "" => "-".to_owned(),
            cell => text::line(cell, CELL_CHARS_MAX),
        };
        self.rows.push(cells.iter().map(cell).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:<width$}  "));
            }
            writeln!(formatter, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let mut table = Table::new(&["ID", "CALL"]);
        table.add(&["größer", "GET /"]);
        table.add(&["", "a\u{1b}[2J\nb"]);
        assert_eq!(
            table.to_string(),
            "ID      CALL\ngrößer  GET /\n-       a\\u{1b}[2J\\nb\n"
        );
    }
}
