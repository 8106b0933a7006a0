//! What a seed decides: the options of each request, the answers of targets, and the faults. The
//! results depend on the machine, so a seed does not replay a run.

pub mod faults;

use fastrand::Rng;

use crate::history::{How, Millis, Number, Part, Wish};

/// How many gateways there are.
pub const GATEWAYS: usize = 2;

/// How many targets there are.
pub const TARGETS: usize = 3;

/// How many order keys there are, each with a client of its own.
pub const ORDER_KEYS: usize = 6;

/// The time limit of attempts at calls that hang once, `Async-Timeout`.
pub const SHORT_TIMEOUT: Millis = 1_000;

/// What a target does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// Takes it.
    Take,
    /// Answers the first ones with this status and, maybe, `Retry-After`; then takes it.
    Fail {
        /// How many.
        times: u32,
        /// Such as 503.
        status: u16,
        /// Seconds.
        retry_after: Option<u64>,
    },
    /// The target doesn't answer the first one; then it takes the call.
    Hang,
    /// The target closes the connection of the first one; then it takes the call.
    Close,
    /// The target never takes the call, which has to become a dead letter.
    Never,
}

/// Returns the random numbers for one request.
pub(crate) fn draws(seed: u64, number: Number, purpose: u64) -> Rng {
    let mixed = seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ purpose.rotate_left(32);
    let mut rng = Rng::with_seed(mixed);
    // The first numbers of neighbouring seeds are similar.
    let (_, _) = (rng.u64(..), rng.u64(..));
    rng
}

/// Returns what targets do with this request's call.
#[must_use]
pub fn script(seed: u64, number: Number) -> Script {
    let mut rng = draws(seed, number, 1);
    match rng.u32(..100) {
        0..70 => Script::Take,
        70..87 => Script::Fail {
            times: rng.u32(1..=3),
            status: rng.choice([500, 502, 503, 429]).unwrap_or(503),
            retry_after: rng.choice([None, None, Some(1)]).unwrap_or(None),
        },
        87..91 => Script::Hang,
        91..95 => Script::Close,
        _ => Script::Never,
    }
}

/// Returns how long the target works on it.
#[must_use]
pub fn work(seed: u64, number: Number) -> Millis {
    draws(seed, number, 2).u64(..20)
}

/// Returns the options of this request; with an order key if its client has one.
#[must_use]
pub fn wish(seed: u64, number: Number, order_key: Option<usize>) -> Wish {
    let mut rng = draws(seed, number, 3);
    let delay = match rng.u32(..100) {
        0..10 => Some(rng.u64(50..900)),
        10..25 => Some(rng.u64(900..8_000)),
        _ => None,
    };
    let is_never = script(seed, number) == Script::Never;
    Wish {
        target: rng.usize(..TARGETS),
        // The place of such a call on the Stream depends on when it is due.
        delay: delay.filter(|_| order_key.is_none()),
        order_key,
        reply: rng.u32(..100) < 20,
        // A dead letter frees its key.
        is_keyed: rng.u32(..100) < 15 && !is_never,
    }
}

/// Faults that begin together, after a while, and end after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// The time without faults before.
    pub peace: Millis,
    /// The faults.
    pub faults: Vec<(Part, How)>,
    /// How long it lasts.
    pub hold: Millis,
}
