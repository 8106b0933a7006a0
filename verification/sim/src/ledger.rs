//! What is true, seen from above: every record, attempt and answer. The invariants read it.

use std::collections::{BTreeMap, BTreeSet};

use sluice::http::CalloutResult;
use sluice::http::first;
use sluice::record::reply_address::ReplyAddress;
use sluice::record::{CallHead, decode};
use sluice::reply::result::reply_id;
use sluice::time::Wall;
use stream_server::storage::Message;

/// The place of a record: number of the stream in the plan, partition, offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The number of the stream in the plan.
    pub stream: usize,
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: u64,
}

/// The wall clock at the start: 2026-11-23T04:36:00Z.
pub const EPOCH_MS: u64 = 1_795_408_560_000;

/// The stream of calls, as every plan has it.
pub const CALLS: usize = 0;
/// The stream of dead letters.
pub const DEAD: usize = 1;

/// One life of one worker's engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Engine {
    /// The worker.
    pub worker: usize,
    /// How often its VM was started anew.
    pub life: u32,
}

/// A record of a call, on whatever stream.
#[derive(Debug)]
pub struct Record {
    /// The call id, even if the record has none.
    pub id: String,
    /// The head; `None` if nobody can read it.
    pub head: Option<CallHead>,
    /// The key of its message.
    pub key: Option<Vec<u8>>,
    /// The engine that has stored it; `None` for other publishers.
    pub by: Option<Engine>,
    /// The content.
    pub body: Vec<u8>,
    /// When it was stored, in milliseconds.
    pub at: u64,
}

impl Record {
    /// Returns its order key, if it is a call that has one and is where the calls of this key
    /// belong.
    #[must_use]
    pub fn order_key(&self) -> Option<&str> {
        let key = self.head.as_ref()?.order_key.as_deref()?;
        (self.key.as_deref() == Some(key.as_bytes())).then_some(key)
    }
}

/// The result of an attempt, as the drain learns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The target has taken it.
    Delivered,
    /// The target or the gateway has refused it for good.
    Refused,
    /// It may be tried again, after so many milliseconds at least.
    Again(u64),
    /// Nobody has seen it.
    NeverSent,
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The engine that made it.
    pub by: Engine,
    /// When, in steady milliseconds.
    pub at: u64,
    /// The callout.
    pub exchange: u64,
    /// When its time limit ends.
    pub deadline: u64,
    /// When the drain learned the result, and the result.
    pub end: Option<(u64, End)>,
    /// What the wall clock of its gateway showed then.
    pub end_wall: u64,
    /// Whether the drain has left its group meanwhile, and waits no longer for the result: the call
    /// is in doubt.
    pub is_left: bool,
}

/// Everything that is true.
#[derive(Default)]
pub struct Ledger {
    /// Whether nothing goes wrong but that gateways are replaced.
    pub is_rolling: bool,
    /// All records of calls and lanes.
    pub records: BTreeMap<Place, Record>,
    /// Their places, by call id.
    pub places: BTreeMap<String, Vec<Place>>,
    /// Dead letters by the place of the record that died, and how many there are.
    pub dead: BTreeMap<Place, usize>,
    /// When something last ended a call, by its id: a result of an attempt, or a dead letter.
    pub ended_at: BTreeMap<String, u64>,
    /// All attempts, by call id.
    pub attempts: BTreeMap<String, Vec<Attempt>>,
    /// Calls that were answered with 202.
    pub accepted: BTreeMap<String, usize>,
    /// How often a record of this call may have been stored without its publisher knowing.
    pub doubts: BTreeMap<String, usize>,
    /// Engines that have died.
    pub deaths: usize,
    /// When each engine has joined a group, in steady milliseconds.
    pub joins: BTreeMap<Engine, Vec<u64>>,
    /// The records that each engine has fetched from a stream since it joined, and that nobody has
    /// committed.
    pub fetched: BTreeMap<(Engine, usize), BTreeSet<Place>>,
    /// The engine that has last committed each partition, by stream and partition.
    pub committers: BTreeMap<(usize, u32), Engine>,
}

impl Ledger {
    /// Notes a record that was stored on the calls or a lane. Returns its call's id.
    pub fn stored(
        &mut self,
        place: Place,
        message: &Message,
        by: Option<Engine>,
        at: u64,
    ) -> String {
        let call = decode(&message.value).ok();
        let (head, body) = call.map_or((None, Vec::new()), |call| (Some(call.head), call.body));
        let given = head.as_ref().and_then(|head| head.id.clone());
        let id = match given {
            Some(id) => id.0,
            None => format!("p{}-o{}", place.partition, place.offset),
        };
        self.places.entry(id.clone()).or_default().push(place);
        let record = Record {
            id: id.clone(),
            head,
            key: message.key.as_ref().map(|key| key.to_vec()),
            by,
            body,
            at,
        };
        self.records.insert(place, record);
        id
    }

    /// Notes that records are committed, so that nobody has to hold them any more.
    pub fn committed(&mut self, places: impl Iterator<Item = Place>) {
        for place in places {
            self.fetched.values_mut().for_each(|fetched| {
                fetched.remove(&place);
            });
        }
    }

    /// Returns the heads of all records of a call.
    pub fn heads(&self, id: &str) -> impl Iterator<Item = (Place, &CallHead)> + Clone {
        let places = self.places.get(id).into_iter().flatten();
        places.filter_map(|place| {
            let head = self.records.get(place)?.head.as_ref()?;
            Some((*place, head))
        })
    }

    /// Checks whether a record needs nothing more.
    ///
    /// # Errors
    /// What is missing.
    pub fn is_settled(&self, place: Place) -> Result<(), String> {
        let Some(record) = self.records.get(&place) else {
            return Ok(());
        };
        let Some(head) = &record.head else {
            let is_dead = self.dead.contains_key(&place);
            return is_dead.then_some(()).ok_or("has no dead letter".to_owned());
        };
        let (hops, redrives) = (head.progress.hops, head.progress.redrives);
        let others = self.heads(&record.id).filter(|(other, _)| *other != place);
        for (_, other) in others {
            let is_same = other.progress.redrives == redrives;
            let is_next = other.progress.hops == hops.saturating_add(1);
            let is_twin = hops > 0 && other.progress.hops == hops;
            if is_same && (is_next || is_twin) {
                return Ok(());
            }
        }
        let is_dead = self.dead.contains_key(&place);
        let is_delivered = self.has_end(&record.id, End::Delivered);
        if !is_dead && !is_delivered {
            return Err("is neither delivered nor dead, and went nowhere".to_owned());
        }
        // After a lost session both may be true. Then one of the two ends is enough.
        let told = |address: Option<&ReplyAddress>| {
            head.reply.is_some() || address.is_none() || self.replies(&record.id, redrives) > 0
        };
        let of_failure = head.failure_to.as_ref().or(head.reply_to.as_ref());
        let is_told =
            (is_dead && told(of_failure)) || (is_delivered && told(head.reply_to.as_ref()));
        is_told.then_some(()).ok_or("has no reply".to_owned())
    }

    /// Returns whether the call of a record has ended in another record of it, an earlier or a
    /// later hop. That other record is settled only when everything that tells of the end is
    /// stored.
    #[must_use]
    pub fn has_ended_elsewhere(&self, place: Place) -> bool {
        let Some(record) = self.records.get(&place) else {
            return false;
        };
        let Some(head) = &record.head else {
            return false;
        };
        let own = &head.progress;
        let is_delivered = self.has_end(&record.id, End::Delivered);
        self.heads(&record.id).any(|(other, head)| {
            let progress = &head.progress;
            let is_hop = progress.redrives == own.redrives && progress.hops.max(own.hops) > 0;
            other != place && is_hop && (is_delivered || self.dead.contains_key(&other))
        })
    }

    /// Checks whether the call of a record has ended, wherever that was. A call that went onto a
    /// lane is settled, but has not ended.
    ///
    /// # Errors
    /// What is missing.
    pub fn has_ended(&self, place: Place) -> Result<(), String> {
        let Some(record) = self.records.get(&place) else {
            return Ok(());
        };
        let mut places = self.places.get(&record.id).into_iter().flatten();
        let is_dead = places.any(|place| self.dead.contains_key(place));
        if self.has_ended_elsewhere(place) {
            return Ok(());
        }
        if is_dead || self.has_end(&record.id, End::Delivered) {
            return self.is_settled(place);
        }
        Err("has not ended".to_owned())
    }

    /// Returns how many replies of a call are stored.
    #[must_use]
    pub fn replies(&self, id: &str, redrives: u32) -> usize {
        let reply = reply_id(id, redrives).0;
        let first = self
            .heads(&reply)
            .filter(|(_, head)| head.progress.hops == 0);
        first.count()
    }

    /// Returns whether an attempt of this call had this end.
    #[must_use]
    pub fn has_end(&self, id: &str, end: End) -> bool {
        self.attempts_of(id)
            .any(|attempt| attempt.end.is_some_and(|(_, e)| e == end))
    }

    /// Returns the attempts of a call.
    pub fn attempts_of(&self, id: &str) -> impl DoubleEndedIterator<Item = &Attempt> + Clone {
        self.attempts.get(id).into_iter().flatten()
    }

    /// Notes that an engine waits no longer for its attempts, because it leaves its group.
    pub fn leave_attempts(&mut self, by: Engine) {
        let all = self.attempts.values_mut().flatten();
        for attempt in all.filter(|attempt| attempt.by == by && attempt.end.is_none()) {
            attempt.is_left = true;
        }
    }

    /// Notes the end of an attempt.
    pub fn attempt_ended(&mut self, id: &str, exchange: u64, (at, wall): (u64, Wall), end: End) {
        self.ended_at.insert(id.to_owned(), at);
        let attempts = self.attempts.get_mut(id).into_iter().flatten();
        let open = |attempt: &&mut Attempt| attempt.exchange == exchange && attempt.end.is_none();
        for attempt in attempts.filter(open) {
            attempt.end = Some((at, end));
            attempt.end_wall = wall.0;
        }
    }
}

/// Returns the meaning of a result, by the contract's table and not by the core's code.
#[must_use]
pub fn meaning(result: &CalloutResult) -> End {
    let response = match result {
        CalloutResult::NotSent => return End::NeverSent,
        CalloutResult::Lost => return End::Again(0),
        CalloutResult::Answered(response) => response,
    };
    if let Some(own) = first(&response.headers, "async-local-reply") {
        return match own.starts_with(b"UAEX") {
            true => End::Refused,
            false => End::NeverSent,
        };
    }
    match response.status {
        200..=399 => End::Delivered,
        0 | 408 | 425 | 429 | 500 | 502 | 503 | 504 => {
            let asked = first(&response.headers, "retry-after");
            let asked = asked.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
            End::Again(asked.unwrap_or(0_u64).saturating_mul(1_000))
        }
        _ => End::Refused,
    }
}
