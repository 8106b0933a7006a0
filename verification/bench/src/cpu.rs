//! How much processor time a program has used. It is steadier than rates if a machine is shared.

use std::fs;
use std::time::Duration;

/// Returns the time that a process has used so far, if the system tells it.
pub(crate) fn used(pid: Option<u32>) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid?)).ok()?;
    let ticks = ticks(&stat)?;
    let per_second = rustix::param::clock_ticks_per_second();
    Some(Duration::from_secs(ticks) / u32::try_from(per_second).ok()?)
}

/// Returns user and system time: the 14th and 15th field. The 2nd may contain spaces.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_times_are_added() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 2 3 4 30 12 0 0 20 0 1 0 100";
        assert_eq!(ticks(stat), Some(42));
    }
}
