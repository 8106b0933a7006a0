//! What has to hold after every scenario. Everything is pure: facts go in, findings come out.

use crate::tally::Tally;

/// What is found after a scenario, when everything has settled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Aftermath {
    /// Calls with a `202` that haven't arrived.
    pub(crate) missing: usize,
    /// Gauges that should be zero and aren't, with their values.
    pub(crate) gauges: Vec<(String, u64)>,
    /// How often Envoy had to load a VM again, because the filter had trapped.
    pub(crate) reloads: u64,
    /// Lines of Envoy's log about a trap or an error.
    pub(crate) log: Vec<String>,
    /// Whether a fresh call was accepted and arrived.
    pub(crate) serves: bool,
}

/// Something that had to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// As a sentence.
    pub(crate) what: String,
    /// Whether it does.
    pub(crate) holds: bool,
}

impl Check {
    /// Returns a check with its result.
    pub(crate) fn new(what: impl Into<String>, holds: bool) -> Self {
        Self {
            what: what.into(),
            holds,
        }
    }
}

/// Returns what has to hold whatever the clients do.
pub(crate) fn always(tally: &Tally, after: &Aftermath) -> Vec<Check> {
    let log: Vec<&str> = after.log.iter().map(String::as_str).take(3).collect();
    vec![
        Check::new(
            format!("nobody waits for ever ({} did)", tally.hung),
            tally.hung == 0,
        ),
        Check::new(
            format!(
                "every 429 and 503 has Retry-After ({} had none)",
                tally.unclear
            ),
            tally.unclear == 0,
        ),
        Check::new("every 202 names its call", tally.nameless == 0),
        Check::new(
            format!(
                "all {} calls with a 202 have arrived ({} missing)",
                tally.promised.len(),
                after.missing
            ),
            after.missing == 0,
        ),
        Check::new(
            format!("no gauge is left behind ({:?})", after.gauges),
            after.gauges.is_empty(),
        ),
        Check::new(
            format!("no VM has trapped ({} reloads)", after.reloads),
            after.reloads == 0,
        ),
        Check::new(
            format!(
                "Envoy's log is clean ({} lines) {}",
                after.log.len(),
                log.join(" | ")
            )
            .trim_end()
            .to_owned(),
            after.log.is_empty(),
        ),
        Check::new("the gateway accepts and delivers afterwards", after.serves),
    ]
}

/// Returns lines of Envoy's log that must not occur. Lines of the filter about a Stream that
/// doesn't answer are allowed.
pub(crate) fn suspicious(log: &str) -> Vec<String> {
    const SIGNS: [&str; 6] = [
        "][critical][",
        "][error][",
        "panicked",
        "Uncaught",
        "assert failure",
        "out of memory",
    ];
    const TOLD: &str = "][error][wasm]";
    let is_told = |line: &str| line.contains(TOLD) && line.contains("wasm log sluice-");
    let lines = log.lines().filter(|line| {
        let is_sign = SIGNS.iter().any(|sign| line.contains(sign));
        is_sign && (!is_told(line) || line.contains("panicked"))
    });
    lines.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(tally: &Tally, after: &Aftermath) -> usize {
        let checks = always(tally, after);
        checks.iter().filter(|check| !check.holds).count()
    }

    #[test]
    fn a_clean_end_has_no_findings() {
        let after = Aftermath {
            serves: true,
            ..Aftermath::default()
        };
        assert_eq!(broken(&Tally::default(), &after), 0);
    }

    #[test]
    fn each_fault_is_one_finding() {
        let tally = Tally {
            unclear: 1,
            nameless: 1,
            hung: 1,
            ..Tally::default()
        };
        let after = Aftermath {
            missing: 1,
            gauges: vec![("sluice_waiting_requests".into(), 1)],
            reloads: 1,
            log: vec!["trap".into()],
            serves: false,
        };
        assert_eq!(broken(&tally, &after), 8);
    }

    #[test]
    fn traps_and_errors_are_found_in_the_log() {
        let log = "[2026-11-25 08:00:00.000][7][info][main] starting\n\
                   [2026-11-25 08:00:01.000][7][critical][wasm] wasm log: panicked at src/x.rs\n\
                   [2026-11-25 08:00:02.000][7][warning][wasm] wasm log: publishing failed\n\
                   [2026-11-25 08:00:03.000][7][error][wasm] wasm log sluice-drain sluice-drain: \
                   GetMessages failed\n\
                   [2026-11-25 08:00:04.000][7][error][wasm] Function: proxy_on_tick failed\n";
        assert_eq!(suspicious(log).len(), 2);
    }
}
