//! The table at the end.

use super::runner::Outcome;

/// A step that was run.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) outcome: Outcome,
    pub(super) seconds: f32,
}

/// Prints the table and, as the last line of all, `N passed, N failed`.
pub(super) fn print(lines: &[Line]) -> bool {
    println!(
        "\n{:<14}{:<8}{:>8}{:>8}{:>9}",
        "step", "result", "passed", "failed", "seconds"
    );
    for Line {
        name,
        outcome,
        seconds,
    } in lines
    {
        let result = if outcome.is_green() { "ok" } else { "FAILED" };
        let counts = outcome.counts;
        let mut remark = outcome.remark.clone();
        if counts.ignored > 0 {
            remark.push_str(&format!(" {} ignored", counts.ignored));
        }
        let remark = remark.lines().next().unwrap_or_default().trim().to_owned();
        println!(
            "{name:<14}{result:<8}{:>8}{:>8}{seconds:>9.1}  {remark}",
            counts.passed, counts.failed
        );
    }
    let passed: u64 = lines.iter().map(|line| line.outcome.counts.passed).sum();
    let failed: u64 = lines.iter().map(|line| line.outcome.counts.failed).sum();
    println!("\n{passed} passed, {failed} failed");
    failed == 0
}
