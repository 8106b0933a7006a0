//! The clock of leases: it never goes back, and counts while the machine is suspended.

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since some moment before this process.
pub(super) fn now_ms() -> u64 {
    #[cfg(target_os = "linux")]
    let clock = ClockId::Boottime;
    // Elsewhere this one counts suspended time, or machines that serve aren't suspended.
    #[cfg(not(target_os = "linux"))]
    let clock = ClockId::Monotonic;
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let ms = u64::try_from(now.tv_nsec / 1_000_000).unwrap_or(0);
    seconds.saturating_mul(1_000).saturating_add(ms)
}
