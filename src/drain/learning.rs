//! What notes tell of calls that are away, and what they don't know.
//!
//! A drain knows what it has sent away itself. After another drain has had the partition, or may
//! have had it, only what is behind the group's last commit counts: behind it there is always a
//! note about everything that is away.

use std::rc::Rc;

use crate::drain::commit::FetchNumber;
use crate::drain::notes::Notes;
use crate::drain::owners::Key;
use crate::drain::parked::Parked;
use crate::drain::returning::Return;
use crate::record::note::Note;
use crate::time::Now;

impl Parked {
    /// Asks for a note of this drain's own where calls may have come back to another one: when it
    /// is read, everything before it was read.
    pub(super) fn ask_for_the_unconfirmed(&mut self) {
        for partition in self.absent.unsure() {
            if let Some(notes) = self.notes.get_mut(&partition) {
                notes.is_wanted |= notes.epoch != Some(self.epoch);
            }
        }
    }

    /// Learns from a note which calls are away. What this drain has written since it got the
    /// partition says only what it believed. Behind everything that was there when it got the
    /// partition, other drains tell only of calls that it has read itself.
    pub(super) fn learn(&mut self, note: &Note, is_own: bool, now: Now) {
        let got = self.absent.unsure_since(note.partition);
        if is_own && got.is_none_or(|got| note.epoch >= got) {
            if self.absent.forget_unconfirmed(note.partition) {
                self.is_clearer = true;
                self.retain_owners();
            }
            return;
        }
        let is_news = !is_own && !self.is_complete(note.partition);
        let by: Rc<str> = Rc::from(note.by.as_str());
        if is_news {
            self.absent.is_no_longer_told(note);
        }
        for away in &note.away {
            let key = (note.partition, away.key);
            let is_known = self.absent.confirm(key, away.number, self.epoch);
            if is_news && is_known {
                let told_by = (by.clone(), note.serial);
                self.absent.is_told_again(key, away.number, told_by);
            }
            let is_back = self.back.contains(&(note.partition, away.number));
            if is_news && !is_known && !is_back && !self.is_full() {
                let back_at = Return::at(away.back_at, now);
                let told_by = (by.clone(), note.serial);
                self.absent
                    .is_told_of(key, away.number, back_at, self.epoch, told_by);
                self.look_for(back_at);
            }
        }
    }

    /// Returns whether calls were found to be back since the last call of this.
    pub(super) fn take_clearer(&mut self) -> bool {
        std::mem::take(&mut self.is_clearer)
    }

    /// Returns whether a note of this drain says that a call is away, although the note is behind
    /// everything that was read.
    pub(super) fn is_told_behind(&self, key: Key, number: u64) -> bool {
        let is_ahead = self.notes.get(&key.0).is_some_and(Notes::is_ahead);
        is_ahead && self.absent.is_known(key, number)
    }

    /// Notes that a fetch must not be committed before the next note is stored.
    pub(super) fn contradict(&mut self, partition: u32, fetch: FetchNumber) {
        if let Some(notes) = self.notes.get_mut(&partition) {
            notes.contradicted.push(fetch);
        }
    }

    /// Returns whether commits wait for notes that tell of calls that are back.
    pub(super) fn is_contradicted(&self) -> bool {
        self.notes.values().any(|notes| {
            let under_way = notes.under_way.as_ref();
            !notes.contradicted.is_empty() || under_way.is_some_and(|w| !w.released.is_empty())
        })
    }
}
