//! Messages for one stream that are put again until they are stored: in batches, in order, one
//! PutMessages at a time.
//!
//! The Stream may refuse a whole batch because of one message, however often it is put. So a
//! refused batch is halved until that message is found. It is set aside and put again alone a few
//! times, while the others go on. Then it is given back as refused for good.

use std::collections::VecDeque;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::http::{CalloutResult, OutgoingRequest};
use crate::limits::{PUT_BYTES_MAX, PUT_MESSAGES_MAX};
use crate::stream::StreamClient;
use crate::stream::batch::{Batch, BatchMax, FailedBatch, Message, SentBatch};
use crate::stream::error::{StreamError, wait_in};
use crate::stream::put::PutEntry;
use crate::time::Steady;

/// Pauses after messages could not be stored.
const FAILURE_BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(200),
    last: Duration::from_secs(5),
};

/// A message that was refused alone is put again after this.
const ALONE_PAUSE: Duration = Duration::from_secs(5);

/// A message is refused for good if it was refused alone for so long, or although others were
/// stored meanwhile.
const REFUSED_FOR: Duration = Duration::from_secs(30);

/// A message that the Stream has refused alone.
#[derive(Debug)]
struct Aside<M> {
    message: M,
    refusal: Refusal,
    /// When it is put again.
    at: Steady,
}

/// When a message was first refused alone.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    at: Steady,
    /// How many messages of the queue were stored by then.
    stored: u64,
}

/// A queue of messages for one stream.
#[derive(Debug)]
pub(crate) struct PutQueue<M> {
    client: StreamClient,
    waiting: VecDeque<M>,
    in_flight: Option<SentBatch<M>>,
    /// Messages that were refused alone, by the time at which they are put again.
    aside: VecDeque<Aside<M>>,
    /// The first refusal of the message in flight, if it was refused alone before.
    alone: Option<Refusal>,
    /// Whether the latest batch was such a single message. Then others go first.
    was_alone: bool,
    /// The most messages in a batch: fewer after a batch that was refused.
    batch_max: usize,
    /// How many messages were stored.
    stored: u64,
    not_before: Steady,
    failures: u32,
}

/// A message that is refused for good.
pub(crate) struct Refused<M> {
    pub(crate) message: M,
    /// The Stream's reason.
    pub(crate) why: String,
    /// Whether the Stream has stored other messages meanwhile.
    pub(crate) takes_others: bool,
}

/// What happened to a batch.
pub(crate) struct Settled<M> {
    /// Messages that the Stream has stored.
    pub(crate) stored: Vec<M>,
    /// Messages that the Stream will never take.
    pub(crate) refused: Vec<Refused<M>>,
    /// How many messages are put again, and why.
    pub(crate) again: Option<(usize, String)>,
}

impl<M> Settled<M> {
    /// Returns the result of a batch to which nothing has happened.
    const fn nothing() -> Self {
        Self {
            stored: Vec::new(),
            refused: Vec::new(),
            again: None,
        }
    }
}

impl<M: Message> PutQueue<M> {
    pub(crate) fn new(client: StreamClient) -> Self {
        Self {
            client,
            waiting: VecDeque::new(),
            in_flight: None,
            aside: VecDeque::new(),
            alone: None,
            was_alone: false,
            batch_max: PUT_MESSAGES_MAX,
            stored: 0,
            not_before: Steady(0),
            failures: 0,
        }
    }

    /// Adds a message at the end.
    pub(crate) fn add(&mut self, message: M) {
        self.waiting.push_back(message);
    }

    /// Returns how many messages aren't stored, as far as is known.
    pub(crate) fn len(&self) -> usize {
        let in_flight = self.in_flight.as_ref().map_or(0, SentBatch::len);
        let all = self.waiting.len().saturating_add(in_flight);
        all.saturating_add(self.aside.len())
    }

    /// Takes out the message that has waited longest, if it `is_of_age` and isn't on its way.
    pub(crate) fn take_if(&mut self, is_of_age: impl Fn(&M) -> bool) -> Option<M> {
        if self.aside.iter().any(|aside| is_of_age(&aside.message)) {
            let index = self.aside.iter().position(|a| is_of_age(&a.message))?;
            return self.aside.remove(index).map(|aside| aside.message);
        }
        is_of_age(self.waiting.front()?).then(|| self.waiting.pop_front())?
    }

    /// Returns when the next batch may be sent, if there is one.
    pub(crate) fn wakeup(&self) -> Option<Steady> {
        if self.in_flight.is_some() {
            return None;
        }
        let may_go = self.waiting.iter().any(|message| !self.is_behind(message));
        let batch = may_go.then_some(self.not_before);
        let alone = self.aside.front();
        let alone = alone.map(|aside| aside.at.max(self.not_before));
        batch.into_iter().chain(alone).min()
    }

    /// Returns whether a message with the same order key was set aside.
    fn is_behind(&self, message: &M) -> bool {
        let order_key = message.order_key();
        let mut aside = self.aside.iter();
        order_key.is_some() && aside.any(|aside| aside.message.order_key() == order_key)
    }

    /// Returns the request for the next batch, if it may be sent now.
    pub(crate) fn next(&mut self, now: Steady) -> Option<OutgoingRequest> {
        self.wakeup().filter(|due| *due <= now)?;
        let mut batch = Batch::default();
        let is_due = self.aside.front().is_some_and(|aside| aside.at <= now);
        if !is_due || self.was_alone {
            batch = self.gather();
        }
        self.was_alone = batch.is_empty();
        if self.was_alone {
            let Aside {
                message, refusal, ..
            } = self.aside.pop_front()?;
            self.alone = Some(refusal);
            batch.add_whole(message);
        }
        let (request, sent) = batch.send(&self.client);
        self.in_flight = Some(sent);
        Some(request)
    }

    /// Fills a batch with messages that wait.
    fn gather(&mut self) -> Batch<M> {
        let max = BatchMax {
            messages: self.batch_max,
            bytes: PUT_BYTES_MAX,
        };
        let mut batch = Batch::default();
        let mut behind = VecDeque::new();
        while let Some(message) = self.waiting.pop_front() {
            if self.is_behind(&message) {
                behind.push_back(message);
                continue;
            }
            let has_room = batch.has_room(message.key(), message.record(), max);
            if !has_room || would_overtake(&message, &batch) {
                self.waiting.push_front(message);
                break;
            }
            batch.add_whole(message);
        }
        behind
            .into_iter()
            .rev()
            .for_each(|message| self.waiting.push_front(message));
        batch
    }

    /// Handles the Stream's answer to the batch in flight. `describe` turns an error into the text
    /// for the log.
    pub(crate) fn settle(
        &mut self,
        result: CalloutResult,
        now: Steady,
        describe: impl FnOnce(&StreamError) -> String,
    ) -> Settled<M> {
        let Some(batch) = self.in_flight.take() else {
            return Settled::nothing();
        };
        let alone = self.alone.take();
        let judged = match batch.answered(result) {
            Ok(entries) => Judged::by_entries(entries),
            Err(FailedBatch { messages, error }) => {
                Judged::failed(messages, &error, describe(&error))
            }
        };
        self.stored = self.stored.saturating_add(judged.stored.len() as u64);
        if !judged.stored.is_empty() {
            self.failures = 0;
            self.batch_max = self.batch_max.saturating_mul(2).min(PUT_MESSAGES_MAX);
        }
        let Some((why, pause)) = judged.problem else {
            return Settled {
                stored: judged.stored,
                ..Settled::nothing()
            };
        };
        match pause {
            Some(asked) => self.pause(asked, now),
            None => self.batch_max = (judged.again.len() / 2).max(1),
        }
        let count = judged.again.len().saturating_add(judged.refused.len());
        for message in judged.again.into_iter().rev() {
            match alone {
                Some(refusal) => self.set_aside(message, refusal, now),
                None => self.waiting.push_front(message),
            }
        }
        let refused = judged.refused.into_iter();
        let refused = refused.filter_map(|message| self.refuse(message, alone, &why, now));
        Settled {
            refused: refused.collect(),
            stored: judged.stored,
            again: Some((count, why)),
        }
    }

    fn pause(&mut self, asked: Duration, now: Steady) {
        self.failures = self.failures.saturating_add(1);
        let pause = FAILURE_BACKOFF.pause(self.failures);
        self.not_before = now.plus(pause.max(asked));
    }

    fn set_aside(&mut self, message: M, refusal: Refusal, now: Steady) {
        let at = now.plus(ALONE_PAUSE);
        self.aside.push_back(Aside {
            message,
            refusal,
            at,
        });
    }

    /// Handles a message that was refused alone: it is set aside, or returned as refused for good.
    fn refuse(
        &mut self,
        message: M,
        before: Option<Refusal>,
        why: &str,
        now: Steady,
    ) -> Option<Refused<M>> {
        let stored = self.stored;
        let first = before.unwrap_or(Refusal { at: now, stored });
        let takes_others = stored > first.stored;
        if takes_others || now >= first.at.plus(REFUSED_FOR) {
            let why = why.to_owned();
            return Some(Refused {
                message,
                why,
                takes_others,
            });
        }
        self.set_aside(message, first, now);
        None
    }
}

/// Returns whether a message would overtake one of the batch that has the same order key: of two
/// messages in one batch, the Stream may store only the second.
fn would_overtake<M: Message>(message: &M, batch: &Batch<M>) -> bool {
    let key = message.order_key();
    let mut others = batch.messages().iter();
    key.is_some() && others.any(|other| other.order_key() == key)
}

/// What the answer to a batch says of its messages.
struct Judged<M> {
    stored: Vec<M>,
    again: Vec<M>,
    /// Messages that the Stream refuses themselves.
    refused: Vec<M>,
    /// What went wrong, and the pause that the Stream asks for; `None` if another batch may follow
    /// at once.
    problem: Option<(String, Option<Duration>)>,
}

impl<M> Judged<M> {
    fn by_entries(entries: Vec<(M, PutEntry)>) -> Self {
        let mut judged = Self {
            stored: Vec::new(),
            again: Vec::new(),
            refused: Vec::new(),
            problem: None,
        };
        for (message, entry) in entries {
            match entry {
                PutEntry::Stored(_) => judged.stored.push(message),
                PutEntry::Failed(why) => {
                    let asked = wait_in(&why).unwrap_or_default();
                    match is_refusal(&why) {
                        true => judged.refused.push(message),
                        false => judged.again.push(message),
                    }
                    judged.problem = Some((why, Some(asked)));
                }
                PutEntry::Unknown(why) => {
                    judged.again.push(message);
                    judged.problem = Some((why, Some(Duration::ZERO)));
                }
            }
        }
        judged
    }

    fn failed(batch: Vec<M>, error: &StreamError, why: String) -> Self {
        let is_refusal = error.is_refusal();
        let is_alone = batch.len() == 1;
        let (again, refused) = match is_refusal && is_alone {
            true => (Vec::new(), batch),
            false => (batch, Vec::new()),
        };
        let splits = is_refusal && !is_alone;
        Self {
            stored: Vec::new(),
            again,
            refused,
            problem: Some((why, (!splits).then(|| error.asked_pause()))),
        }
    }
}

/// Returns whether the Stream refuses the message itself, by what it says.
fn is_refusal(why: &str) -> bool {
    why.starts_with("Invalid") || why.contains("TooLarge")
}
