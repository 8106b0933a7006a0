//! Tables of plain text: columns as wide as their content, and no lines.

use std::fmt;

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, ContentArrangement};

/// Spaces before a table, and between its columns.
const GAP: u16 = 2;

/// A table. Numbers are right-aligned, texts left-aligned.
#[derive(Debug)]
pub struct Table(comfy_table::Table);

impl Default for Table {
    fn default() -> Self {
        let mut table = comfy_table::Table::new();
        table
            .load_preset(NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        Self(table)
    }
}

impl Table {
    /// Returns a table without column names.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a table with column names.
    #[must_use]
    pub fn with_header<T: Into<Column>>(columns: impl IntoIterator<Item = T>) -> Self {
        let mut table = Self::default();
        table.0.set_header(cells(columns));
        table
    }

    /// Adds a row.
    pub fn row<T: Into<Column>>(&mut self, columns: impl IntoIterator<Item = T>) {
        self.0.add_row(cells(columns));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = self.0.clone();
        for column in table.column_iter_mut() {
            column.set_padding((GAP, 0));
        }
        writeln!(f, "{}", table.trim_fmt())
    }
}

/// A cell of a row.
#[derive(Clone, Debug)]
pub struct Column {
    text: String,
    is_number: bool,
}

impl From<&str> for Column {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<String> for Column {
    fn from(text: String) -> Self {
        Self {
            text,
            is_number: false,
        }
    }
}

impl Column {
    /// Returns a number, or the name of a column of numbers.
    #[must_use]
    pub fn right(text: impl fmt::Display) -> Self {
        Self {
            text: text.to_string(),
            is_number: true,
        }
    }
}

fn cells<T: Into<Column>>(columns: impl IntoIterator<Item = T>) -> Vec<Cell> {
    let cell = |column: T| {
        let column: Column = column.into();
        let alignment = match column.is_number {
            true => CellAlignment::Right,
            false => CellAlignment::Left,
        };
        Cell::new(column.text).set_alignment(alignment)
    };
    columns.into_iter().map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_their_names() {
        let mut table = Table::with_header(["step".into(), Column::right("passed")]);
        table.row(["format".into(), Column::right(1)]);
        table.row(["a longer name".into(), Column::right(1_234)]);
        assert_eq!(
            table.to_string(),
            "  step           passed\n  format              1\n  a longer name    1234\n"
        );
    }

    #[test]
    fn rows_may_be_of_different_lengths() {
        let mut table = Table::new();
        table.row(["accepted".into(), Column::right(10)]);
        table.row(["lost".into(), Column::right(0), "must be 0".into()]);
        assert_eq!(
            table.to_string(),
            "  accepted  10\n  lost       0  must be 0\n"
        );
    }
}
