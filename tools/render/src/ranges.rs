//! The addresses that explicit targets may not be at, as Envoy's configuration has them: those of
//! `src/egress/special_purpose.rs`, which `tests/documents.rs` ensures.

use serde::Serialize;

/// The special-purpose ranges within `0.0.0.0/0` and `2000::/3`: what is called is judged by them.
const JUDGED: [(&str, u8); 20] = [
    ("0.0.0.0", 8),
    ("10.0.0.0", 8),
    ("100.64.0.0", 10),
    ("127.0.0.0", 8),
    ("168.63.129.16", 32),
    ("169.254.0.0", 16),
    ("172.16.0.0", 12),
    ("192.0.0.0", 24),
    ("192.0.2.0", 24),
    ("192.88.99.0", 24),
    ("192.168.0.0", 16),
    ("198.18.0.0", 15),
    ("198.51.100.0", 24),
    ("203.0.113.0", 24),
    ("224.0.0.0", 4),
    ("240.0.0.0", 4),
    ("2001::", 23),
    ("2001:db8::", 32),
    ("2002::", 16),
    ("3fff::", 20),
];

/// All other addresses that are no public ones.
const BEYOND: [(&str, u8); 3] = [("::", 3), ("4000::", 2), ("8000::", 1)];

/// A range as YAML.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Range {
    /// The range.
    pub(crate) written: String,
    /// The same with an anchor.
    pub(crate) defined: String,
    /// The anchor's alias.
    pub(crate) alias: String,
}

fn range((address, length): (&str, u8)) -> Range {
    let parts = address.split(['.', ':']).filter(|part| !part.is_empty());
    let name = parts.collect::<Vec<_>>().join("-");
    let written = format!("{{ address_prefix: \"{address}\", prefix_len: {length} }}");
    Range {
        defined: format!("&net-{name}-{length} {written}"),
        alias: format!("*net-{name}-{length}"),
        written,
    }
}

/// What the judge of explicit targets refuses.
pub(crate) fn judged() -> Vec<Range> {
    JUDGED.into_iter().map(range).collect()
}

/// What is taken out of the addresses that a name resolves to.
pub(crate) fn taken_out() -> Vec<Range> {
    let beyond = BEYOND.into_iter().map(range).map(|range| Range {
        defined: range.written.clone(),
        ..range
    });
    let mut ranges = judged();
    // In the order of the addresses.
    let last = ranges
        .iter()
        .position(|range| range.written.contains("\"2001::\""));
    let behind = ranges.split_off(last.unwrap_or(ranges.len()));
    ranges.extend(beyond.chain(behind));
    ranges
}
