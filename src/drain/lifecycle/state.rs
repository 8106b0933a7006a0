//! The states of a record, and the transitions between them.

use crate::time::Steady;

/// The state of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::drain) enum State {
    /// The record was just taken in. The same input decides what happens to it.
    New,
    /// The record was taken out of its target's queue, or its wait is over. The same input decides
    /// what happens to it.
    Picked,
    /// The call is in its target's queue.
    Ready,
    /// The call is behind an earlier call with the same order key.
    Behind,
    /// An attempt is under way.
    InFlight,
    /// The record waits until a moment.
    Waiting { until: Steady },
    /// The record is not a call but a note. It is kept until a later note replaces it.
    Note,
    /// The session is lost, and the record waits to be read again.
    Suspended { until: Steady, since: Steady },
    /// So many messages have to be stored before the record is settled.
    Leaving { messages: u8 },
    /// Only the commit is missing.
    Settled { at: Steady },
}

/// What changes a record's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::drain) enum Transition {
    /// The call goes into its target's queue, which decides when it is attempted.
    Enqueue,
    /// The target's queue has chosen the call: an attempt begins.
    Start,
    /// The record waits until a moment.
    Wait { until: Steady },
    /// The call was taken out of its target's queue, or its wait is over.
    Pick,
    /// The call stays behind others of its order key, and is looked at again at a moment.
    StayBehind { look: Option<Steady> },
    /// An earlier call of the same order key has come.
    StepBack,
    /// The record is a note.
    Keep,
    /// The session is lost. If the record is read again, it waits until this moment.
    Suspend { until: Steady },
    /// So many messages have to be stored before it is settled.
    Leave { messages: u8 },
    /// The call goes onto a lane and gives up its place among those with its order key. A note that
    /// tells of it has to be stored too.
    Depart,
    /// So many more messages have to be stored.
    AddMessages { more: u8 },
    /// One of several messages is stored.
    StoreMessage,
    /// Only the commit of the record is missing.
    Settle,
}

impl State {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::Picked => "Picked",
            Self::Ready => "Ready",
            Self::Behind => "Behind",
            Self::InFlight => "InFlight",
            Self::Waiting { .. } => "Waiting",
            Self::Note => "Note",
            Self::Suspended { .. } => "Suspended",
            Self::Leaving { .. } => "Leaving",
            Self::Settled { .. } => "Settled",
        }
    }
}

impl Transition {
    const fn name(self) -> &'static str {
        match self {
            Self::Enqueue => "Enqueue",
            Self::Start => "Start",
            Self::Wait { .. } => "Wait",
            Self::Pick => "Pick",
            Self::StayBehind { .. } => "StayBehind",
            Self::StepBack => "StepBack",
            Self::Keep => "Keep",
            Self::Suspend { .. } => "Suspend",
            Self::Leave { .. } => "Leave",
            Self::Depart => "Depart",
            Self::AddMessages { .. } => "AddMessages",
            Self::StoreMessage => "StoreMessage",
            Self::Settle => "Settle",
        }
    }

    /// Returns the state that follows `from`.
    fn target(self, from: State, now: Steady) -> State {
        let messages = if let State::Leaving { messages } = from {
            messages
        } else {
            0
        };
        match self {
            Self::Enqueue => State::Ready,
            Self::Start => State::InFlight,
            Self::Wait { until } => State::Waiting { until },
            Self::Pick => State::Picked,
            Self::StayBehind { .. } | Self::StepBack => State::Behind,
            Self::Keep => State::Note,
            Self::Suspend { until } => State::Suspended { until, since: now },
            Self::Leave { messages } => State::Leaving { messages },
            Self::Depart => State::Leaving {
                messages: messages.saturating_add(1),
            },
            Self::AddMessages { more } => State::Leaving {
                messages: messages.saturating_add(more),
            },
            Self::StoreMessage => State::Leaving {
                messages: messages.saturating_sub(1),
            },
            Self::Settle => State::Settled { at: now },
        }
    }
}

/// All transitions that may happen: from a state, by a transition, to a state. `[*]` means: not in
/// the window.
const TRANSITIONS: &[(&str, &str, &str)] = &[
    ("[*]", "Fetch", "New"),
    ("New", "Enqueue", "Ready"),
    ("New", "Wait", "Waiting"),
    ("New", "StayBehind", "Behind"),
    ("New", "Keep", "Note"),
    ("New", "Leave", "Leaving"),
    ("New", "Settle", "Settled"),
    ("Ready", "Start", "InFlight"),
    ("Ready", "Pick", "Picked"),
    ("Ready", "StepBack", "Behind"),
    ("Waiting", "Pick", "Picked"),
    ("Waiting", "Suspend", "Suspended"),
    ("Picked", "Enqueue", "Ready"),
    ("Picked", "Wait", "Waiting"),
    ("Picked", "StayBehind", "Behind"),
    ("Picked", "Leave", "Leaving"),
    ("Picked", "Settle", "Settled"),
    ("Picked", "Suspend", "Suspended"),
    ("Behind", "StayBehind", "Behind"),
    ("Behind", "Enqueue", "Ready"),
    ("Behind", "Wait", "Waiting"),
    ("Behind", "Leave", "Leaving"),
    ("Behind", "Settle", "Settled"),
    ("Behind", "Suspend", "Suspended"),
    ("InFlight", "Wait", "Waiting"),
    ("InFlight", "Leave", "Leaving"),
    ("InFlight", "Settle", "Settled"),
    ("InFlight", "Suspend", "Suspended"),
    ("Note", "Settle", "Settled"),
    ("Note", "Suspend", "Suspended"),
    ("Suspended", "Enqueue", "Ready"),
    ("Suspended", "Wait", "Waiting"),
    ("Suspended", "StayBehind", "Behind"),
    ("Suspended", "Keep", "Note"),
    ("Suspended", "Leave", "Leaving"),
    ("Suspended", "Settle", "Settled"),
    ("Suspended", "Forget", "[*]"),
    ("Leaving", "Depart", "Leaving"),
    ("Leaving", "AddMessages", "Leaving"),
    ("Leaving", "StoreMessage", "Leaving"),
    ("Leaving", "Leave", "Leaving"),
    ("Leaving", "Settle", "Settled"),
    ("Settled", "Forget", "[*]"),
];

/// Returns the table as a Mermaid state diagram, for ARCHITECTURE.md.
#[must_use]
pub fn state_diagram() -> String {
    let lines = TRANSITIONS
        .iter()
        .map(|(from, transition, to)| format!("    {from} --> {to} : {transition}\n"));
    std::iter::once("stateDiagram-v2\n".to_owned())
        .chain(lines)
        .collect()
}

/// Returns whether the table has this transition.
pub(super) fn may_happen(from: &str, transition: &str, to: &str) -> bool {
    TRANSITIONS.contains(&(from, transition, to))
}

/// The state of one record. Only a transition changes it.
#[derive(Debug)]
pub(super) struct Stage(State);

/// A change of a record's state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) from: State,
    pub(super) to: State,
    /// Whether the table has the transition.
    pub(super) is_allowed: bool,
}

impl Stage {
    /// Returns the state of a record that was just fetched.
    pub(super) const fn new() -> Self {
        Self(State::New)
    }

    pub(super) const fn state(&self) -> State {
        self.0
    }

    /// Changes the state. [`super::apply`] keeps the indexes.
    pub(super) fn change(&mut self, transition: Transition, now: Steady) -> Change {
        let from = self.0;
        let to = transition.target(from, now);
        self.0 = to;
        let is_allowed = may_happen(from.name(), transition.name(), to.name());
        Change {
            from,
            to,
            is_allowed,
        }
    }
}
