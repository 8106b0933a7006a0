//! The calls with order keys that are away on lanes, by key and number, and how this drain knows
//! it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::drain::owners::Key;
use crate::drain::returning::Return;
use crate::record::note::{Away, KeyDigest, Note};

/// Who wrote a note, and the note's number.
pub(super) type Teller = (Rc<str>, u64);

/// A call that is away.
#[derive(Clone, Debug)]
struct Absence {
    back_at: Return,
    /// If this drain knows it only from notes of others: who wrote the latest, and its number.
    told_by: Option<Teller>,
    /// The drain's epoch in which something on the Stream last told of it.
    epoch: u64,
}

/// All calls that are away.
#[derive(Debug, Default)]
pub(super) struct Absent {
    calls: BTreeMap<Key, BTreeMap<u64, Absence>>,
    count: usize,
    /// Partitions that may have been another drain's, with the epoch since when they are read
    /// anew. What is away of them, and nothing has told of since, may have come back there.
    got: BTreeMap<u32, u64>,
}

impl Absent {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Returns how many calls of a key are away.
    pub(super) fn count_of(&self, key: Key) -> usize {
        self.calls.get(&key).map_or(0, BTreeMap::len)
    }

    pub(super) fn is_known(&self, key: Key, number: u64) -> bool {
        self.calls
            .get(&key)
            .is_some_and(|calls| calls.contains_key(&number))
    }

    /// Returns when the first call of a key before this number comes back.
    pub(super) fn first_before(&self, key: Key, number: u64) -> Option<Return> {
        let (_, absence) = self.calls.get(&key)?.range(..number).next()?;
        Some(absence.back_at)
    }

    /// Notes that this drain sends a call away.
    pub(super) fn leaves(&mut self, key: Key, number: u64, back_at: Return, epoch: u64) {
        self.insert(
            (key, number),
            Absence {
                back_at,
                told_by: None,
                epoch,
            },
        );
    }

    /// Notes that another drain's note tells of a call that is away.
    pub(super) fn is_told_of(
        &mut self,
        key: Key,
        number: u64,
        back_at: Return,
        epoch: u64,
        told_by: Teller,
    ) {
        self.insert(
            (key, number),
            Absence {
                back_at,
                told_by: Some(told_by),
                epoch,
            },
        );
    }

    /// Notes that a later note tells of a call that this drain knows from notes only.
    pub(super) fn is_told_again(&mut self, key: Key, number: u64, told_by: Teller) {
        if let Some(known) = self.get_mut(key, number).and_then(|a| a.told_by.as_mut()) {
            *known = told_by;
        }
    }

    /// Forgets calls of which an earlier note of the same drain has told, and this one doesn't:
    /// they have come back to it.
    pub(super) fn is_no_longer_told(&mut self, note: &Note) {
        let named: BTreeSet<_> = note
            .away
            .iter()
            .map(|away| (away.key, away.number))
            .collect();
        self.retain(|(partition, key), number, absence| {
            let is_earlier = |(by, serial): &Teller| **by == *note.by && *serial < note.serial;
            *partition != note.partition
                || named.contains(&(*key, number))
                || !absence.told_by.as_ref().is_some_and(is_earlier)
        });
    }

    fn insert(&mut self, (key, number): (Key, u64), absence: Absence) {
        let calls = self.calls.entry(key).or_default();
        if calls.insert(number, absence).is_none() {
            self.count = self.count.saturating_add(1);
        }
    }

    fn get_mut(&mut self, key: Key, number: u64) -> Option<&mut Absence> {
        self.calls.get_mut(&key)?.get_mut(&number)
    }

    /// Notes that a call moves on where it is. It is not lost, however late it comes back.
    pub(super) fn moves_on(&mut self, key: Key, number: u64, back_at: Return) {
        if let Some(absence) = self.get_mut(key, number) {
            absence.back_at = back_at;
        }
    }

    /// Notes that something on the Stream tells of a call. Returns whether it is known to be away.
    pub(super) fn confirm(&mut self, key: Key, number: u64, epoch: u64) -> bool {
        let absence = self.get_mut(key, number);
        absence.is_some_and(|absence| {
            absence.epoch = epoch;
            true
        })
    }

    /// A record of this call was read again that this drain has dealt with. If the drain has sent
    /// the call away, it is away. If only notes say so, they are older than that record. Returns
    /// whether the call is away.
    pub(super) fn dealt_with(&mut self, key: Key, number: u64, epoch: u64) -> bool {
        let is_hearsay = self
            .get_mut(key, number)
            .is_some_and(|a| a.told_by.is_some());
        if is_hearsay {
            self.remove(key, number);
        }
        self.confirm(key, number, epoch)
    }

    pub(super) fn remove(&mut self, key: Key, number: u64) {
        let Some(calls) = self.calls.get_mut(&key) else {
            return;
        };
        if calls.remove(&number).is_some() {
            self.count = self.count.saturating_sub(1);
        }
        if calls.is_empty() {
            self.calls.remove(&key);
        }
    }

    /// The drain reads a partition anew from this epoch on, which may have been another drain's.
    pub(super) fn got(&mut self, partition: u32, epoch: u64) {
        self.got.insert(partition, epoch);
    }

    /// The drain has lost all partitions.
    pub(super) fn lost(&mut self) {
        self.got.clear();
    }

    /// Returns the epoch since when a partition is read anew, if calls that are away may have come
    /// back to another drain.
    pub(super) fn unsure_since(&self, partition: u32) -> Option<u64> {
        self.got.get(&partition).copied()
    }

    /// Returns the partitions whose ends were reached although calls may have come back elsewhere.
    pub(super) fn unsure(&mut self) -> Vec<u32> {
        let mut got = std::mem::take(&mut self.got);
        got.retain(|partition, since| self.is_any_unconfirmed(*partition, *since));
        self.got = got;
        self.got.keys().copied().collect()
    }

    fn is_any_unconfirmed(&self, partition: u32, since: u64) -> bool {
        let mut calls = self.in_partition(partition).flat_map(|(_, calls)| calls);
        calls.any(|(_, absence)| absence.epoch < since)
    }

    /// Everything of a partition was read that was there when the drain got it. What nothing has
    /// told of since has come back to another drain. Returns whether there is any.
    pub(super) fn forget_unconfirmed(&mut self, partition: u32) -> bool {
        let Some(since) = self.got.remove(&partition) else {
            return false;
        };
        let before = self.count;
        self.retain(|key, _, absence| key.0 != partition || absence.epoch >= since);
        self.count < before
    }

    /// Keeps the calls whose return is as it should be.
    pub(super) fn retain_returns(&mut self, is_good: impl Fn(&Return) -> bool) {
        self.retain(|_, _, absence| is_good(&absence.back_at));
    }

    fn retain(&mut self, is_good: impl Fn(&Key, u64, &Absence) -> bool) {
        for (key, calls) in &mut self.calls {
            calls.retain(|number, absence| is_good(key, *number, absence));
        }
        self.calls.retain(|_, calls| !calls.is_empty());
        self.count = self.calls.values().map(BTreeMap::len).sum();
    }

    /// Returns when the calls come back.
    pub(super) fn returns(&self) -> impl Iterator<Item = &Return> {
        let all = self.calls.values().flat_map(BTreeMap::values);
        all.map(|absence| &absence.back_at)
    }

    /// Returns whether any call of a partition is away.
    pub(super) fn is_any_of(&self, partition: u32) -> bool {
        self.in_partition(partition).next().is_some()
    }

    /// Returns the calls of a partition, as a note tells of them.
    pub(super) fn of(&self, partition: u32) -> Vec<Away> {
        let calls = self.in_partition(partition).flat_map(|((_, key), calls)| {
            calls.iter().map(|(number, absence)| Away {
                key: *key,
                number: *number,
                back_at: absence.back_at.wall,
            })
        });
        calls.collect()
    }

    fn in_partition(
        &self,
        partition: u32,
    ) -> impl Iterator<Item = (&Key, &BTreeMap<u64, Absence>)> {
        let from = self.calls.range((partition, KeyDigest::LOWEST)..);
        from.take_while(move |((of, _), _)| *of == partition)
    }
}
