//! Envoy's counters and gauges.

use std::collections::BTreeMap;

/// Reads the text form of Envoy's `/stats`: one `name: value` a line. Histograms are left out.
#[must_use]
pub fn parse(text: &str) -> BTreeMap<String, u64> {
    text.lines()
        .filter_map(|line| {
            // A name may contain a colon; the value never does.
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_and_histograms_are_not() {
        let text = "a.b: 1\nwasmcustom.refused.reason=x: 22\nhistogram: P0(nan,1.0) P25(nan,2)\n";
        let stats = parse(text);
        assert_eq!(stats.len(), 2);
        assert_eq!(stats["wasmcustom.refused.reason=x"], 22);
    }
}
