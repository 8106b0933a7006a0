//! What went wrong, counted where it takes effect: what is drawn but changes nothing proves
//! nothing.

use std::collections::BTreeMap;

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An append never reaches the log.
    Lost,
    /// An append reaches the log, and its front isn't told.
    AckLost,
    /// An append reaches the log after its front was told that its outcome is unknown.
    Late,
    /// A copy of an append reaches the log.
    Copied,
    /// A copy of an append reaches the log after a later claim.
    CopiedLate,
    /// An append reaches the log in pieces.
    Split,
    /// A piece of an append reaches the log although one before it is lost.
    Gap,
    /// Somebody else writes into the log.
    Foreign,
    /// A front stands still while it owns a slot.
    Paused,
    /// A front that owns a slot dies.
    Killed,
    /// A front is told to end.
    Left,
    /// A front is cut off.
    CutOff,
    /// A front doesn't reach one log.
    Deaf,
    /// One broker is away.
    BrokerAway,
    /// All brokers are away.
    AllAway,
    /// A log begins earlier than its records were deleted.
    StartGoesBack,
    /// A reader's position was deleted under it.
    OutOfRange,
    /// A slot was claimed from another owner.
    TakenOver,
    /// A slot was claimed after a release.
    HandedOver,
    /// A front wrote as the owner of a slot that it had lost.
    Zombie,
    /// A read was refused because the lease had ended.
    LeaseOver,
    /// A request went to a front that didn't own the slot any more.
    Misdirected,
    /// A request was answered as unknown.
    Unknown,
    /// Records of a slot were deleted.
    Deleted,
    /// A front stands still when its release reaches the log.
    PausedAtRelease,
    /// A front that serves a slot isn't told that another one has claimed it.
    DeafAtClaim,
    /// A front that has claimed the slot of another one is told to end.
    LeftAtClaim,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 27] = [
        Self::Lost,
        Self::AckLost,
        Self::Late,
        Self::Copied,
        Self::CopiedLate,
        Self::Split,
        Self::Gap,
        Self::Foreign,
        Self::Paused,
        Self::Killed,
        Self::Left,
        Self::CutOff,
        Self::Deaf,
        Self::BrokerAway,
        Self::AllAway,
        Self::StartGoesBack,
        Self::OutOfRange,
        Self::TakenOver,
        Self::HandedOver,
        Self::Zombie,
        Self::LeaseOver,
        Self::Misdirected,
        Self::Unknown,
        Self::Deleted,
        Self::PausedAtRelease,
        Self::DeafAtClaim,
        Self::LeftAtClaim,
    ];
}

/// How often each kind has happened.
#[derive(Clone, Debug, Default)]
pub struct Counts(BTreeMap<Kind, u64>);

impl Counts {
    /// Counts one.
    pub fn add(&mut self, kind: Kind) {
        let count = self.0.entry(kind).or_default();
        *count = count.saturating_add(1);
    }

    /// Adds those of another run.
    pub fn merge(&mut self, other: &Self) {
        for (kind, more) in &other.0 {
            let count = self.0.entry(*kind).or_default();
            *count = count.saturating_add(*more);
        }
    }

    /// Returns how often a kind has happened.
    #[must_use]
    pub fn count(&self, kind: Kind) -> u64 {
        self.0.get(&kind).copied().unwrap_or_default()
    }
}
