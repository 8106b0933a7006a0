//! All slots as one front sees them.

mod alive;

use alive::Alive;

use crate::config::Config;
use crate::fold::Folded;
use crate::io::{Answer, Input, LogId, Output, Route, WhyNotDone};
use crate::limits::CHANGE_ITEMS_MAX;
use crate::members::Members;
use crate::outbox::Outbox;
use crate::record::Change;
use crate::slot::{Around, Slot};
use crate::state::{SlotState, WhyRefused};

/// The coordination of one front.
#[derive(Debug)]
pub struct Coordinator {
    config: Config,
    members: Members,
    alive: Alive,
    slots: Vec<Slot>,
    is_leaving: bool,
    has_left: bool,
    out: Outbox,
}

impl Coordinator {
    /// Returns the coordination of a front that has just started. Its first outputs open all logs.
    ///
    /// # Errors
    /// What has to be changed in the configuration.
    pub fn new(config: Config, now_ms: u64) -> Result<Self, String> {
        config.check()?;
        let times = &config.times;
        let members = Members::new(config.front.clone(), times.alive_ms, times.silence_ms);
        let mut made = Self {
            members,
            alive: Alive::default(),
            slots: (0..config.slots).map(Slot::new).collect(),
            is_leaving: false,
            has_left: false,
            out: Outbox::default(),
            config,
        };
        made.alive.open(&mut made.out);
        for slot in &mut made.slots {
            slot.open(&mut made.out);
        }
        made.handle(Input::Tick, now_ms);
        Ok(made)
    }

    /// Takes an input. `now_ms` is this front's steady clock in milliseconds, which never goes
    /// back.
    pub fn handle(&mut self, input: Input, now_ms: u64) {
        match input {
            Input::Opened { log, oldest, end } => self.opened(log, oldest, end, now_ms),
            Input::Fetched {
                log,
                from,
                records,
                next,
            } => self.fetched(log, (from, &records, next), now_ms),
            Input::OutOfRange { log } => match log {
                LogId::Members => self.alive.open(&mut self.out),
                LogId::Slot(number) => {
                    if let Some(slot) = slot_mut(&mut self.slots, number) {
                        slot.open(&mut self.out);
                    }
                }
            },
            Input::Appended { ticket, result } => {
                self.alive.appended(ticket);
                let (around, slots, out) = self.parts(now_ms);
                for slot in slots {
                    slot.appended(ticket, &result, around, out);
                }
            }
            Input::Request {
                request,
                slot,
                change,
            } => self.request(request, slot, change, now_ms),
            Input::Leave => self.is_leaving = true,
            Input::Tick => {}
        }
        self.pump(now_ms);
    }

    /// Returns the next thing to do; `None` when there is nothing more until the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop()
    }

    /// Returns when [`Input::Tick`] is due at the latest, in milliseconds of the steady clock.
    #[must_use]
    pub fn next_wakeup(&self) -> u64 {
        let slots = self.slots.iter();
        let slots = slots.map(|slot| slot.next_wakeup(&self.config)).min();
        let alive_ms = self.alive.next_wakeup(&self.config.times);
        slots.unwrap_or(u64::MAX).min(alive_ms)
    }

    /// Returns where requests for a slot go.
    #[must_use]
    pub fn route(&self, slot: u32) -> Route {
        let Some(known) = self.slot(slot) else {
            return Route::Nowhere;
        };
        if let Some(epoch) = known.own_epoch().filter(|_| known.takes_requests()) {
            return Route::Here { epoch };
        }
        let owner = known.folded().and_then(|folded| {
            let front = folded.owner.clone()?;
            let url = self.members.url(&front)?.to_owned();
            let epoch = folded.epoch;
            (front != self.config.front).then_some(Route::Elsewhere { epoch, front, url })
        });
        owner.unwrap_or(Route::Nowhere)
    }

    /// Returns whether groups of the slot may be read here, under this ownership. Ask before the
    /// read, and again just before its answer is sent: the lease may have ended meanwhile. If it
    /// is false although [`Self::route`] says "here", the lease is only paused: answer 503.
    #[must_use]
    pub fn may_serve(&self, slot: u32, epoch: u64, now_ms: u64) -> bool {
        let lease_ms = self.config.times.lease_ms;
        self.slot(slot)
            .is_some_and(|slot| slot.may_serve(epoch, now_ms, lease_ms))
    }

    /// Returns the state of a slot; `None` until this front has read its log once.
    #[must_use]
    pub fn state(&self, slot: u32) -> Option<&SlotState> {
        self.folded(slot).map(|folded| &folded.state)
    }

    /// Returns everything that a slot's log adds up to; `None` until this front has read it once.
    #[must_use]
    pub fn folded(&self, slot: u32) -> Option<&Folded> {
        self.slot(slot)?.folded()
    }

    /// Returns the offset behind the last record of a slot that is part of [`Self::state`].
    #[must_use]
    pub fn position(&self, slot: u32) -> u64 {
        self.slot(slot).map_or(0, Slot::next)
    }

    /// Returns whether all slots' states are known: until then the front isn't ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.slots.iter().all(|slot| slot.folded().is_some())
    }

    /// Returns the fronts that live and stay, as far as this one knows.
    #[must_use]
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Returns how many records of a log this front has ignored because it didn't understand them.
    /// More than a few mean that somebody else writes to the log, or a later version does.
    #[must_use]
    pub fn foreign_records(&self, log: LogId) -> u64 {
        match log {
            LogId::Members => self.members.foreign(),
            LogId::Slot(number) => self.slot(number).map_or(0, Slot::foreign),
        }
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    fn slot(&self, number: u32) -> Option<&Slot> {
        self.slots.get(usize::try_from(number).ok()?)
    }

    fn parts(&mut self, now_ms: u64) -> (Around<'_>, &mut [Slot], &mut Outbox) {
        let around = Around {
            config: &self.config,
            members: &self.members,
            is_leaving: self.is_leaving,
            now_ms,
        };
        (around, &mut self.slots, &mut self.out)
    }

    fn opened(&mut self, log: LogId, oldest: u64, end: u64, now_ms: u64) {
        match log {
            LogId::Members => self.alive.opened(end, &mut self.out),
            LogId::Slot(number) => {
                let (around, slots, out) = self.parts(now_ms);
                if let Some(slot) = slot_mut(slots, number) {
                    slot.opened(oldest, end, around, out);
                }
            }
        }
    }

    fn fetched(
        &mut self,
        log: LogId,
        (from, records, next): (u64, &[(u64, Vec<u8>)], u64),
        now_ms: u64,
    ) {
        match log {
            LogId::Members => {
                for bytes in self.alive.fetched(from, records, next) {
                    self.members.apply(bytes, now_ms);
                }
            }
            LogId::Slot(number) => {
                let (around, slots, out) = self.parts(now_ms);
                if let Some(slot) = slot_mut(slots, number) {
                    slot.fetched(from, records, next, around, out);
                }
            }
        }
    }

    fn request(&mut self, request: u64, number: u32, change: Change, now_ms: u64) {
        if let Err(why) = self.check_groups(&change) {
            return self.out.answer(request, Answer::Refused(why));
        }
        let (around, slots, out) = self.parts(now_ms);
        match slot_mut(slots, number) {
            Some(slot) => slot.request(request, change, around, out),
            None => out.answer(request, Answer::NotDone(WhyNotDone::NotOwner)),
        }
    }

    /// Checks the stream of a new group, as far as this front knows: groups of one stream are in
    /// several slots, so a few more than the limit may come in at the same time.
    fn check_groups(&self, change: &Change) -> Result<(), WhyRefused> {
        let Change::OpenGroup { stream, name, .. } = change else {
            return Ok(());
        };
        if self.is_gone(*stream) {
            return Err(WhyRefused::NoStream);
        }
        let states = self.slots.iter().filter_map(Slot::folded);
        let mut states = states.map(|folded| &folded.state);
        if states
            .clone()
            .any(|s| s.group_named(*stream, name).is_some())
        {
            return Ok(());
        }
        let max = self.config.groups_per_stream_max;
        let of_stream = |state: &SlotState| {
            state
                .groups()
                .filter(|group| group.stream == *stream)
                .count()
        };
        match states.try_fold(0_usize, |sum, state| {
            let sum = sum.saturating_add(of_stream(state));
            (sum < max).then_some(sum)
        }) {
            Some(_) => Ok(()),
            None => Err(WhyRefused::TooMany(format!(
                "the stream has {max} groups, which is the limit"
            ))),
        }
    }

    /// Returns whether a stream is known to be deleted. One that this front hasn't read of yet is
    /// not.
    fn is_gone(&self, stream: u64) -> bool {
        self.folded(0)
            .is_some_and(|control| stream < control.next && control.state.stream(stream).is_none())
    }

    /// Does what is due.
    fn pump(&mut self, now_ms: u64) {
        self.alive
            .pump(&self.config, self.is_leaving, now_ms, &mut self.out);
        self.forget_orphans();
        let (around, slots, out) = self.parts(now_ms);
        for slot in slots {
            slot.pump(around, out);
        }
        let is_left = self.slots.iter().all(Slot::is_left) && self.alive.is_left();
        if self.is_leaving && is_left && !self.has_left {
            self.has_left = true;
            self.out.push(Output::Left);
        }
    }

    /// Forgets groups of deleted streams in the slots that this front owns.
    fn forget_orphans(&mut self) {
        if self.out.has_changed(0) {
            self.slots.iter_mut().for_each(Slot::note_orphans);
        }
        for number in 0..self.config.slots {
            let due = self.slot(number).filter(|slot| slot.may_have_orphans());
            let Some(folded) = due.and_then(Slot::folded) else {
                continue;
            };
            let groups = folded.state.groups();
            let orphans = groups.filter(|group| self.is_gone(group.stream));
            let keys = orphans.map(|group| group.key);
            let keys: Vec<u64> = keys.take(CHANGE_ITEMS_MAX).collect();
            if let Some(slot) = slot_mut(&mut self.slots, number) {
                slot.forget_orphans(keys);
            }
        }
    }
}

fn slot_mut(slots: &mut [Slot], number: u32) -> Option<&mut Slot> {
    slots.get_mut(usize::try_from(number).ok()?)
}
