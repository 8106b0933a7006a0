//! What a seed stands for.

use sim::rng::Rng;
use stream_coordination::config::Times;

/// Everything about a run that is drawn before it begins.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Front servers.
    pub fronts: usize,
    /// Slots of the internal log.
    pub slots: u32,
    /// Records after which an owner writes a snapshot.
    pub snapshot_records: u64,
    /// The rate of each front's steady clock, in thousandths of true time.
    pub rates: Vec<u64>,
    /// The times of all fronts.
    pub times: Times,
    /// Whether there is one trouble alone, so that its cost is known.
    pub is_quiet: bool,
    /// Clients.
    pub clients: usize,
    /// What goes wrong between fronts and brokers.
    pub wire: Wire,
    /// What goes wrong when a slot changes hands.
    pub hand_over: HandOver,
    /// What goes wrong with processes and brokers, and when.
    pub troubles: Vec<(u64, Trouble)>,
    /// When nothing goes wrong any more.
    pub calm_at: u64,
}

/// How often an append or a read meets trouble, in a thousand.
#[derive(Clone, Debug, Default)]
pub struct Wire {
    /// It never reaches the log.
    pub lost: u64,
    /// It reaches the log, and nobody says so.
    pub ack_lost: u64,
    /// It reaches the log late.
    pub late: u64,
    /// A copy of it reaches the log later.
    pub copied: u64,
    /// It reaches the log in two or three pieces, some of which may be lost.
    pub split: u64,
    /// Records are read late.
    pub read_late: u64,
    /// A request or an answer between clients and fronts is lost.
    pub client_lost: u64,
    /// Somebody else writes into the log, before an append.
    pub foreign: u64,
}

/// How often something goes wrong just when a slot changes hands, in a thousand: moments that a
/// trouble drawn by the clock hardly ever meets.
#[derive(Clone, Debug, Default)]
pub struct HandOver {
    /// A front stands still when its release reaches the log, so that it doesn't know of it.
    pub releaser_pauses: u64,
    /// A front whose slot is claimed by another one doesn't reach the log for a while, so that it
    /// takes the slot for its own.
    pub loser_is_deaf: u64,
    /// A front that has claimed the slot of another one is told to end.
    pub taker_leaves: u64,
}

/// Something that goes wrong at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A front stands still for so many milliseconds.
    Pause(usize, u64),
    /// A front dies, and starts again so many milliseconds later.
    Kill(usize, u64),
    /// A front is told to end, and starts again so many milliseconds after it has.
    Leave(usize, u64),
    /// A front reaches neither brokers nor other fronts for so many milliseconds.
    CutOff(usize, u64),
    /// A front reaches one log alone no more, for so many milliseconds; 0 is `members`.
    Deaf(usize, u32, u64),
    /// The broker of one log is away for so many milliseconds; 0 is `members`.
    BrokerAway(u32, u64),
    /// All brokers are away for so many milliseconds.
    AllAway(u64),
    /// A broker that crashed has more of a slot than was deleted, by so many records.
    StartGoesBack(u32, u64),
}

impl Plan {
    /// Draws a plan.
    pub fn draw(rng: &mut Rng) -> Self {
        let fronts = index(rng, 4) + 1;
        let slots = u32::try_from(rng.between(1, 3)).unwrap_or(1);
        let rates = (0..fronts).map(|_| rng.between(850, 1_150)).collect();
        let times = Times {
            settle_ms: rng.between(5_000, 30_000),
            ..Times::default()
        };
        let is_quiet = rng.per_mille(150);
        let wire = match rng.below(if is_quiet { 1 } else { 3 }) {
            0 => Wire::default(),
            _ => Wire {
                lost: rng.below(40),
                ack_lost: rng.below(40),
                late: rng.below(40),
                copied: rng.below(60),
                split: rng.below(100),
                read_late: rng.below(40),
                client_lost: rng.below(20),
                foreign: rng.below(20),
            },
        };
        let hand_over = match !is_quiet && rng.coin() {
            true => HandOver {
                releaser_pauses: rng.below(500),
                loser_is_deaf: rng.below(1_000),
                taker_leaves: rng.below(1_000),
            },
            false => HandOver::default(),
        };
        let calm_at = rng.between(30_000, 80_000);
        let count = rng.below(12);
        let troubles = (0..count).map(|_| {
            let at = rng.between(2_000, calm_at.saturating_sub(1_000));
            (at, trouble(rng, fronts, slots))
        });
        let mut troubles = match is_quiet && fronts > 1 {
            true => vec![(15_000, quiet_trouble(rng, fronts))],
            false => troubles.collect(),
        };
        if !is_quiet && fronts > 2 && rng.per_mille(250) {
            let at = rng.between(5_000, calm_at.saturating_sub(15_000));
            troubles.extend(unheard(rng, at, (fronts, slots)));
        }
        Self {
            fronts,
            slots,
            snapshot_records: rng.between(8, 80),
            rates,
            times,
            is_quiet: is_quiet && fronts > 1,
            clients: index(rng, 6) + 1,
            wire,
            hand_over,
            troubles,
            calm_at,
        }
    }
}

fn quiet_trouble(rng: &mut Rng, fronts: usize) -> Trouble {
    let front = index(rng, fronts);
    match rng.below(3) {
        0 => Trouble::Leave(front, 30_000),
        1 => Trouble::Kill(front, 30_000),
        _ => Trouble::AllAway(rng.between(2_000, 13_000)),
    }
}

/// Returns what makes the others take a front for dead that serves on: they don't hear of it, and
/// it is late to read that another one has taken its slots. That one ends soon.
fn unheard(rng: &mut Rng, at: u64, (fronts, slots): (usize, u32)) -> Vec<(u64, Trouble)> {
    let front = index(rng, fronts);
    let taken_over_at = at + rng.between(6_000, 10_000);
    let mut troubles = vec![(at, Trouble::Deaf(front, 0, rng.between(9_000, 15_000)))];
    for slot in 1..=slots {
        let from = taken_over_at.saturating_sub(rng.below(1_000));
        troubles.push((from, Trouble::Deaf(front, slot, rng.between(1_000, 4_000))));
    }
    for other in (0..fronts).filter(|other| *other != front) {
        if rng.coin() {
            let then = taken_over_at + rng.below(2_000);
            troubles.push((then, Trouble::Leave(other, rng.between(300, 10_000))));
        }
    }
    troubles
}

fn trouble(rng: &mut Rng, fronts: usize, slots: u32) -> Trouble {
    let front = index(rng, fronts);
    let slot = u32::try_from(rng.below(u64::from(slots))).unwrap_or(0);
    match rng.below(11) {
        10 => Trouble::Deaf(
            front,
            u32::try_from(rng.below(u64::from(slots) + 1)).unwrap_or(0),
            rng.between(500, 20_000),
        ),
        0 | 1 => Trouble::Pause(front, rng.between(500, 25_000)),
        2 => Trouble::Kill(front, rng.between(300, 15_000)),
        3 => Trouble::Leave(front, rng.between(300, 10_000)),
        4 => Trouble::CutOff(front, rng.between(500, 20_000)),
        5 => Trouble::BrokerAway(
            u32::try_from(rng.below(u64::from(slots) + 1)).unwrap_or(0),
            rng.between(500, 15_000),
        ),
        6 => Trouble::AllAway(rng.between(2_000, 15_000)),
        _ => Trouble::StartGoesBack(slot, rng.between(1, 60)),
    }
}

fn index(rng: &mut Rng, count: usize) -> usize {
    let drawn = rng.below(u64::try_from(count).unwrap_or(1));
    usize::try_from(drawn).unwrap_or_default()
}
