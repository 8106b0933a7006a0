//! Which requests go to one stream together, and when.

use std::collections::VecDeque;

use crate::accept::config::PublishConfig;
use crate::http::OutgoingRequest;
use crate::id::RequestId;
use crate::stream::StreamClient;
use crate::stream::batch::{Batch, SentBatch};
use crate::time::Steady;

/// What goes to one stream: the requests that wait, and the batch that gathers. Each batch is sent
/// once; clients learn what became of their request.
#[derive(Debug)]
pub(super) struct Publisher {
    client: StreamClient,
    /// Complete requests in the order in which they were completed. Some of them may be gone.
    pub(super) outbox: VecDeque<RequestId>,
    /// The batch that gathers now.
    pub(super) batch: Batch<RequestId>,
    /// PutMessages requests that aren't answered yet.
    open: usize,
    /// Records in them.
    under_way: usize,
    /// Until when the Stream has asked for a pause.
    pub(super) not_before: Steady,
}

impl Publisher {
    pub(super) fn new(client: StreamClient) -> Self {
        Self {
            client,
            outbox: VecDeque::new(),
            batch: Batch::default(),
            open: 0,
            under_way: 0,
            not_before: Steady(0),
        }
    }

    /// Returns whether a batch may be published now. The first one may go at once, a further one if
    /// it is full or has half as many records as are under way.
    ///
    /// So a client doesn't wait for two answers, its own and the one before, of a Stream that takes
    /// long; and requests that come fast still go in few batches.
    pub(super) fn may_publish(&self, config: &PublishConfig) -> bool {
        let waiting = self.batch.len().saturating_add(self.outbox.len());
        let enough = self.under_way.div_ceil(2).min(config.batch_records_max);
        self.open == 0 || (waiting >= enough && self.open < config.in_flight_max)
    }

    /// Returns the next step.
    pub(super) fn next(&mut self, config: &PublishConfig, now: Steady) -> Step {
        if now < self.not_before {
            return Step::Wait;
        }
        if self.batch.len() >= config.batch_records_max {
            return if self.open < config.in_flight_max {
                Step::Publish
            } else {
                Step::Wait
            };
        }
        // A batch that has begun to gather goes on until it is full by number or by bytes.
        if self.batch.is_empty() && !self.may_publish(config) {
            return Step::Wait;
        }
        match self.outbox.pop_front() {
            Some(request) => Step::TakeIn(request),
            None if !self.batch.is_empty() && self.may_publish(config) => Step::Publish,
            None => Step::Wait,
        }
    }

    /// Returns the request for the batch that has gathered, and the sent batch.
    pub(super) fn send(&mut self) -> (OutgoingRequest, SentBatch<RequestId>) {
        let (request, sent) = std::mem::take(&mut self.batch).send(&self.client);
        self.open = self.open.saturating_add(1);
        self.under_way = self.under_way.saturating_add(sent.len());
        (request, sent)
    }

    /// Notes that a sent batch isn't under way any more.
    pub(super) fn answered(&mut self, batch: &SentBatch<RequestId>) {
        self.open = self.open.saturating_sub(1);
        self.under_way = self.under_way.saturating_sub(batch.len());
    }
}

/// What a publisher does next.
pub(super) enum Step {
    Wait,
    TakeIn(RequestId),
    Publish,
}
