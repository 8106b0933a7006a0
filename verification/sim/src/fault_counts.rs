//! The faults of a run, counted where they take effect: a fault that is drawn but changes nothing
//! proves nothing.

use std::collections::BTreeMap;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// The gateway can't send a callout.
    NotSent,
    /// A request is lost before it has any effect.
    RequestLost,
    /// A request takes effect, and its answer is lost.
    AnswerLost,
    /// A request arrives after its time limit.
    RequestLate,
    /// An engine is told the answer after it was told that there is none.
    AnswerLate,
    /// An engine is told an answer twice.
    AnswerTwice,
    /// The host never tells the end of a callout.
    NeverTold,
    /// An answer of the Stream is cut off, or makes no sense.
    AnswerTorn,
    /// The Stream says 429.
    StreamThrottled,
    /// The Stream says 500 or 503.
    StreamFailed,
    /// The Stream says 401 for no reason.
    StreamUnauthenticated,
    /// The Stream says 401 because the clock of a gateway is wrong.
    SignatureRefused,
    /// The Stream refuses a cursor that is good.
    CursorRefused,
    /// The Stream refuses a cursor because it has given the partitions away.
    CursorExpired,
    /// The Stream stores a part of a batch.
    StoredInPart,
    /// A commit has no effect, or nobody learns that it had one.
    CommitLost,
    /// A partition is committed by another engine than before.
    PartitionMoved,
    /// The Stream's server restarts.
    StreamRestarted,
    /// A request reaches no Stream.
    StreamAway,
    /// A VM ends between two callbacks.
    VmEnded,
    /// A VM ends within a callback.
    VmTrapped,
    /// A gateway dies.
    GatewayDied,
    /// A gateway has left its groups, and ends.
    GatewayRetired,
    /// A drain that leaves its group waits no longer for an attempt.
    AttemptLeft,
    /// A gateway stands still.
    GatewayStopped,
    /// A wall clock is set forward.
    ClockForward,
    /// A wall clock is set back.
    ClockBack,
    /// Health checks go to another worker.
    HealthElsewhere,
    /// Two workers write a slot of the table of keys at once.
    SlotTaken,
    /// A client leaves before it is answered.
    ClientLeft,
    /// A client sends a key again.
    KeyAgain,
    /// A client sends the marks of a dispatched call.
    HeadersForged,
    /// Somebody publishes a record that nobody can read.
    RecordBad,
    /// Somebody publishes a call under another message key than its order key.
    CallMisrouted,
    /// Somebody publishes a note as no drain would.
    NoteMisrouted,
    /// Somebody publishes a record with a target that isn't allowed.
    TargetForbidden,
    /// A target says nothing.
    TargetHangs,
    /// A target closes the connection.
    TargetBreaks,
    /// A target asks for a pause.
    TargetLimits,
    /// A target fails, in a way that allows another attempt.
    TargetFails,
    /// A target refuses a call for good.
    TargetRefuses,
    /// A target takes longer than an attempt may.
    TargetSlow,
    /// Envoy finds no host for a target.
    TargetMissing,
    /// Envoy doesn't let a call reach its target.
    TargetDenied,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: [Self; 44] = [
        Self::NotSent,
        Self::RequestLost,
        Self::AnswerLost,
        Self::RequestLate,
        Self::AnswerLate,
        Self::AnswerTwice,
        Self::NeverTold,
        Self::AnswerTorn,
        Self::StreamThrottled,
        Self::StreamFailed,
        Self::StreamUnauthenticated,
        Self::SignatureRefused,
        Self::CursorRefused,
        Self::CursorExpired,
        Self::StoredInPart,
        Self::CommitLost,
        Self::PartitionMoved,
        Self::StreamRestarted,
        Self::StreamAway,
        Self::VmEnded,
        Self::VmTrapped,
        Self::GatewayDied,
        Self::GatewayRetired,
        Self::AttemptLeft,
        Self::GatewayStopped,
        Self::ClockForward,
        Self::ClockBack,
        Self::HealthElsewhere,
        Self::SlotTaken,
        Self::ClientLeft,
        Self::KeyAgain,
        Self::HeadersForged,
        Self::RecordBad,
        Self::CallMisrouted,
        Self::NoteMisrouted,
        Self::TargetForbidden,
        Self::TargetHangs,
        Self::TargetBreaks,
        Self::TargetLimits,
        Self::TargetFails,
        Self::TargetRefuses,
        Self::TargetSlow,
        Self::TargetMissing,
        Self::TargetDenied,
    ];
}

/// How often each kind has happened.
#[derive(Clone, Debug, Default)]
pub struct FaultCounts(BTreeMap<FaultKind, u64>);

impl FaultCounts {
    /// Counts a fault.
    pub fn add(&mut self, what: FaultKind) {
        let count = self.0.entry(what).or_default();
        *count = count.saturating_add(1);
    }

    /// Adds the faults of another run.
    pub fn merge(&mut self, other: &Self) {
        for (what, more) in &other.0 {
            let count = self.0.entry(*what).or_default();
            *count = count.saturating_add(*more);
        }
    }

    /// Returns how often a kind has happened.
    #[must_use]
    pub fn count(&self, what: FaultKind) -> u64 {
        self.0.get(&what).copied().unwrap_or_default()
    }

    /// Adds a run. Each kind that happened in it counts once.
    pub fn count_run(&mut self, run: &Self) {
        for what in run.0.keys() {
            self.add(*what);
        }
    }

    /// Returns the kinds that have happened less often than this, the rarest first.
    #[must_use]
    pub fn rarer_than(&self, least: u64) -> Vec<(FaultKind, u64)> {
        let all = FaultKind::ALL.into_iter();
        let counts = all.map(|what| (what, self.count(what)));
        let mut rare: Vec<_> = counts.filter(|(_, count)| *count < least).collect();
        rare.sort_by_key(|(_, count)| *count);
        rare
    }
}
