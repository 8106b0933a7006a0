//! The values that are read once a second, and whether their curves are flat.

use std::collections::BTreeMap;

use testkit::figures::median;

/// All values at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    /// Seconds since the scenario began.
    pub(crate) seconds: f64,
    /// Resident memory of Envoy's process, in bytes.
    pub(crate) envoy_rss: u64,
    /// Bytes that Envoy uses (`server.memory_allocated`), without those that its allocator keeps.
    pub(crate) allocated: u64,
    /// Bytes of linear memory of the accept role's VM.
    pub(crate) accept_vm: u64,
    /// Bytes of linear memory of the drain's VM.
    pub(crate) drain_vm: u64,
    /// Marked requests that wait.
    pub(crate) waiting: u64,
    /// Resident memory of the stream server's process, in bytes.
    pub(crate) stream_rss: u64,
}

impl Sample {
    /// Takes the values from Envoy's stats.
    pub(crate) fn with_stats(mut self, stats: &BTreeMap<String, u64>) -> Self {
        let stat = |name: &str| stats.get(name).copied().unwrap_or_default();
        self.allocated = stat("server.memory_allocated");
        self.accept_vm = stat("wasmcustom.sluice_accept_memory_bytes");
        self.drain_vm = stat("wasmcustom.sluice_drain_memory_bytes");
        self.waiting = stat("wasmcustom.sluice_waiting_requests");
        self
    }
}

/// A value of a sample.
pub(crate) type Of = fn(&Sample) -> u64;

/// Returns the largest value of a curve.
pub(crate) fn peak(samples: &[Sample], of: Of) -> u64 {
    samples.iter().map(of).max().unwrap_or_default()
}

/// Returns the medians of the four quarters of a curve.
pub(crate) fn quarters(samples: &[Sample], of: Of) -> [u64; 4] {
    let quarter = |number: usize| {
        let bound = |number: usize| samples.len() * number / 4;
        let part = samples.get(bound(number)..bound(number + 1));
        median(part.unwrap_or_default().iter().map(of).collect()).unwrap_or_default()
    };
    [quarter(0), quarter(1), quarter(2), quarter(3)]
}

/// Returns whether the later half of a curve doesn't grow: the median of its last quarter is above
/// that of the third by no more than a share (in percent) and a number of bytes.
pub(crate) fn is_flat(samples: &[Sample], of: Of, percent: u64, bytes: u64) -> bool {
    let [_, _, third, fourth] = quarters(samples, of);
    fourth <= third + third * percent / 100 + bytes
}

/// Returns the kilobytes after `VmRSS:` in `/proc/PID/status`, as bytes.
pub(crate) fn resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(values: impl IntoIterator<Item = u64>) -> Vec<Sample> {
        let sample = |allocated| Sample {
            allocated,
            ..Sample::default()
        };
        values.into_iter().map(sample).collect()
    }

    #[test]
    fn resident_memory_is_read() {
        let status = "Name:\tenvoy\nVmRSS:\t  51200 kB\nThreads:\t9\n";
        assert_eq!(resident(status), Some(52_428_800));
        assert_eq!(resident("Name: x"), None);
    }

    #[test]
    fn what_has_risen_and_stays_is_flat() {
        let samples = curve((0..40).map(|second| 1_000 * second.min(20)));
        assert_eq!(
            quarters(&samples, |s| s.allocated),
            [5_000, 15_000, 20_000, 20_000]
        );
        assert!(is_flat(&samples, |s| s.allocated, 0, 0));
    }

    #[test]
    fn what_goes_on_rising_is_not() {
        let samples = curve((0..40).map(|second| 1_000 * second));
        assert!(!is_flat(&samples, |s| s.allocated, 5, 0));
        assert!(is_flat(&samples, |s| s.allocated, 5, 10_000), "tolerance");
    }

    #[test]
    fn a_peak_that_passes_is_no_growth() {
        let samples = curve((0..40).map(|second| if second == 35 { 90 } else { 10 }));
        assert!(is_flat(&samples, |s| s.allocated, 0, 0));
        assert_eq!(peak(&samples, |s| s.allocated), 90);
    }

    #[test]
    fn no_samples_are_flat() {
        assert!(is_flat(&[], |s| s.allocated, 0, 0));
    }
}
