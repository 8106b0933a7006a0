//! What is to be done, in order.

use std::collections::{BTreeSet, VecDeque};

use crate::io::{Answer, LogId, Output};

/// The outputs that the driver hasn't taken yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    outputs: VecDeque<Output>,
    next_ticket: u64,
    changed: BTreeSet<u32>,
}

impl Outbox {
    pub(crate) fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(crate) fn answer(&mut self, request: u64, answer: Answer) {
        self.push(Output::Answer { request, answer });
    }

    pub(crate) fn delete_before(&mut self, slot: u32, offset: u64) {
        self.push(Output::DeleteBefore { slot, offset });
    }

    /// Notes that a slot's state has changed. The driver learns it once, however often it changes
    /// before the driver looks.
    pub(crate) fn note_changed(&mut self, slot: u32) {
        self.changed.insert(slot);
    }

    /// Returns whether a slot's state has changed since the driver last looked.
    pub(crate) fn has_changed(&self, slot: u32) -> bool {
        self.changed.contains(&slot)
    }

    /// Returns the ticket that the next append gets.
    pub(crate) fn peek_ticket(&self) -> u64 {
        self.next_ticket
    }

    pub(crate) fn append(&mut self, log: LogId, records: Vec<Vec<u8>>) {
        let ticket = self.next_ticket;
        self.next_ticket = ticket.saturating_add(1);
        self.push(Output::Append {
            log,
            ticket,
            records,
        });
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        let next = self.outputs.pop_front();
        next.or_else(|| {
            let slot = self.changed.pop_first()?;
            Some(Output::Changed { slot })
        })
    }
}
