//! The table at the end.

use testkit::table::{Column, Table};

use super::runner::Outcome;

/// A step that was run.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) outcome: Outcome,
    pub(super) seconds: f32,
}

/// Prints the table and, as the last line of all, `N passed, N failed`, with what was skipped.
pub(super) fn print(lines: &[Line]) -> bool {
    let columns = ["passed", "failed", "seconds"].map(Column::right);
    let columns = ["step".into(), "result".into()].into_iter().chain(columns);
    let mut table = Table::with_header(columns.chain(["".into()]));
    for line in lines {
        let result = if line.outcome.is_green() {
            "ok"
        } else {
            "FAILED"
        };
        let counts = line.outcome.counts;
        let mut remark = line.outcome.remark.clone();
        if counts.ignored > 0 {
            remark.push_str(&format!(" {} ignored", counts.ignored));
        }
        let remark = remark.lines().next().unwrap_or_default().trim();
        table.row([
            line.name.into(),
            result.into(),
            Column::right(counts.passed),
            Column::right(counts.failed),
            Column::right(format!("{:.1}", line.seconds)),
            remark.into(),
        ]);
    }
    print!("\n{table}");
    let passed: u64 = lines.iter().map(|line| line.outcome.counts.passed).sum();
    let failed: u64 = lines.iter().map(|line| line.outcome.counts.failed).sum();
    let skipped = lines.iter().filter(|line| !line.outcome.skipped.is_empty());
    let skipped: String = skipped
        .map(|line| format!("; skipped in {}: {}", line.name, line.outcome.skipped))
        .collect();
    println!("\n{passed} passed, {failed} failed{skipped}");
    failed == 0
}
