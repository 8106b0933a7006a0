//! What goes wrong in a run.

use super::index;
use crate::rng::Rng;

/// How often each fault happens, in a thousand.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// A callout that the gateway can't send.
    pub not_sent: u64,
    /// A request that is lost before it has any effect.
    pub lost: u64,
    /// An answer that is lost after the effect.
    pub unanswered: u64,
    /// A request or an answer that comes after the time limit.
    pub late: u64,
    /// An answer that comes twice.
    pub twice: u64,
    /// A callout whose end the host never tells.
    pub silent: u64,
    /// An answer that is cut off or makes no sense, after the effect.
    pub torn: u64,
    /// The Stream says 429, 500 or 503.
    pub refused: u64,
    /// The Stream refuses a cursor that is good.
    pub cursor: u64,
    /// Some entries of a PutMessages fail.
    pub partial: u64,
    /// A target that does something unusual.
    pub target: u64,
}

/// A fault at a certain moment.
#[derive(Clone, Copy, Debug)]
pub enum ProcessFault {
    /// The VM of a worker ends and comes again.
    Restart(usize),
    /// The VM of a worker ends within a callback: so many outputs from now.
    Trap(usize, u64),
    /// A gateway dies and loses everything that it knew. It comes again after so many milliseconds.
    Die(usize, u64),
    /// A gateway fails its health checks, and ends as soon as its drains have left their groups. It
    /// comes again after so many milliseconds.
    Retire(usize, u64),
    /// A gateway is stopped for so many milliseconds.
    Stop(usize, u64),
    /// A gateway's wall clock is set by so many milliseconds.
    Jump(usize, i64),
    /// A gateway's wall clock is wrong by so many milliseconds, for so many milliseconds. It is
    /// more than OCI's signatures allow.
    WrongClock(usize, i64, u64),
    /// Health checks of a gateway go to another worker.
    Elsewhere(usize),
    /// The Stream's server restarts.
    StreamRestart,
    /// Nothing reaches the Stream for so many milliseconds.
    StreamAway(u64),
}

pub(super) fn draw_faults(rng: &mut Rng) -> Faults {
    // A third of the runs has no faults on the wire at all, so nothing excuses a repetition there.
    let is_clean = rng.below(3) == 0;
    let mut rate = |rates: &[u64]| match is_clean || rng.coin() {
        true => 0,
        false => rng.one_of(rates).unwrap_or_default(),
    };
    let rates = [5, 20, 80];
    Faults {
        not_sent: rate(&rates),
        lost: rate(&rates),
        unanswered: rate(&rates),
        late: rate(&rates),
        twice: rate(&rates),
        silent: rate(&[5, 20]),
        torn: rate(&rates),
        refused: rate(&rates),
        cursor: rate(&rates),
        partial: rate(&[100, 300, 600]),
        target: rate(&[20, 100, 300]),
    }
}

pub(super) fn draw_process_faults(
    rng: &mut Rng,
    until: u64,
    gateways: usize,
    workers: usize,
) -> Vec<(u64, ProcessFault)> {
    let count = rng.one_of(&[0, 0, 1, 3, 8]).unwrap_or_default();
    let worker_count = gateways.saturating_mul(workers).saturating_mul(2);
    let mut process_faults = Vec::new();
    for _ in 0..count {
        let at = rng.below(until);
        let gateway = index(rng, gateways);
        let process_fault = match rng.below(11) {
            0 => ProcessFault::Restart(index(rng, worker_count)),
            1 | 8 => ProcessFault::Trap(index(rng, worker_count), rng.below(6)),
            2 => ProcessFault::Die(gateway, rng.between(100, 15_000)),
            3 => ProcessFault::Stop(gateway, rng.between(500, 15_000)),
            4 => {
                let by = i64::try_from(rng.below(60_000)).unwrap_or_default();
                ProcessFault::Jump(gateway, by.saturating_sub(30_000))
            }
            5 => ProcessFault::Elsewhere(gateway),
            6 => ProcessFault::StreamRestart,
            10 => ProcessFault::Retire(gateway, rng.between(100, 5_000)),
            9 => {
                let by = i64::try_from(rng.between(310_000, 400_000)).unwrap_or_default();
                let by = if rng.coin() { by } else { by.saturating_neg() };
                let millis = rng.between(1_000, 20_000);
                ProcessFault::WrongClock(gateway, by, millis.min(until.saturating_sub(at)))
            }
            _ => ProcessFault::StreamAway(rng.between(500, 12_000)),
        };
        process_faults.push((at, process_fault));
    }
    process_faults
}

/// Returns the replacements of all gateways, one after the other.
pub(super) fn draw_retirements(
    rng: &mut Rng,
    span: u64,
    gateways: usize,
) -> Vec<(u64, ProcessFault)> {
    let mut at = rng.below(span / 2);
    let retire = |gateway| {
        let when = at;
        at = at.saturating_add(rng.between(5_000, 20_000));
        (when, ProcessFault::Retire(gateway, rng.between(100, 3_000)))
    };
    (0..gateways).map(retire).collect()
}
