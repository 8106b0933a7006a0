//! What an owner does with the requests of clients, as the stream server does: the group's own code
//! decides, commits are made durable by the coordination, and a lease is needed to deliver.

use std::collections::BTreeMap;

use sim::invariants::Violation;
use stream_coordination::io::Answer;
use stream_coordination::record::{Change, Document, NewStream};
use stream_server::group::{Commit, GroupCursor, Join, Read};

use super::op::{Cursor, Outcome, Want};
use super::{Event, World};
use crate::cluster::Life;
use crate::ledger::Asked;
use crate::troubles::Kind;

/// The most messages of a partition that one read delivers.
const READ_MAX: u64 = 5;

/// A read under way.
#[derive(Debug)]
pub(super) struct Reading {
    read: Read,
    delivered: BTreeMap<u32, u64>,
}

impl World {
    /// Serves an operation at the owner of its slot.
    pub(super) fn serve(
        &mut self,
        life: Life,
        op: u64,
        slot: u32,
        epoch: u64,
    ) -> Result<(), Violation> {
        let Some(want) = self.ops.get(&op).map(|op| op.want.clone()) else {
            return Ok(());
        };
        match want {
            Want::Join(stream, name) => match self.named(life, slot, stream, &name) {
                Some(key) => self.join(life, op, slot, key),
                None => {
                    let starts = BTreeMap::from([(0, 0), (1, 0)]);
                    let change = Change::OpenGroup {
                        stream,
                        name,
                        starts,
                        at_ms: self.now,
                    };
                    self.ask(life, slot, change, Some(op));
                }
            },
            Want::Get(cursor) | Want::Commit(cursor) if cursor.epoch != epoch => {
                self.answer(op, Outcome::CursorInvalid);
            }
            Want::Get(cursor) => self.begin(life, op, slot, &cursor.cursor, true)?,
            Want::Commit(cursor) => self.begin(life, op, slot, &cursor.cursor, false)?,
            Want::Move(stream, name) => {
                let next = self.rng.below(10);
                let starts = BTreeMap::from([(0, next), (1, next)]);
                let group = self.named(life, slot, stream, &name);
                let change = group.map(|group| Change::MoveGroup { group, starts });
                self.ask_if(life, slot, change, op);
            }
            Want::Forget(stream, name) => {
                let group = self.named(life, slot, stream, &name);
                let unused_since_ms = self.now;
                let change = group.map(|group| Change::ForgetGroups {
                    groups: vec![group],
                    unused_since_ms,
                });
                self.ask_if(life, slot, change, op);
            }
            Want::Put(unique) => {
                // Several at once make a write of several records.
                for more in 0..self.rng.below(5) {
                    let put = document(unique, format!("{unique}-{more}"));
                    self.ask(life, 0, put, None);
                }
                self.ask(life, 0, document(unique, unique.to_string()), Some(op));
            }
            Want::Create(unique) => {
                let stream = NewStream {
                    id: format!("id-{unique}"),
                    name: format!("stream-{}", unique % 3),
                    partitions: 2,
                    compartment_id: None,
                    stream_pool_id: None,
                    retention_hours: 24,
                    created_ms: self.now,
                };
                self.ask(life, 0, Change::CreateStream(stream), Some(op));
            }
            Want::Delete(stream) => {
                self.ask(life, 0, Change::DeleteStream { stream }, Some(op));
            }
        }
        Ok(())
    }

    fn ask_if(&mut self, life: Life, slot: u32, change: Option<Change>, op: u64) {
        match change {
            Some(change) => self.ask(life, slot, change, Some(op)),
            None => self.answer(op, Outcome::Failed),
        }
    }

    fn named(&self, life: Life, slot: u32, stream: u64, name: &str) -> Option<u64> {
        let coordinator = self.front(life.0)?.coordinator.as_ref()?;
        let group = coordinator.state(slot)?.group_named(stream, name)?;
        Some(group.key)
    }

    fn join(&mut self, life: Life, op: u64, slot: u32, key: u64) {
        let client = self.ops.get(&op).and_then(|op| self.clients.get(op.client));
        let Some(join) = client.map(|client| Join {
            instance: client.instance.clone(),
            timeout_ms: 20_000,
            commit_on_get: client.commit_on_get,
        }) else {
            return;
        };
        let now = self.now;
        let outcome = self.fronts.get_mut(life.0).and_then(|front| {
            let time = front.group_time(now);
            let epoch = front.tables.get(&slot)?.epoch;
            let cursor = front.group(slot, key, now)?.join(time, join).ok()?;
            Some(Outcome::Cursor(Cursor { epoch, cursor }))
        });
        self.answer(op, outcome.unwrap_or(Outcome::Failed));
    }

    /// Begins to read or to commit: what the cursor has read becomes durable first.
    fn begin(
        &mut self,
        life: Life,
        op: u64,
        slot: u32,
        cursor: &GroupCursor,
        is_get: bool,
    ) -> Result<(), Violation> {
        let now = self.now;
        let begun = self.fronts.get_mut(life.0).and_then(|front| {
            let time = front.group_time(now);
            let group = front.group(slot, cursor.group_key, now)?;
            match is_get {
                true => {
                    let get = group.begin_get(time, cursor).ok()?;
                    Some((get.cursor, get.commit))
                }
                false => Some((cursor.clone(), group.begin_commit(time, cursor).ok()?)),
            }
        });
        let Some((cursor, commit)) = begun else {
            self.answer(op, Outcome::CursorInvalid);
            return Ok(());
        };
        let change = Change::Commit {
            group: commit.group_key,
            incarnation: commit.incarnation,
            offsets: commit.committed.clone(),
        };
        let is_durable = commit.committed.is_empty();
        if let Some(op) = self.ops.get_mut(&op) {
            op.group = Some((cursor, commit));
        }
        match is_durable {
            true => self.committed(life, op),
            false => {
                self.ask(life, slot, change, Some(op));
                Ok(())
            }
        }
    }

    /// Goes on with an operation whose change was answered.
    pub(super) fn go_on(
        &mut self,
        life: Life,
        op: u64,
        asked: &Asked,
        answer: Answer,
    ) -> Result<(), Violation> {
        self.finish_commit(life, asked, &answer);
        let key = match answer {
            Answer::Done { key, .. } => key,
            Answer::Refused(_) | Answer::NotDone(_) | Answer::Unknown => {
                self.answer(op, Outcome::Failed);
                return Ok(());
            }
        };
        match (&asked.change, key) {
            (Change::OpenGroup { .. }, Some(key)) => self.join(life, op, asked.slot, key),
            (Change::Commit { .. }, _) => return self.committed(life, op),
            (Change::CreateStream(_) | Change::DeleteStream { .. }, _) => {
                self.finish_streams(life.0);
                self.answer(op, Outcome::Done);
            }
            _ => self.answer(op, Outcome::Done),
        }
        Ok(())
    }

    /// Tells the group what is durable, even if its client waits no longer.
    fn finish_commit(&mut self, life: Life, asked: &Asked, answer: &Answer) {
        let (
            Change::Commit {
                group,
                incarnation,
                offsets,
            },
            Answer::Done { .. },
        ) = (&asked.change, answer)
        else {
            return;
        };
        let commit = Commit {
            group_key: *group,
            incarnation: *incarnation,
            committed: offsets.clone(),
        };
        let now = self.now;
        let front = self.fronts.get_mut(life.0);
        if let Some(group) = front.and_then(|front| front.group(asked.slot, *group, now)) {
            group.finish_commit(&commit);
        }
    }

    /// What an operation commits is durable: it goes on.
    fn committed(&mut self, life: Life, number: u64) -> Result<(), Violation> {
        let now = self.now;
        let Some(op) = self.ops.get(&number) else {
            return Ok(());
        };
        let (Some((_, slot, epoch)), Some((cursor, commit)), want) =
            (op.by, op.group.clone(), op.want.clone())
        else {
            return Ok(());
        };
        let next = self.fronts.get_mut(life.0).and_then(|front| {
            front
                .tables
                .get(&slot)
                .filter(|table| table.epoch == epoch)?;
            let group = front.group(slot, commit.group_key, now)?;
            group.cursor_after_commit(&cursor).ok()
        });
        let Some(cursor) = next else {
            self.answer(number, Outcome::CursorInvalid);
            return Ok(());
        };
        if matches!(want, Want::Commit(_)) {
            self.answer(number, Outcome::Cursor(Cursor { epoch, cursor }));
            return Ok(());
        }
        self.read(life, number, slot, &cursor)
    }

    fn read(
        &mut self,
        life: Life,
        op: u64,
        slot: u32,
        cursor: &GroupCursor,
    ) -> Result<(), Violation> {
        let now = self.now;
        let Some(front) = self.fronts.get_mut(life.0) else {
            return Ok(());
        };
        if !front.serves(slot, now) {
            self.count(Kind::LeaseOver);
            self.answer(op, Outcome::Failed);
            return Ok(());
        }
        let data = &self.data;
        let read = front.group(slot, cursor.group_key, now).and_then(|group| {
            let stream = data.get(&group.record().stream_key);
            let next_of = |partition: u32| {
                let at = usize::try_from(partition).unwrap_or(usize::MAX);
                stream.and_then(|nexts| nexts.get(at)).copied().unwrap_or(0)
            };
            let read = group.begin_read(cursor, next_of).ok()?;
            let delivered = read.ranges.iter().map(|range| {
                let next = next_of(range.partition).min(range.until);
                let until = next.min(range.from.saturating_add(READ_MAX));
                (range.partition, until.saturating_sub(1))
            });
            let delivered = delivered.collect();
            Some((group.record().incarnation, Reading { read, delivered }))
        });
        let Some((incarnation, reading)) = read else {
            self.answer(op, Outcome::CursorInvalid);
            return Ok(());
        };
        for range in &reading.read.ranges {
            let place = (range.partition, range.from);
            self.ledger
                .check_read(cursor.group_key, incarnation, place)?;
        }
        let most = if self.strikes(20) { 6_000 } else { 20 };
        self.soon(most, Event::ReadDone(life, op, Box::new(reading)));
        Ok(())
    }

    /// A read has its messages: they are delivered if the lease still lasts.
    pub(super) fn read_done(&mut self, life: Life, number: u64, reading: Reading) {
        let now = self.now;
        let by = self
            .ops
            .get(&number)
            .and_then(|op| Some((op.by?, op.group.clone()?)));
        let Some(((_, slot, epoch), (cursor, _))) = by else {
            return;
        };
        let Some(front) = self.fronts.get_mut(life.0) else {
            return;
        };
        let serves = front.serves(slot, now);
        let is_same = front
            .tables
            .get(&slot)
            .is_some_and(|table| table.epoch == epoch);
        let group = front.group(slot, cursor.group_key, now).filter(|_| is_same);
        let Reading { read, delivered } = reading;
        let messages = if serves { delivered } else { BTreeMap::new() };
        let next = group.and_then(|group| group.finish_read(read, &messages).ok());
        match next {
            Some(cursor) if serves => {
                self.delivered = self.delivered.saturating_add(1);
                self.answer(number, Outcome::Cursor(Cursor { epoch, cursor }));
            }
            Some(_) => {
                self.count(Kind::LeaseOver);
                self.answer(number, Outcome::Failed);
            }
            None => self.answer(number, Outcome::CursorInvalid),
        }
    }
}

fn document(unique: u64, json: String) -> Change {
    Change::PutDocument(Document {
        kind: "pool".to_owned(),
        id: format!("pool-{}", unique % 3),
        json,
    })
}
