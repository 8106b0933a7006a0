//! Principals: a gateway that runs at OCI signs by a token of what it runs in, with a session key
//! of its own, instead of a user's API key.
//!
//! | kind | what it asks for ([`work`]) |
//! |---|---|
//! | instance | three files of the metadata service; the auth service for a token |
//! | resource | two files, which OCI renews |
//! | workload | a file, the service account's token; OKE's service for one of OCI's |
//!
//! One worker asks for all workers of a role ([`shared`]). A token is renewed when half of its time
//! is over, and used to its end if that fails.

pub mod certificate;
pub mod exchange;
mod obtain;
mod shared;
pub mod token;
mod work;

pub use obtain::obtain;

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::engine::{Callout, Level};
use crate::http::CalloutResult;
use crate::id::{Entropy, Ticket};
use crate::metric::Metric;
use crate::stream::signing::{KeyId, PrincipalConfig, PrivateKey};
use crate::time::{Now, Steady, Wall, millis};
use shared::{Shared, SharedIdentity};
use token::Token;
use work::{Progress, Work};

/// How long the one that asks has for all of it, and how long a callout may take.
const WORK_MAX: Duration = Duration::from_secs(50);
/// Others take over when the one that asks has not been heard of for so long.
const LEASE: Duration = Duration::from_secs(60);
/// How often is looked whether another worker has got a token.
const LOOK: Duration = Duration::from_millis(100);
/// Between two steps of a key search: requests are served in between.
const STEP: Duration = Duration::from_millis(10);
/// Pauses after failures.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    last: Duration::from_secs(60),
};
/// A refused signature makes nobody ask for another token sooner than so long after this one.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
/// A renewal comes up to this part of the token's time earlier, each worker's at another moment.
const JITTER_DIVISOR: u32 = 10;

/// What happens to a principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The answer to [`Output::Callout`].
    CalloutDone(Ticket, CalloutResult),
    /// The answer to [`Output::ReadShared`]: what is there, and its version.
    SharedRead(Option<Vec<u8>>, u32),
    /// The answer to [`Output::WriteShared`].
    SharedWritten(bool),
    /// The Stream has refused a signature.
    Refused,
}

/// What the host shall do.
#[derive(Debug)]
pub enum Output {
    /// Make an HTTP request; answer with `CalloutDone`.
    Callout(Callout),
    /// Read what is shared; answer with `SharedRead` at once.
    ReadShared,
    /// Write what is shared, if nobody has written it since it had this version; answer with
    /// `SharedWritten` at once.
    WriteShared(Vec<u8>, u32),
    /// Sign by this from now on.
    Identity(Box<Identity>),
    /// Change a counter.
    Count(Metric),
    /// Write a line into Envoy's log.
    Log(Level, String),
}

/// As whom is signed, by which key, and until when.
#[derive(Clone)]
pub struct Identity {
    /// `ST$` and the token.
    pub key_id: KeyId,
    /// The session key.
    pub key: PrivateKey,
    /// When the token ends.
    pub expires: Wall,
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Identity(until {})", self.expires)
    }
}

/// What is written next, and what follows when it is.
enum Writing {
    /// Whether this worker may ask.
    Lease(Shared),
    /// The result; it goes on without.
    Result,
}

/// Gets tokens and renews them; one per worker.
pub struct Principal {
    config: PrincipalConfig,
    environment: Environment,
    entropy: Entropy,
    /// When the token that is used came, when it is renewed, and when it ends.
    current: Option<(Wall, Wall, Wall)>,
    /// What is shared as it was last seen, with its version.
    seen: (Shared, u32),
    work: Option<(Steady, Work)>,
    writing: Option<Writing>,
    next: Steady,
    tickets: u64,
    open: Option<Ticket>,
    is_end_told: bool,
    outputs: VecDeque<Output>,
}

/// What the environment says of a resource principal (`OCI_RESOURCE_PRINCIPAL_…`, version 2.2): the
/// things themselves, or where they are.
#[derive(Clone, Default)]
pub struct Environment {
    /// `OCI_RESOURCE_PRINCIPAL_RPST`, unless it is a path.
    pub token: Option<String>,
    /// `OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM`, unless it is a path.
    pub private_key: Option<String>,
    /// `OCI_RESOURCE_PRINCIPAL_RPST`, if it is a path.
    pub token_path: Option<String>,
    /// `OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM`, if it is a path.
    pub private_key_path: Option<String>,
}

impl Environment {
    /// Reads the two variables. A WebAssembly module can't open files, so Envoy serves it those at
    /// absolute paths, under the same paths.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name: &str, is_path: bool| {
            let value = variable(name)?;
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
            let is_there = !value.trim().is_empty() && value.starts_with('/') == is_path;
            (is_there && (!is_path || value.bytes().all(fits))).then_some(value)
        };
        let (token, key) = (
            "OCI_RESOURCE_PRINCIPAL_RPST",
            "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM",
        );
        Self {
            token: value(token, false),
            private_key: value(key, false),
            token_path: value(token, true),
            private_key_path: value(key, true),
        }
    }
}

impl Principal {
    /// One that has no token yet and asks at its first tick.
    #[must_use]
    pub fn new(config: PrincipalConfig, environment: Environment, entropy: Entropy) -> Self {
        Self {
            config,
            environment,
            entropy,
            current: None,
            seen: (Shared::default(), 0),
            work: None,
            writing: None,
            next: Steady(0),
            tickets: 0,
            open: None,
            is_end_told: false,
            outputs: VecDeque::new(),
        }
    }

    /// What the host shall do next, if anything.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns when the host has to tick at the latest.
    #[must_use]
    pub fn wakeup(&self) -> Steady {
        self.next
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input, now: Now) {
        match input {
            Input::Tick => self.tick(now),
            Input::CalloutDone(ticket, result) => {
                if self.open == Some(ticket) {
                    self.open = None;
                    self.go_on(Some(result), now);
                }
            }
            Input::SharedRead(bytes, version) => {
                self.seen = (Shared::read(bytes.as_deref()), version);
                self.look(now);
            }
            Input::SharedWritten(is_written) => match self.writing.take() {
                Some(Writing::Lease(shared)) if is_written => {
                    // Nobody else writes while we ask, so whatever version it has now is ours.
                    self.seen.0 = shared;
                    let work = Work::new(&self.config, &self.environment);
                    self.work = Some((now.steady.plus(WORK_MAX), work));
                    self.go_on(None, now);
                }
                Some(Writing::Lease(_)) => self.next = now.steady.plus(LOOK),
                Some(Writing::Result) | None => {}
            },
            Input::Refused => self.refused(now),
        }
    }

    fn tick(&mut self, now: Now) {
        self.tell_end(now.wall);
        match &self.work {
            Some((deadline, _)) if now.steady >= *deadline => {
                self.open = None;
                let seconds = WORK_MAX.as_secs();
                self.fail(&format!("it took longer than {seconds} s"), now);
            }
            Some((_, Work::Search(_))) => self.go_on(None, now),
            Some(_) => {}
            None if now.steady >= self.next => {
                self.next = now.steady.plus(LOOK);
                self.outputs.push_back(Output::ReadShared);
            }
            None => {}
        }
    }

    /// A token has ended before there was another one: that is told once.
    fn tell_end(&mut self, now: Wall) {
        let has_ended = self.current.is_some_and(|(_, _, expires)| expires <= now);
        if has_ended && !std::mem::replace(&mut self.is_end_told, true) {
            let line = "the token of stream.signing.principal has ended and there is no other: \
                        nothing is sent to the Stream until there is one";
            self.log(Level::Error, line.to_owned());
        }
    }

    /// What is shared has been read: a token of another worker is used; else, if one is due and
    /// nobody is asking, this worker asks.
    fn look(&mut self, now: Now) {
        let (shared, version) = (self.seen.0.clone(), self.seen.1);
        if let Some(theirs) = &shared.identity
            && self.current.is_none_or(|(came, ..)| came < theirs.came())
            && let Some((token, key)) = theirs.open(now.wall)
        {
            self.take(&token, key, theirs.came(), now);
        }
        let renews = self.current.map_or(Wall(0), |(_, renews, _)| renews);
        if now.wall < renews {
            self.next = now.steady.plus(renews.since(now.wall));
            return;
        }
        // A clock that was set back must not make everybody wait.
        let busy = Wall(shared.busy_until).since(now.wall);
        if !busy.is_zero() && busy <= LEASE {
            self.next = now.steady.plus(LOOK);
            return;
        }
        let lease = Shared {
            busy_until: now.wall.plus(LEASE).0,
            ..shared
        };
        self.next = now.steady.plus(LOOK);
        let bytes = lease.write();
        self.writing = Some(Writing::Lease(lease));
        self.outputs.push_back(Output::WriteShared(bytes, version));
    }

    /// Does the next step of the work.
    fn go_on(&mut self, answer: Option<CalloutResult>, now: Now) {
        let Some((deadline, work)) = self.work.take() else {
            return;
        };
        let progress = work.go_on(answer, &self.config, &mut self.entropy, now.wall);
        match progress {
            Ok(Progress::Ask(cluster, request, work)) => {
                self.tickets = self.tickets.wrapping_add(1);
                let ticket = Ticket(self.tickets);
                self.open = Some(ticket);
                self.work = Some((deadline, work));
                self.next = deadline;
                self.outputs.push_back(Output::Callout(Callout {
                    ticket,
                    cluster,
                    request,
                    timeout: work::TIMEOUT,
                    answer_bytes_max: exchange::ANSWER_BYTES_MAX,
                }));
            }
            Ok(Progress::Search(work)) => {
                self.work = Some((deadline, work));
                self.next = now.steady.plus(STEP);
            }
            Ok(Progress::Done(token, key)) => self.succeed(&token, *key, now),
            Err(why) => self.fail(&why, now),
        }
    }

    fn succeed(&mut self, token: &Token, key: PrivateKey, now: Now) {
        let shared = SharedIdentity::new(token, &key, now.wall);
        self.take(token, key, now.wall, now);
        self.outputs
            .push_back(Output::Count(Metric::PrincipalTokens));
        let line = format!(
            "has a token as {} principal until {}",
            self.config.kind.name(),
            token.expires
        );
        self.log(Level::Info, line);
        self.share(Shared {
            busy_until: 0,
            failures: 0,
            identity: shared.ok(),
        });
    }

    fn fail(&mut self, why: &str, now: Now) {
        self.work = None;
        let failures = self.seen.0.failures.saturating_add(1);
        let pause = BACKOFF.pause(failures);
        self.outputs
            .push_back(Output::Count(Metric::PrincipalFailures));
        let until = match self.current {
            Some((_, _, expires)) if expires > now.wall => {
                format!("the token that there is serves until {expires}")
            }
            Some(_) | None => "nothing is sent to the Stream until there is one".to_owned(),
        };
        let line = format!(
            "there is no new token as {} principal: {why}. {until}; the next try is in {} s",
            self.config.kind.name(),
            pause.as_secs()
        );
        self.log(Level::Warn, line);
        self.next = now.steady.plus(pause);
        self.share(Shared {
            busy_until: now.wall.plus(pause).0,
            failures,
            identity: self.seen.0.identity.clone(),
        });
    }

    /// Shares a result; whoever has written in between has taken over after the lease.
    fn share(&mut self, shared: Shared) {
        let bytes = shared.write();
        self.seen.0 = shared;
        self.writing = Some(Writing::Result);
        // Zero: whatever its version.
        self.outputs.push_back(Output::WriteShared(bytes, 0));
    }

    /// Signs by a token from now on.
    fn take(&mut self, token: &Token, key: PrivateKey, came: Wall, now: Now) {
        let half = token.half_time(came);
        let jitter = token.expires.since(came) / JITTER_DIVISOR;
        let jitter = Duration::from_millis(self.entropy.up_to(millis(jitter)));
        let renews = Wall(half.0.saturating_sub(millis(jitter))).max(now.wall.plus(LOOK));
        self.current = Some((came, renews, token.expires));
        self.is_end_told = false;
        self.next = now.steady.plus(renews.since(now.wall));
        self.outputs.push_back(Output::Identity(Box::new(Identity {
            key_id: token.key_id.clone(),
            key,
            expires: token.expires,
        })));
    }

    /// The token may have been taken back: another one is asked for, but not again and again.
    fn refused(&mut self, now: Now) {
        let Some((came, renews, _)) = &mut self.current else {
            return;
        };
        if now.wall.since(*came) >= REFUSED_PAUSE && *renews > now.wall && self.work.is_none() {
            *renews = now.wall;
            self.next = now.steady;
        }
    }

    fn log(&mut self, level: Level, line: String) {
        self.outputs.push_back(Output::Log(level, line));
    }
}
