//! Runs [`stream_coordination`]: performs what it wants done, and tells it what has happened.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use stream_coordination::config::Config;
use stream_coordination::coordinator::Coordinator;
use stream_coordination::io::{Answer, AppendResult, Input, LogId, Output, Route};
use stream_coordination::record::Change;
use stream_coordination::state::SlotState;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::holes::first_hole;
use super::log_times::LogTimes;
use super::running::{Event, Running};
use super::steady;
use super::topic_log::{Follow, Followed, InternalTopics, Log, LogError, NewRecord, Record};

/// The pause before a question that failed is asked again.
const AGAIN: Duration = Duration::from_millis(200);
/// The shortest pause until the time is told.
const SLEEP_MIN: Duration = Duration::from_millis(1);
/// Records that are told at a time.
const TOLD_MAX: usize = 256;
/// How much longer than the coordination's own bound a request waits for its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The coordination of this front, with its logs.
pub(super) struct Coordination {
    log: Arc<dyn Log>,
    topics: InternalTopics,
    coordinator: Mutex<Coordinator>,
    outputs: mpsc::UnboundedSender<Output>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    /// What is followed, by the order that it was asked with.
    followed: Mutex<HashMap<u64, Place>>,
    pub(super) log_times: LogTimes,
    numbers: AtomicU64,
    /// Counts what was told: whoever waits for something looks again.
    told: watch::Sender<u64>,
    sooner: Notify,
    has_left: Notify,
    /// Why the latest record was refused for good, if it was.
    denial: Mutex<Option<LogError>>,
    /// The slot whose log was read to its end last, and when that end was asked.
    pub(super) caught_up: tokio::sync::Mutex<Option<(u32, Instant)>>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    log: LogId,
    next: u64,
}

impl Coordination {
    /// Starts a front. What it gains and loses comes from the receiver.
    ///
    /// # Errors
    /// When the configuration is wrong or the log can't be followed.
    pub(super) fn start(
        log: Arc<dyn Log>,
        topics: InternalTopics,
        config: Config,
    ) -> Result<(Arc<Self>, Running, mpsc::UnboundedReceiver<Event>), LogError> {
        let coordinator = Coordinator::new(config, steady::now_ms()).map_err(LogError::Refused)?;
        let (orders, followed) = log.follow()?;
        let (outputs, wanted) = mpsc::unbounded_channel();
        let (events, received) = mpsc::unbounded_channel();
        let this = Arc::new(Self {
            log,
            topics,
            coordinator: Mutex::new(coordinator),
            outputs,
            waiting: Mutex::default(),
            followed: Mutex::default(),
            log_times: LogTimes::default(),
            numbers: AtomicU64::new(1),
            told: watch::Sender::new(0),
            sooner: Notify::new(),
            has_left: Notify::new(),
            denial: Mutex::default(),
            caught_up: tokio::sync::Mutex::default(),
        });
        let performing = tokio::spawn(Arc::clone(&this).perform(wanted, orders, events));
        let reading = tokio::spawn(Arc::clone(&this).read(followed));
        let ticking = tokio::spawn(Arc::clone(&this).tick());
        // It has wanted its logs opened from the beginning.
        this.tell(Input::Tick);
        Ok((this, Running(vec![performing, reading, ticking]), received))
    }

    fn coordinator(&self) -> MutexGuard<'_, Coordinator> {
        self.coordinator
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what has happened.
    fn tell(&self, input: Input) {
        let mut coordinator = self.coordinator();
        coordinator.handle(input, steady::now_ms());
        // Under the lock, so that they are performed in their order.
        while let Some(output) = coordinator.poll_output() {
            // Nobody performs it at the very end.
            let _ = self.outputs.send(output);
        }
        drop(coordinator);
        self.told
            .send_modify(|count| *count = count.wrapping_add(1));
        self.sooner.notify_one();
    }

    async fn tick(self: Arc<Self>) {
        loop {
            let due = self.coordinator().next_wakeup();
            let wait = Duration::from_millis(due.saturating_sub(steady::now_ms()));
            tokio::select! {
                () = tokio::time::sleep(wait.max(SLEEP_MIN)) => self.tell(Input::Tick),
                () = self.sooner.notified() => {}
            }
        }
    }

    fn topic(&self, log: LogId) -> (&str, u32) {
        match log {
            LogId::Members => (&self.topics.members, 0),
            LogId::Slot(slot) => (&self.topics.slots, slot),
        }
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    async fn perform(
        self: Arc<Self>,
        mut wanted: mpsc::UnboundedReceiver<Output>,
        orders: mpsc::UnboundedSender<Follow>,
        events: mpsc::UnboundedSender<Event>,
    ) {
        while let Some(output) = wanted.recv().await {
            match output {
                Output::Open { log } => {
                    self.follow(&orders, log, None);
                    tokio::spawn(Arc::clone(&self).open(log));
                }
                Output::Read { log, from } => self.follow(&orders, log, Some(from)),
                Output::Append {
                    log,
                    ticket,
                    records,
                } => drop(tokio::spawn(Arc::clone(&self).append(log, ticket, records))),
                Output::DeleteBefore { slot, offset } => {
                    drop(tokio::spawn(Arc::clone(&self).delete_before(slot, offset)));
                }
                Output::Answer { request, answer } => {
                    let waiting = self.waiting().remove(&request);
                    // Nobody receives it if the client has gone away.
                    let _ = waiting.map(|waiting| waiting.send(answer));
                }
                Output::Gained { slot, epoch } => drop(events.send(Event::Gained { slot, epoch })),
                Output::Lost { slot, .. } => drop(events.send(Event::Lost { slot })),
                Output::Changed { .. } => {}
                Output::Left => self.has_left.notify_one(),
            }
        }
    }

    async fn delete_before(self: Arc<Self>, slot: u32, offset: u64) {
        let (topic, partition) = self.topic(LogId::Slot(slot));
        if let Err(error) = self.log.delete_records(topic, partition, offset).await {
            tracing::debug!(slot, "its log stays long for now: {error}");
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn followed(&self) -> MutexGuard<'_, HashMap<u64, Place>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a log followed from there on, or no longer.
    fn follow(&self, orders: &mpsc::UnboundedSender<Follow>, log: LogId, from: Option<u64>) {
        let order = self.number();
        let mut followed = self.followed();
        followed.retain(|_, place| place.log != log);
        if let Some(next) = from {
            followed.insert(order, Place { log, next });
        }
        drop(followed);
        let (topic, partition) = self.topic(log);
        let _ = orders.send(Follow {
            topic: topic.to_owned(),
            partition,
            from,
            order,
        });
    }

    async fn open(self: Arc<Self>, log: LogId) {
        loop {
            match self.extent(log).await {
                Ok((oldest, end)) => return self.tell(Input::Opened { log, oldest, end }),
                Err(error) => {
                    tracing::debug!(?log, "its offsets aren't known yet: {error}");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    pub(super) async fn extent(&self, log: LogId) -> Result<(u64, u64), LogError> {
        let (topic, partition) = self.topic(log);
        let only = partition..partition.saturating_add(1);
        let bounds = self.log.bounds(topic, only, None).await?;
        let extent = bounds.get(&partition).ok_or(LogError::NoTopic)?;
        Ok((extent.oldest, extent.next))
    }

    async fn append(self: Arc<Self>, log: LogId, ticket: u64, records: Vec<Vec<u8>>) {
        let (topic, partition) = self.topic(log);
        let record = |value: Vec<u8>| NewRecord {
            partition,
            key: None,
            value: value.into(),
        };
        let records = records.into_iter().map(record).collect();
        let appended = self.log.produce(topic, records).await;
        let failure = appended.iter().find_map(|one| one.as_ref().err());
        if let Some(error) = failure {
            tracing::debug!(?log, "a record was not confirmed: {error}");
        }
        let denial = failure.filter(|error| matches!(error, LogError::Denied(_)));
        *self.denial.lock().unwrap_or_else(PoisonError::into_inner) = denial.cloned();
        let offsets = appended.into_iter().map(|one| Some(one.ok()?.offset));
        let result = offsets
            .collect::<Option<Vec<u64>>>()
            .map_or(AppendResult::Unknown, AppendResult::At);
        self.tell(Input::Appended { ticket, result });
    }

    /// Tells what comes of the logs that are followed.
    async fn read(self: Arc<Self>, mut followed: mpsc::Receiver<Followed>) {
        let mut batch = Vec::new();
        while followed.recv_many(&mut batch, TOLD_MAX).await > 0 {
            let mut found: BTreeMap<u64, (Vec<Record>, Option<u64>)> = BTreeMap::new();
            for followed in batch.drain(..) {
                match followed {
                    Followed::Record(order, record) => {
                        found.entry(order).or_default().0.push(record);
                    }
                    Followed::Next { order, next } => {
                        found.entry(order).or_default().1 = Some(next);
                    }
                }
            }
            for (order, (records, next)) in found {
                self.tell_records(order, records, next).await;
            }
        }
    }

    async fn tell_records(&self, order: u64, records: Vec<Record>, next: Option<u64>) {
        // What comes of an order that was replaced doesn't matter.
        let Some(Place { log, next: from }) = self.followed().get(&order).copied() else {
            return;
        };
        let offsets = records.iter().map(|record| record.stamp.offset);
        if let Some(hole) = first_hole(from, offsets, next)
            && !self.is_gap(log, hole).await
        {
            self.followed().remove(&order);
            return self.tell(Input::OutOfRange { log });
        }
        let last = records.last().map(|record| record.stamp.offset);
        let next = last
            .map_or(from, |last| last.saturating_add(1))
            .max(next.unwrap_or(0));
        if let Some(place) = self.followed().get_mut(&order) {
            place.next = next;
        }
        self.log_times.note(log, &records);
        let value = |record: Record| (record.stamp.offset, record.value.to_vec());
        self.tell(Input::Fetched {
            log,
            from,
            records: records.into_iter().map(value).collect(),
            next,
        });
    }

    /// Returns whether offsets are left out because they have no records. Otherwise the log was cut
    /// or made anew. If nothing was cut behind the first hole, nothing was behind later ones.
    async fn is_gap(&self, log: LogId, hole: Range<u64>) -> bool {
        let oldest = self.extent(log).await.map(|(oldest, _)| oldest);
        hole.end > hole.start && oldest.is_ok_and(|oldest| oldest <= hole.start)
    }

    /// Returns why Kafka doesn't let this front write, if it doesn't.
    pub(super) fn denial(&self) -> Option<LogError> {
        let denial = self.denial.lock().unwrap_or_else(PoisonError::into_inner);
        denial.clone()
    }

    /// Has the owner's log take a change. It must be an owner's request.
    pub(super) async fn request(&self, slot: u32, change: Change) -> Answer {
        let request = self.number();
        let (sender, answer) = oneshot::channel();
        self.waiting().insert(request, sender);
        self.tell(Input::Request {
            request,
            slot,
            change,
        });
        let answered = tokio::time::timeout(ANSWER_TIMEOUT, answer).await;
        self.waiting().remove(&request);
        answered
            .ok()
            .and_then(Result::ok)
            .unwrap_or(Answer::Unknown)
    }

    /// Returns something of the state of a slot; `None` until it is known.
    pub(super) fn with_state<T>(&self, slot: u32, look: impl FnOnce(&SlotState) -> T) -> Option<T> {
        self.coordinator().state(slot).map(look)
    }

    /// Returns the offset behind the last record of a slot that is part of its state.
    pub(super) fn position(&self, slot: u32) -> u64 {
        self.coordinator().position(slot)
    }

    /// Returns where requests for a slot go.
    pub(super) fn route(&self, slot: u32) -> Route {
        self.coordinator().route(slot)
    }

    /// Returns whether this front may answer what it has read for the slot.
    pub(super) fn may_serve(&self, slot: u32, epoch: u64) -> bool {
        self.coordinator().may_serve(slot, epoch, steady::now_ms())
    }

    /// Waits until something holds, at most for this time. Returns whether it does.
    pub(super) async fn wait_until(
        &self,
        patience: Duration,
        holds: impl Fn(&Coordinator) -> bool,
    ) -> bool {
        let mut told = self.told.subscribe();
        let waiting = async {
            while !holds(&self.coordinator()) {
                if told.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(patience, waiting).await.is_ok()
    }

    /// Waits until something has happened, at most for this time.
    pub(super) async fn wait_for_news(&self, patience: Duration) {
        let mut told = self.told.subscribe();
        // Whether something has happened or not, the caller looks again.
        let _ = tokio::time::timeout(patience, told.changed()).await;
    }

    /// Hands everything over, at most for this time.
    pub(super) async fn leave(&self, patience: Duration) {
        self.tell(Input::Leave);
        // The others notice by themselves if this takes too long.
        let _ = tokio::time::timeout(patience, self.has_left.notified()).await;
    }
}
