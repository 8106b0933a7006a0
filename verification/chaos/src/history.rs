//! What happened, as clients, targets and the maker of the faults have seen it. Of the gateways'
//! own words it contains only the answers to clients.

use std::fmt;

/// Milliseconds since the run began, on the steady clock.
pub type Millis = u64;

/// The number of a request, unique in a run. The request's path contains it.
pub type Number = u64;

/// One of the gateways, from 0.
pub type Gateway = usize;

/// One of the targets, from 0.
pub type Target = usize;

/// One of the stream servers in front of Kafka, from 0.
pub type Front = usize;

/// One of the brokers, from 0.
pub type Broker = usize;

/// What keeps the streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// One stream server with a disk.
    #[default]
    Embedded,
    /// Brokers of Kafka, and stream servers in front of them.
    Kafka,
}

/// What a client wanted from a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Which target its route leads to.
    pub target: Target,
    /// How long after the request the call is due.
    pub delay: Option<Millis>,
    /// Its order key. All requests with one key come from one client, which waits for each answer.
    pub order_key: Option<usize>,
    /// Whether the result has to be sent to `/replies/NUMBER`.
    pub reply: bool,
    /// Whether the request has an idempotency key and is sent twice.
    pub is_keyed: bool,
}

/// The answer to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// `202`, and the call's id.
    Accepted(String),
    /// A status that says that nothing was stored.
    Refused(u16),
    /// No answer, or one that says that the outcome is unknown.
    Unknown,
    /// The gateway couldn't be reached.
    NotSent,
}

/// A request with its answer.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its number.
    pub number: Number,
    /// The gateway that got it.
    pub gateway: Gateway,
    /// What it asked for.
    pub wish: Wish,
    /// When it was sent.
    pub at: Millis,
    /// When the call is due, in Unix milliseconds, if it is deferred.
    pub due_unix: Option<u64>,
    /// When the answer came.
    pub answered: Millis,
    /// The answer.
    pub told: Told,
    /// When the same request was sent again with its idempotency key, when that was answered, and
    /// how.
    pub again: Option<(Millis, Millis, Told)>,
}

/// What a target did with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The target took it: 2xx.
    Taken,
    /// The target refused it, with a status after which nobody may try again.
    Refused,
    /// A status after which the call has to be tried again, but not before so many milliseconds.
    Again(Millis),
    /// The target gave no answer: it hung until the attempt's time limit, or closed the connection.
    Silence,
}

/// Whether a request at a target was the call or its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The call.
    Call,
    /// The reply, which tells the outcome of the call.
    Reply,
}

/// A request as a target has seen it.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The request that it goes back to.
    pub number: Number,
    /// The call, or its reply.
    pub role: Role,
    /// The call id that it came with.
    pub id: String,
    /// The gateway whose drain has made it.
    pub gateway: Gateway,
    /// Where it has arrived.
    pub target: Target,
    /// `Async-Attempt`; replies have none.
    pub attempt: Option<u32>,
    /// When it was read.
    pub start: Millis,
    /// When it was read by the wall clock, in Unix milliseconds.
    pub start_unix: u64,
    /// When its answer was about to be sent. For a request that hangs, the earliest time at which
    /// its gateway may have given it up.
    pub end: Millis,
    /// What the target did.
    pub fate: Fate,
    /// Whether content and path belong to one request.
    pub is_whole: bool,
}

impl Arrival {
    /// Returns whether nobody who knows of this arrival may make the call again.
    #[must_use]
    pub fn is_conclusive(&self) -> bool {
        matches!(self.fate, Fate::Taken | Fate::Refused)
    }
}

/// A part that can be in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// An Envoy.
    Gateway(Gateway),
    /// The stream server.
    Stream,
    /// A target.
    Target(Target),
    /// The way of a gateway to the stream server.
    ToStream(Gateway),
    /// The way of a gateway to a target.
    ToTarget(Gateway, Target),
    /// A broker. Cut off, it is alone: neither brokers nor fronts reach it or are reached by it.
    Broker(Broker),
    /// The broker that is the active controller when the fault begins.
    Controller,
    /// The ways between a broker and the others. Fronts reach it.
    BetweenBrokers(Broker),
    /// A stream server in front of Kafka. Cut off, it is alone.
    Front(Front),
    /// The way of a gateway to one of the fronts.
    ToFront(Gateway, Front),
    /// The ways of a front to all brokers.
    ToBrokers(Front),
}

impl Part {
    /// Returns whether it is part of the cluster of brokers, of which one may fail at a time.
    #[must_use]
    pub fn is_of_brokers(self) -> bool {
        matches!(
            self,
            Self::Broker(_) | Self::Controller | Self::BetweenBrokers(_)
        )
    }

    /// Returns whether it is one of the fronts, or a way to or from one.
    #[must_use]
    pub fn is_of_fronts(self) -> bool {
        matches!(
            self,
            Self::Front(_) | Self::ToFront(..) | Self::ToBrokers(_)
        )
    }

    /// Returns whether calls of a gateway to a target need it.
    #[must_use]
    pub fn is_on_the_way(self, gateway: Gateway, target: Target) -> bool {
        match self {
            Self::Target(one) => one == target,
            Self::ToTarget(from, one) => from == gateway && one == target,
            Self::Gateway(one) => one == gateway,
            Self::Stream
            | Self::ToStream(_)
            | Self::Broker(_)
            | Self::Controller
            | Self::BetweenBrokers(_)
            | Self::Front(_)
            | Self::ToFront(..)
            | Self::ToBrokers(_) => false,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(gateway) => write!(formatter, "gateway {gateway}"),
            Self::Stream => write!(formatter, "the stream server"),
            Self::Target(target) => write!(formatter, "target {target}"),
            Self::ToStream(gateway) => write!(formatter, "gateway {gateway} to the stream server"),
            Self::ToTarget(gateway, target) => {
                write!(formatter, "gateway {gateway} to target {target}")
            }
            Self::Broker(broker) => write!(formatter, "broker {broker}"),
            Self::Controller => write!(formatter, "the active controller"),
            Self::BetweenBrokers(broker) => write!(formatter, "broker {broker} to the others"),
            Self::Front(front) => write!(formatter, "front {front}"),
            Self::ToFront(gateway, front) => {
                write!(formatter, "gateway {gateway} to front {front}")
            }
            Self::ToBrokers(front) => write!(formatter, "front {front} to the brokers"),
        }
    }
}

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// `SIGKILL`, and a new start. A target closes everything instead.
    Kill,
    /// `SIGSTOP`, and `SIGCONT`.
    Stop,
    /// Connections are reset, new ones refused.
    Refuse,
    /// Connections stay and nothing comes through; what was under way is dropped.
    Drop,
    /// `SIGTERM`, and a new start.
    Restart,
    /// Its disk has no room, until there is some and it is started again.
    Full,
}

impl fmt::Display for How {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Kill => "killed",
            Self::Stop => "stopped",
            Self::Refuse => "cut off, refusing",
            Self::Drop => "cut off, dropping",
            Self::Restart => "ended and started again",
            Self::Full => "with a full disk",
        })
    }
}

/// One fault.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// What.
    pub part: Part,
    /// How.
    pub how: How,
    /// Just before it began.
    pub from: Millis,
    /// When a killed part began to start again; for other faults the same as `until`. Before that,
    /// everything is done by the gateway's old process.
    pub reborn: Millis,
    /// When the part was back, ready for work.
    pub until: Millis,
}

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The id of the call, or of the reply.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// Everything that happened.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// What kept the streams.
    pub engine: Engine,
    /// All requests.
    pub requests: Vec<Request>,
    /// All arrivals, in the order of their start.
    pub arrivals: Vec<Arrival>,
    /// All faults, in the order of their start.
    pub faults: Vec<Fault>,
    /// All dead letters.
    pub letters: Vec<Letter>,
}
