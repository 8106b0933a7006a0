//! What all roles have: callouts, clocks, counters, and turns of the event loop.

use std::sync::atomic::{AtomicUsize, Ordering};

use proxy_wasm::hostcalls;

use super::callouts::Callouts;
use super::clock::Clock;
use super::sink::{Metrics, log};
use crate::engine::Output;
use crate::http::CalloutResult;
use crate::id::{Entropy, Ticket};
use crate::metric::{Labels, Metric};
use crate::time::Now;

/// Bytes of a page of linear memory (WebAssembly core specification, §4.2.8).
const PAGE_BYTES: usize = 65_536;

/// How many pages of this VM's linear memory the gauge shows. Several plugins may share the VM, as
/// a sidecar's two accept filters do, but the pages count once.
static PAGES_TOLD: AtomicUsize = AtomicUsize::new(0);

/// A plugin's dealings with Envoy on one worker.
pub(super) struct Worker {
    callouts: Callouts,
    clock: Clock,
    metrics: Option<Metrics>,
    labels: Labels,
    /// A queue of this worker alone, by which it asks for a turn of the event loop. Its name is
    /// unique, because Envoy notifies only the last one that has registered a name.
    queue: Option<u32>,
    queue_name: String,
}

/// What happened to an output.
pub(super) enum Performed {
    /// It is done, or on its way.
    Done,
    /// Envoy refused the callout, or there is no token for it, so there is no answer to come.
    NotSent(Ticket),
    /// Only one role can perform it.
    Left(Output),
}

impl Worker {
    pub(super) fn new(entropy: &mut Entropy, labels: Labels) -> Self {
        Self {
            callouts: Callouts::default(),
            clock: Clock::new(),
            metrics: None,
            labels,
            queue: None,
            queue_name: format!("turn-{}", entropy.uuid()),
        }
    }

    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }

    /// Performs an output that every role can perform.
    pub(super) fn perform(&mut self, output: Output) -> Performed {
        match output {
            Output::Wake => self.ask_for_a_turn(),
            Output::Callout(callout) => {
                if self.callouts.send(&callout).is_err() {
                    return Performed::NotSent(callout.ticket);
                }
            }
            Output::Unsigned(ticket) => return Performed::NotSent(ticket),
            Output::Count(metric, by) => {
                self.metrics().count(metric, by);
            }
            Output::Observe(metric, value) => {
                self.metrics().observe(metric, value);
            }
            Output::Log(level, line) => log(level, &line),
            Output::WakeDrain
            | Output::ReadBody(_)
            | Output::ReadSlot(_)
            | Output::WriteSlot { .. }
            | Output::ReleaseKey(_)
            | Output::Respond(..) => {
                return Performed::Left(output);
            }
        }
        Performed::Done
    }

    /// Shows in the gauge how large this VM's memory is, if it has grown. Envoy's own stats don't
    /// show it. Asking costs one instruction.
    pub(super) fn tell_memory(&mut self, gauge: Metric) {
        let pages = core::arch::wasm32::memory_size::<0>();
        let grown = pages.saturating_sub(PAGES_TOLD.load(Ordering::Relaxed));
        if grown > 0 {
            PAGES_TOLD.store(pages, Ordering::Relaxed);
            let bytes = i64::try_from(grown.saturating_mul(PAGE_BYTES)).unwrap_or(i64::MAX);
            self.metrics().count(gauge, bytes);
        }
    }

    fn metrics(&mut self) -> &Metrics {
        let labels = self.labels;
        self.metrics.get_or_insert_with(|| Metrics::define(labels))
    }

    /// Returns the answer to a callout, in the callback that brings it; `None` if this worker never
    /// asked.
    pub(super) fn take_answer(
        &mut self,
        token: u32,
        headers: usize,
        body_bytes: usize,
    ) -> Option<(Ticket, CalloutResult)> {
        self.callouts.take(token, headers, body_bytes)
    }

    /// Asks for a turn of the event loop. If that fails, the next tick makes up for it.
    pub(super) fn ask_for_a_turn(&mut self) {
        if self.queue.is_none() {
            self.queue = hostcalls::register_shared_queue(&self.queue_name).ok();
        }
        if let Some(queue) = self.queue {
            let _ = hostcalls::enqueue_shared_queue(queue, Some(b"!"));
        }
    }

    /// Returns whether turns of the event loop come by this queue.
    pub(super) fn is_turn(&self, queue: u32) -> bool {
        self.queue == Some(queue)
    }
}

/// Empties a queue. Its content has no meaning.
pub(super) fn empty(queue: u32) {
    while let Ok(Some(_)) = hostcalls::dequeue_shared_queue(queue) {}
}
