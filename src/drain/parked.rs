//! Which calls with an order key are away on lanes, and which notes tell of them. This module holds
//! containers and their indexes; [`crate::drain::order`] decides what follows from them, and
//! [`crate::drain::learning`] learns from notes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use crate::caller::CallerKey;
use crate::caller::share::SHARE_OF_FREE;
use crate::drain::absent::Absent;
use crate::drain::notes::{NoteStep, Notes, UnderWay};
use crate::drain::owners::{Key, Owners};
use crate::drain::plan::Plan;
use crate::drain::returning::Return;
use crate::id::{Position, RecordId};
use crate::record::note::Note;
use crate::time::{Now, Steady};

/// So many calls of a key may be away even if others have many away.
const KEY_CALLS_MIN: usize = 8;

/// Everything that is known of calls that are away.
#[derive(Debug)]
pub(super) struct Parked {
    writer: String,
    /// How often this drain has got partitions anew. A note of this epoch is behind everything that
    /// was in the partition before.
    pub(super) epoch: u64,
    /// The number of the latest note.
    serial: u64,
    calls_max: usize,
    overdue: Duration,
    pub(super) absent: Absent,
    pub(super) owners: Owners,
    pub(super) notes: BTreeMap<u32, Notes>,
    /// The partitions of which this drain has read everything that was there when it got them.
    complete: BTreeSet<u32>,
    /// The latest offset that this session has read.
    read: BTreeMap<u32, u64>,
    /// Calls that have come back before their partition was complete.
    pub(super) back: BTreeSet<(u32, u64)>,
    /// Whether calls were found to be back.
    pub(super) is_clearer: bool,
    /// Calls whose turn may have come.
    pub(super) wakes: VecDeque<RecordId>,
    /// When calls that have waited for too long are looked for next.
    pub(super) next_look: Steady,
    /// When the Stream last failed.
    pub(super) trouble_at: Steady,
    /// When a call that does not come back may be forgotten.
    next_overdue: Option<Steady>,
}

impl Parked {
    /// Returns the state in which nothing is known.
    pub(super) fn new(writer: String, calls_max: usize, overdue: Duration) -> Self {
        Self {
            writer,
            epoch: 0,
            serial: 0,
            calls_max,
            overdue,
            absent: Absent::default(),
            owners: Owners::default(),
            notes: BTreeMap::new(),
            complete: BTreeSet::new(),
            read: BTreeMap::new(),
            back: BTreeSet::new(),
            is_clearer: false,
            wakes: VecDeque::new(),
            next_look: Steady(0),
            trouble_at: Steady(0),
            next_overdue: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.absent.count() == 0
    }

    /// Returns whether this drain has read everything of a partition that was there when it got it.
    pub(super) fn is_complete(&self, partition: u32) -> bool {
        self.complete.contains(&partition)
    }

    /// Returns whether calls have to wait until the partition is complete. If so much has to be
    /// read that half of the calls that may be away are away for this reason alone, the others are
    /// made.
    pub(super) fn is_to_be_read(&self, partition: u32) -> bool {
        let is_much = self.owners.unread() >= self.calls_max / 2 || self.is_full();
        !is_much && !self.is_complete(partition)
    }

    /// Returns whether a call waits only for its partition to be read, and for no other call.
    pub(super) fn is_unread(&self, key: Key, number: u64) -> bool {
        self.is_to_be_read(key.0) && self.absent.first_before(key, number).is_none()
    }

    /// Returns whether another call of a key may leave. The more calls are away, the fewer more may
    /// a key or a caller have that has many already. A few are always left for each.
    pub(super) fn has_room(&self, key: Key, caller: CallerKey) -> bool {
        let own = self.absent.count_of(key);
        let free = self.calls_max.saturating_sub(self.absent.count());
        let of_caller = free.saturating_mul(SHARE_OF_FREE).max(KEY_CALLS_MIN);
        own < free.max(KEY_CALLS_MIN) && self.owners.count(caller) < of_caller && !self.is_full()
    }

    pub(super) fn is_full(&self) -> bool {
        self.absent.count() >= self.calls_max.saturating_mul(2)
    }

    pub(super) fn look_for(&mut self, back_at: Return) {
        let overdue = back_at.steady.plus(self.overdue);
        let next = self.next_overdue.map_or(overdue, |next| next.min(overdue));
        self.next_overdue = Some(next);
    }

    /// Notes that a call goes away. Its record is settled when its hop is stored, and a note that
    /// tells of it.
    pub(super) fn leaves(
        &mut self,
        id: RecordId,
        (key, number): (Key, u64),
        plan: &Plan,
        back_at: Return,
        now: Steady,
    ) {
        let Some(route) = &plan.order_key else {
            return;
        };
        let unread = self.is_unread(key, number);
        self.absent.leaves(key, number, back_at, self.epoch);
        self.look_for(back_at);
        self.owners.add(key, number, plan.caller, unread);
        let notes = self.notes.entry(key.0);
        let notes = notes.or_insert_with(|| Notes::new(route.clone(), now));
        notes.waiting.push(id);
    }

    /// Notes that a call has come back.
    pub(super) fn came_back(&mut self, key: Key, number: u64) {
        self.remember_back(key, number);
        self.owners.remove(key, number);
        self.absent.remove(key, number);
    }

    /// Notes that a record of a call was read again that this drain has dealt with before it lost
    /// its session. Notes that were read again before it don't tell what has become of it.
    pub(super) fn read_again(&mut self, key: Key, number: u64) {
        if !self.absent.dealt_with(key, number, self.epoch) {
            self.remember_back(key, number);
        }
    }

    fn remember_back(&mut self, key: Key, number: u64) {
        if !self.is_complete(key.0) && self.back.len() < self.calls_max {
            self.back.insert((key.0, number));
        }
    }

    /// Notes the positions that a fetch has brought. If there is a gap, another drain had the
    /// partition in the meantime, or the Stream has given it to this drain only now.
    pub(super) fn read(&mut self, positions: impl Iterator<Item = Position>) {
        for Position { partition, offset } in positions {
            let last = self.read.insert(partition, offset);
            if last.is_none_or(|last| offset != last.saturating_add(1)) {
                self.complete.remove(&partition);
                self.epoch = self.epoch.saturating_add(1);
                // Some logs have offsets without records. Another drain has had the partition only
                // if this one had nothing there that was not committed.
                let holds = self.notes.get(&partition).is_some_and(Notes::holds);
                if last.is_none() || !holds {
                    self.absent.got(partition, self.epoch);
                }
            }
        }
    }

    /// Notes that everything on the stream of calls was read. Returns whether that is new.
    pub(super) fn completed(&mut self) -> bool {
        let before = self.complete.len();
        self.complete.extend(self.read.keys());
        self.owners.were_read(&self.complete);
        self.back.clear();
        self.ask_for_the_unconfirmed();
        self.complete.len() > before
    }

    /// Asks for a note, because a call has to know which calls of its key are away. A note that
    /// comes back tells how far the partition was read, even if its end is never reached.
    pub(super) fn probe(&mut self, partition: u32, route: &Rc<str>, now: Steady) {
        let notes = self.notes.entry(partition);
        let notes = notes.or_insert_with(|| Notes::new(route.clone(), now));
        notes.is_wanted = notes.epoch != Some(self.epoch);
    }

    /// The session with the stream of calls is lost. Calls that are away stay away.
    pub(super) fn session_lost(&mut self) {
        self.epoch = self.epoch.saturating_add(1);
        self.complete.clear();
        self.read.clear();
        self.absent.lost();
        for notes in self.notes.values_mut() {
            notes.held.clear();
            notes.own.clear();
            notes.contradicted.clear();
            if let Some(under_way) = &mut notes.under_way {
                under_way.released.clear();
            }
        }
    }

    /// A record that is not a note was read.
    pub(super) fn something_else(&mut self) {
        for notes in self.notes.values_mut() {
            notes.is_in_the_way = true;
        }
    }

    /// A note was read. Returns whether it has to be kept.
    pub(super) fn note_read(&mut self, id: RecordId, note: &Note, now: Now) -> bool {
        let is_own = note.by == self.writer;
        self.learn(note, is_own, now);
        let route = Rc::from(note.route.as_str());
        let notes = self.notes.entry(note.partition);
        let notes = notes.or_insert_with(|| Notes::new(route, now.steady));
        // A later note of this drain is stored, which says everything that this one says.
        let is_replaced = is_own && note.serial < notes.stored;
        if !is_replaced {
            notes.held.push(id);
            notes.own.extend(is_own.then_some((id, note.serial)));
            notes.is_unread &= !is_own;
        }
        if is_own && note.epoch == self.epoch {
            self.complete.insert(note.partition);
            self.owners.were_read(&self.complete);
            self.back.retain(|(of, _)| *of != note.partition);
        }
        !is_replaced
    }

    /// A note of this drain is stored. Returns what has waited for it.
    pub(super) fn note_stored(&mut self, partition: u32) -> UnderWay {
        let Some(notes) = self.notes.get_mut(&partition) else {
            return UnderWay::default();
        };
        notes.stored = notes.serial;
        let mut waited = notes.under_way.take().unwrap_or_default();
        let replaced = &mut waited.replaced;
        // Of this drain's own notes, those that were read meanwhile are older too, except the very
        // one that was read before the drain learned that it is stored.
        let own = std::mem::take(&mut notes.own);
        let (kept, older): (Vec<_>, Vec<_>) = own
            .into_iter()
            .partition(|(_, serial)| *serial >= notes.stored);
        notes.is_unread = kept.is_empty();
        replaced.retain(|id| !kept.iter().any(|(own, _)| own == id));
        replaced.extend(older.into_iter().map(|(id, _)| id));
        replaced.sort_unstable();
        replaced.dedup();
        notes.own = kept;
        notes.held.retain(|held| !replaced.contains(held));
        waited
    }

    /// The latest note of a partition was not stored after all, so another one is needed.
    pub(super) fn want_another(&mut self, partition: u32) {
        if let Some(notes) = self.notes.get_mut(&partition) {
            notes.is_unread = false;
            notes.epoch = None;
        }
    }

    /// Forgets calls that should have come back long ago: they are lost, or somebody else had them.
    pub(super) fn forget_overdue(&mut self, now: Now) {
        if self.next_overdue.is_none_or(|next| next > now.steady) {
            return;
        }
        let (overdue, trouble_at) = (self.overdue, self.trouble_at);
        let ends = |back_at: &Return| back_at.steady.max(trouble_at).plus(overdue);
        self.absent
            .retain_returns(|back| ends(back) > now.steady || back.late(now) < overdue);
        self.retain_owners();
        // If the wall clock was set back, look again after a while.
        let again = now.steady.plus(Duration::from_secs(1));
        self.next_overdue = self.absent.returns().map(|b| ends(b).max(again)).min();
    }

    pub(super) fn retain_owners(&mut self) {
        let absent = &self.absent;
        let is_away = |key, number| absent.is_known(key, number);
        self.owners.retain(is_away);
    }

    /// Returns what has to be done about notes now. `is_crowded` means that nothing can be fetched.
    pub(super) fn next_step(&mut self, is_crowded: bool, now: Now) -> Option<NoteStep> {
        let partitions: Vec<u32> = self.notes.keys().copied().collect();
        for partition in partitions {
            let is_away = self.absent.is_any_of(partition);
            let Some(notes) = self.notes.get_mut(&partition) else {
                continue;
            };
            if !is_away && notes.is_idle() {
                let held = std::mem::take(&mut notes.held);
                notes.own.clear();
                if !notes.is_unread {
                    self.notes.remove(&partition);
                }
                if !held.is_empty() {
                    return Some(NoteStep::Settle(held));
                }
                continue;
            }
            let due = notes.due(is_crowded);
            if due.is_some_and(|due| due <= now.steady) {
                notes.under_way = Some(UnderWay {
                    covered: std::mem::take(&mut notes.waiting),
                    replaced: notes.held.clone(),
                    released: std::mem::take(&mut notes.contradicted),
                });
                notes.is_in_the_way = false;
                notes.is_wanted = false;
                notes.epoch = Some(self.epoch);
                self.serial = self.serial.saturating_add(1);
                notes.serial = self.serial;
                let serial = self.serial;
                notes.written_at = now.steady;
                let route = notes.route.to_string();
                return Some(NoteStep::Write(self.note(partition, route, serial)));
            }
        }
        None
    }

    fn note(&self, partition: u32, route: String, serial: u64) -> Note {
        Note {
            by: self.writer.clone(),
            epoch: self.epoch,
            serial,
            partition,
            route,
            away: self.absent.of(partition),
        }
    }

    /// Notes how many bytes the note has that is being stored.
    pub(super) fn note_written(&mut self, partition: u32, bytes: usize) {
        if let Some(notes) = self.notes.get_mut(&partition) {
            notes.bytes = bytes;
        }
    }

    /// Returns when something has to be done next. `is_crowded` means that nothing can be fetched.
    pub(super) fn wakeup(&self, is_crowded: bool) -> Option<Steady> {
        let due = self
            .notes
            .values()
            .filter_map(|notes| notes.due(is_crowded));
        due.chain(self.next_overdue).min()
    }
}
