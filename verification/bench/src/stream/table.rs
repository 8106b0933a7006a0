//! The results, and how they are shown.

use std::fmt;

use testkit::figures::median_rate;
use testkit::table::{self, Column};

use super::servers::System;
use crate::gateway::report::number;

/// One cell of one round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) per_second: f64,
    /// Microseconds of the server's processor time for each message.
    pub(super) cpu: f64,
}

impl Measured {
    pub(super) fn rate(per_second: f64) -> Self {
        Self {
            per_second,
            cpu: f64::NAN,
        }
    }
}

#[derive(Debug)]
struct Row {
    what: String,
    who: &'static str,
    /// The results of each round.
    measured: Vec<Measured>,
}

/// All cells, in the order in which they were first measured.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Row>,
}

impl Table {
    pub(super) fn add(&mut self, what: String, who: &'static str, measured: Measured) {
        let row = self.rows.iter_mut();
        match row.rev().find(|row| row.what == what && row.who == who) {
            Some(row) => row.measured.push(measured),
            None => self.rows.push(Row {
                what,
                who,
                measured: vec![measured],
            }),
        }
    }

    /// Returns the median of the ratio, over all rounds, of the stream server's rate to that of
    /// this row.
    fn ratio(&self, row: &Row) -> Option<f64> {
        let ours =
            |other: &&Row| other.what == row.what && other.who == System::StreamServer.name();
        let ours = self.rows.iter().find(ours)?;
        let pairs = ours.measured.iter().zip(&row.measured);
        Some(median_rate(
            pairs
                .map(|(our, its)| our.per_second / its.per_second)
                .collect(),
        ))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds = self.rows.first().map_or(0, |row| row.measured.len());
        writeln!(
            f,
            "\nMedians of {rounds} rounds; processor time of the server in \u{b5}s for each\n"
        )?;
        let columns = ["per second", "CPU", "ours/"].map(Column::right);
        let columns = ["".into(), "".into()].into_iter().chain(columns);
        let mut table = table::Table::with_header(columns);
        let mut what = "";
        for row in &self.rows {
            // The name is shown once, in the first of its rows.
            let name = if row.what == what { "" } else { &row.what };
            what = &row.what;
            let of =
                |get: fn(&Measured) -> f64| median_rate(row.measured.iter().map(get).collect());
            table.row([
                name.into(),
                row.who.into(),
                number(of(|cell| cell.per_second), 0),
                number(of(|cell| cell.cpu), 1),
                number(self.ratio(row).unwrap_or(f64::NAN), 2),
            ]);
        }
        write!(f, "{table}")
    }
}
