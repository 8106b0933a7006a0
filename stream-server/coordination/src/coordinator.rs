//! All slots as one front sees them.

use crate::config::Config;
use crate::io::{Input, LogId, Output, Route};
use crate::state::SlotState;

/// The coordination of one front.
pub struct Coordinator {
    config: Config,
}

impl Coordinator {
    /// Returns the coordination of a front that has just started. Its first outputs open all logs.
    ///
    /// # Errors
    /// What has to be changed in the configuration.
    pub fn new(config: Config, now_ms: u64) -> Result<Self, String> {
        config.check()?;
        let _ = now_ms;
        Ok(Self { config })
    }

    /// Takes an input. `now_ms` is this front's steady clock in milliseconds, which never goes
    /// back.
    pub fn handle(&mut self, input: Input, now_ms: u64) {
        let _ = (input, now_ms);
    }

    /// Returns the next thing to do; `None` when there is nothing more until the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }

    /// Returns when [`Input::Tick`] is due at the latest, in milliseconds of the steady clock.
    #[must_use]
    pub fn next_wakeup(&self) -> u64 {
        0
    }

    /// Returns where requests for a slot go.
    #[must_use]
    pub fn route(&self, slot: u32) -> Route {
        let _ = slot;
        Route::Nowhere
    }

    /// Returns whether groups of the slot may be read here, under this ownership. Ask before the
    /// read, and again just before its answer is sent: the lease may have ended meanwhile. If it
    /// is false although [`Self::route`] says "here", the lease is only paused: answer 503.
    #[must_use]
    pub fn may_serve(&self, slot: u32, epoch: u64, now_ms: u64) -> bool {
        let _ = (slot, epoch, now_ms);
        false
    }

    /// Returns the state of a slot; `None` until this front has read its log once.
    #[must_use]
    pub fn state(&self, slot: u32) -> Option<&SlotState> {
        let _ = slot;
        None
    }

    /// Returns the offset behind the last record of a slot that is part of [`Self::state`].
    #[must_use]
    pub fn position(&self, slot: u32) -> u64 {
        let _ = slot;
        0
    }

    /// Returns whether all slots' states are known: until then the front isn't ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        false
    }

    /// Returns how many records of a log this front has ignored because it didn't understand them.
    /// More than a few mean that somebody else writes to the log, or a later version does.
    #[must_use]
    pub fn foreign_records(&self, log: LogId) -> u64 {
        let _ = log;
        0
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }
}
