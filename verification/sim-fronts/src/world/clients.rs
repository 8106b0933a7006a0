//! Clients: instances of groups that read, commit and move, and somebody who changes streams and
//! documents.

use sim::invariants::Violation;
use stream_coordination::io::{LogId, Route};
use stream_coordination::placement::{slot_of_group, slot_of_key};
use stream_coordination::record::Stage;

use super::op::{Cursor, Op, Outcome, Want};
use super::{Event, World};
use crate::troubles::Kind;

/// How long a client waits for an answer.
const PATIENCE_MS: u64 = 12_000;

/// One client.
pub(super) struct Client {
    group: String,
    /// Its name within the group.
    pub(super) instance: String,
    pub(super) commit_on_get: bool,
    stream: Option<u64>,
    cursor: Option<Cursor>,
    /// The cursor before.
    earlier: Option<Cursor>,
    /// The operation that it waits for, and since when.
    waits: Option<(u64, u64)>,
    /// When it has last got what it wanted.
    pub(super) succeeded_at: u64,
}

impl World {
    pub(super) fn new_client(&mut self, number: usize) -> Client {
        Client {
            group: format!("group-{}", self.rng.below(2)),
            instance: format!("instance-{number}"),
            commit_on_get: self.rng.coin(),
            stream: None,
            cursor: None,
            earlier: None,
            waits: None,
            succeeded_at: 0,
        }
    }

    pub(super) fn client_turn(&mut self, number: usize) {
        let pause = self.rng.between(50, 700);
        self.after(pause, Event::ClientTurn(number));
        let now = self.now;
        let Some(client) = self.clients.get_mut(number) else {
            return;
        };
        if client
            .waits
            .is_some_and(|(_, since)| now < since + PATIENCE_MS)
        {
            return;
        }
        if let Some((op, _)) = client.waits.take() {
            self.ops.remove(&op);
        }
        let front = self.rng.below(u64::try_from(self.plan.fronts).unwrap_or(1));
        let front = usize::try_from(front).unwrap_or(0);
        let Some(want) = self.draw_want(number, front) else {
            return;
        };
        let op = self.number();
        self.ops.insert(op, Op::new(number, want));
        if let Some(client) = self.clients.get_mut(number) {
            client.waits = Some((op, now));
        }
        if !self.strikes(self.plan.wire.client_lost) {
            self.soon(8, Event::Arrive(op, front, None));
        }
        if self.strikes(50) {
            self.send_again(number, front);
        }
    }

    /// An old commit of a client arrives once more, beside what it does now.
    fn send_again(&mut self, number: usize, front: usize) {
        let client = self.clients.get(number);
        let Some(earlier) = client.and_then(|client| client.earlier.clone()) else {
            return;
        };
        let op = self.number();
        let mut stray = Op::new(number, Want::Commit(earlier));
        stray.is_stray = true;
        self.ops.insert(op, stray);
        self.soon(8, Event::Arrive(op, front, None));
    }

    fn draw_want(&mut self, number: usize, front: usize) -> Option<Want> {
        let unique = self.number();
        let control = self.rng.below(100);
        let found = self.front(front)?.coordinator.as_ref();
        let state = found.and_then(|c| c.state(0));
        let active = state.into_iter().flat_map(|state| state.streams());
        let active = active.filter(|stream| stream.stage == Stage::Active);
        let active: Vec<u64> = active.map(|stream| stream.key).collect();
        let client = self.clients.get_mut(number)?;
        if client
            .stream
            .is_some_and(|stream| !active.contains(&stream))
            && !active.is_empty()
        {
            client.stream = None;
            client.cursor = None;
        }
        match control {
            0..=5 => return Some(Want::Put(unique)),
            6 | 7 => return Some(Want::Create(unique)),
            8 if active.len() > 1 => return Some(Want::Delete(*active.last()?)),
            _ => {}
        }
        if client.stream.is_none() {
            client.stream = self.rng.one_of(&active);
        }
        let Some(stream) = client.stream else {
            return Some(Want::Create(unique));
        };
        let name = client.group.clone();
        match (client.cursor.clone(), control) {
            (_, 10 | 11) => Some(Want::Move(stream, name)),
            (_, 12) => Some(Want::Forget(stream, name)),
            (None, _) => Some(Want::Join(stream, name)),
            (Some(cursor), 13..=40) => Some(Want::Commit(cursor)),
            (Some(cursor), _) => Some(Want::Get(cursor)),
        }
    }

    /// A request reaches a front, which serves it or sends it on once.
    pub(super) fn arrive(
        &mut self,
        op: u64,
        front: usize,
        epoch: Option<u64>,
    ) -> Result<(), Violation> {
        let life = self.life(front);
        let paused_until = self.front(front).map_or(0, |front| front.paused_until);
        if paused_until > self.now {
            let at = paused_until + self.rng.below(300);
            self.at(at, Event::Arrive(op, front, epoch));
            return Ok(());
        }
        let Some(want) = self.ops.get(&op).map(|op| op.want.clone()) else {
            return Ok(());
        };
        let slot = match &want {
            Want::Join(stream, name) | Want::Move(stream, name) | Want::Forget(stream, name) => {
                slot_of_group(*stream, name, self.plan.slots)
            }
            Want::Get(cursor) | Want::Commit(cursor) => slot_of_key(cursor.cursor.group_key),
            Want::Put(_) | Want::Create(_) | Want::Delete(_) => 0,
        };
        let coordinator = self
            .front(front)
            .and_then(|front| front.coordinator.as_ref());
        let route = coordinator.map_or(Route::Nowhere, |coordinator| coordinator.route(slot));
        match (route, epoch) {
            (Route::Here { epoch: own }, named) if named.is_none_or(|named| named == own) => {
                if let Some(op) = self.ops.get_mut(&op) {
                    op.by = Some((life, slot, own));
                }
                return self.serve(life, op, slot, own);
            }
            (
                Route::Elsewhere {
                    epoch,
                    front: owner,
                    ..
                },
                None,
            ) => {
                let is_owner = |other: &usize| crate::cluster::name(self.life(*other)) == owner.0;
                let owner = (0..self.plan.fronts).find(is_owner);
                if let Some(owner) =
                    owner.filter(|owner| !self.is_cut(front) && !self.is_cut(*owner))
                {
                    self.soon(8, Event::Arrive(op, owner, Some(epoch)));
                    return Ok(());
                }
            }
            _ => self.count(Kind::Misdirected),
        }
        self.answer(op, Outcome::Failed);
        Ok(())
    }

    /// Sends a client its answer.
    pub(super) fn answer(&mut self, op: u64, outcome: Outcome) {
        if !self.strikes(self.plan.wire.client_lost) {
            self.soon(8, Event::Answered(op, outcome));
        }
    }

    pub(super) fn answered(&mut self, op: u64, outcome: Outcome) {
        let Some(done) = self.ops.remove(&op) else {
            return;
        };
        let now = self.now;
        let client = self.clients.get_mut(done.client);
        let Some(client) = client.filter(|_| !done.is_stray) else {
            return;
        };
        client.waits = None;
        match outcome {
            Outcome::Cursor(cursor) => {
                client.earlier = client.cursor.replace(cursor);
                client.succeeded_at = now;
            }
            Outcome::CursorInvalid => client.cursor = None,
            Outcome::Done => client.succeeded_at = now,
            Outcome::Failed => {}
        }
    }

    /// Messages are published on every stream that is there.
    pub(super) fn produce(&mut self) {
        self.after(300, Event::Produce);
        let truth = self.logs.get(&LogId::Slot(0)).and_then(|log| log.truth());
        let streams = truth.into_iter().flat_map(|truth| truth.state.streams());
        let streams: Vec<_> = streams.map(|s| (s.key, s.stream.partitions)).collect();
        for (key, partitions) in streams {
            for partition in 0..partitions {
                let more = self.rng.below(4);
                let nexts = self.data.entry(key).or_default();
                let at = usize::try_from(partition).unwrap_or(0);
                nexts.resize(nexts.len().max(at + 1), 0);
                if let Some(next) = nexts.get_mut(at) {
                    *next += more;
                }
            }
        }
    }
}
