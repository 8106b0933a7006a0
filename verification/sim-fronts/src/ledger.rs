//! What is true beyond the logs: which requests were asked and answered, and what was promised.

use std::collections::{BTreeMap, BTreeSet};

use sim::invariants::Violation;
use stream_coordination::fold::Folded;
use stream_coordination::io::Answer;
use stream_coordination::placement::slot_of_key;
use stream_coordination::record::{Change, SlotBody};
use stream_coordination::state::WhyRefused;

use crate::cluster::{Life, Log};

/// A request to a front's coordination.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The slot.
    pub slot: u32,
    /// What to change.
    pub change: Change,
    /// When.
    pub at: u64,
    /// The operation of a client that it belongs to.
    pub op: Option<u64>,
}

/// What was committed, as somebody was told.
#[derive(Clone, Debug)]
pub struct Promised {
    incarnation: u64,
    offsets: BTreeMap<u32, u64>,
    /// Where the last of these commits stands in the log.
    at: u64,
}

/// Everything that was promised.
#[derive(Default)]
pub struct Ledger {
    /// Requests without an answer.
    pub asked: BTreeMap<(Life, u64), Asked>,
    /// Commits, by the group's key.
    pub promised: BTreeMap<u64, Promised>,
    /// Groups and streams that somebody has asked to forget.
    may_be_gone: BTreeSet<u64>,
    streams_may_be_gone: BTreeSet<u64>,
    group_keys: BTreeMap<(u64, String), u64>,
    stream_keys: BTreeMap<String, u64>,
    /// The answers about documents, each of which is put once, by their content.
    documents: BTreeMap<String, Answer>,
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that were done.
    pub done: u64,
}

fn broken(invariant: &'static str, text: String) -> Violation {
    Violation::new(invariant, "", text)
}

impl Ledger {
    /// Notes a request.
    pub fn ask(&mut self, life: Life, request: u64, asked: Asked) {
        match &asked.change {
            Change::ForgetGroups { groups, .. } => self.may_be_gone.extend(groups),
            Change::DeleteStream { stream } => {
                self.streams_may_be_gone.insert(*stream);
            }
            Change::PutDocument(document) => {
                let unknown = Answer::Unknown;
                self.documents.insert(document.json.clone(), unknown);
            }
            Change::OpenGroup { .. }
            | Change::Commit { .. }
            | Change::MoveGroup { .. }
            | Change::UseGroups { .. }
            | Change::CreateStream(_)
            | Change::ActivateStream { .. }
            | Change::ForgetStream { .. }
            | Change::DeleteDocument { .. } => {}
        }
        self.asked.insert((life, request), asked);
    }

    /// Notes an answer, and checks what it promises. Returns the request.
    ///
    /// # Errors
    /// K5: it was answered before. K1: what is done isn't in the log. K7: a name is there twice.
    pub fn answer<'a>(
        &mut self,
        life: Life,
        request: u64,
        answer: &Answer,
        log: impl Fn(u32) -> Option<&'a Log>,
    ) -> Result<Asked, Violation> {
        let Some(asked) = self.asked.remove(&(life, request)) else {
            let text = format!("request {request} of {life:?} was answered again: {answer:?}");
            return Err(broken("K5", text));
        };
        self.answered = self.answered.saturating_add(1);
        if let Change::PutDocument(document) = &asked.change {
            self.documents.insert(document.json.clone(), answer.clone());
        }
        if let Answer::Done { key, offset } = answer {
            self.done = self.done.saturating_add(1);
            let record = log(asked.slot).and_then(|log| log.valid_record(*offset));
            if record.is_none_or(|record| record.body != SlotBody::Change(asked.change.clone())) {
                let text = format!("{:?} is done, but isn't valid at {offset}", asked.change);
                return Err(broken("K1", text));
            }
            self.promise(&asked, *key, *offset)?;
        }
        Ok(asked)
    }

    fn promise(&mut self, asked: &Asked, key: Option<u64>, at: u64) -> Result<(), Violation> {
        match (&asked.change, key) {
            (Change::OpenGroup { stream, name, .. }, Some(key)) => {
                let twin = self.group_keys.insert((*stream, name.clone()), key);
                let is_gone = |twin: &u64| {
                    self.may_be_gone.contains(twin) || self.streams_may_be_gone.contains(stream)
                };
                if twin.is_some_and(|twin| twin != key && !is_gone(&twin)) {
                    let text = format!("group {name} of stream {stream} is {twin:?} and {key}");
                    return Err(broken("K7", text));
                }
            }
            (Change::CreateStream(stream), Some(key)) => {
                let twin = self.stream_keys.insert(stream.name.clone(), key);
                let is_gone = |twin: &u64| self.streams_may_be_gone.contains(twin);
                if twin.is_some_and(|twin| !is_gone(&twin)) {
                    let text = format!("stream {} is {twin:?} and {key}", stream.name);
                    return Err(broken("K7", text));
                }
            }
            (
                Change::Commit {
                    group,
                    incarnation,
                    offsets,
                },
                _,
            ) => self.promise_commit(*group, *incarnation, offsets, at),
            _ => {}
        }
        Ok(())
    }

    fn promise_commit(
        &mut self,
        group: u64,
        incarnation: u64,
        offsets: &BTreeMap<u32, u64>,
        at: u64,
    ) {
        let promised = self.promised.entry(group).or_insert_with(|| Promised {
            incarnation,
            offsets: BTreeMap::new(),
            at,
        });
        if promised.incarnation > incarnation {
            return;
        }
        if promised.incarnation < incarnation {
            promised.incarnation = incarnation;
            promised.offsets.clear();
        }
        promised.at = promised.at.max(at);
        for (partition, offset) in offsets {
            let kept = promised.offsets.entry(*partition).or_default();
            *kept = (*kept).max(*offset);
        }
    }

    /// Checks that a log still has what was promised of it.
    ///
    /// # Errors
    /// K1: a commit is lost, or has gone back.
    pub fn check(&self, slot: u32, truth: &Folded) -> Result<(), Violation> {
        let of_slot = self
            .promised
            .iter()
            .filter(|(key, _)| slot_of_key(**key) == slot);
        for (key, promised) in of_slot.filter(|(_, promised)| promised.at < truth.next) {
            let Some(group) = truth.state.group(*key) else {
                if self.may_be_gone.contains(key) || !self.streams_may_be_gone.is_empty() {
                    continue;
                }
                return Err(broken(
                    "K1",
                    format!("group {key} is gone, with {promised:?}"),
                ));
            };
            let is_kept = |(partition, offset): (&u32, &u64)| {
                let position = group.positions.get(partition);
                position.is_some_and(|position| position.committed >= Some(*offset))
            };
            let is_moved = group.incarnation > promised.incarnation;
            if !is_moved && !promised.offsets.iter().all(is_kept) {
                let text = format!("group {key} is {group:?}, and {promised:?} was promised");
                return Err(broken("K1", text));
            }
        }
        Ok(())
    }

    /// Checks that a read begins behind what was committed.
    ///
    /// # Errors
    /// K9: it repeats what somebody was told to be committed.
    pub fn check_read(
        &self,
        group: u64,
        incarnation: u64,
        (partition, from): (u32, u64),
    ) -> Result<(), Violation> {
        let promised = self.promised.get(&group);
        let promised = promised.filter(|promised| promised.incarnation == incarnation);
        let committed = promised.and_then(|promised| promised.offsets.get(&partition));
        if committed.is_none_or(|committed| from > *committed) {
            return Ok(());
        }
        let text = format!(
            "group {group} is read from {from} of partition {partition} on, and {committed:?} \
             was committed"
        );
        Err(broken("K9", text))
    }

    /// Checks at the end of a run that each document was put as often as its answer says.
    ///
    /// # Errors
    /// K5: it was not.
    pub fn check_documents(&self, control: &Log) -> Result<(), Violation> {
        let mut times: BTreeMap<&str, u64> = BTreeMap::new();
        let records: Vec<_> = control.valid_records().map(|(_, record)| record).collect();
        for record in &records {
            if let SlotBody::Change(Change::PutDocument(document)) = &record.body {
                let count = times.entry(&document.json).or_default();
                *count = count.saturating_add(1);
            }
        }
        for (json, answer) in &self.documents {
            let count = times.get(json.as_str()).copied().unwrap_or(0);
            let is_right = match answer {
                Answer::Done { .. } => count == 1,
                Answer::Refused(WhyRefused::StreamExists) | Answer::NotDone(_) => count == 0,
                Answer::Refused(_) | Answer::Unknown => count <= 1,
            };
            if !is_right {
                let text = format!("{json} was put {count} times, and the answer was {answer:?}");
                return Err(broken("K5", text));
            }
        }
        Ok(())
    }
}
