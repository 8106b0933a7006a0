//! One front of a cluster: what it serves, and where the rest is served.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use stream_coordination::io::Route;
use stream_coordination::placement::{slot_of_group, slot_of_key};
use tokio::sync::mpsc;

use super::coordination::Coordination;
use super::directory::{Directory, Listed};
use super::extents::Extents;
use super::peers::Peers;
use super::recent::Recent;
use super::running::{Event, Running};
use super::sticky::Sticky;
use super::topic_log::{InternalTopics, Log};
use super::translate::{failed, group_record};
use super::unfit::Unfit;
use crate::backend::Backend;
use crate::fronts::{CONTROL_SLOT, Fronts, Handed, Handing, Place};
use crate::metric::Metrics;
use crate::service::Service;
use crate::settings::KafkaSetting;
use crate::storage::{Answer, StorageError};

/// How long a front waits at its end until it has handed everything over.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause of a request that has found nobody to serve it, at most.
const CHANGED_TIMEOUT: Duration = Duration::from_millis(500);

/// One front of a cluster.
pub(crate) struct KafkaFront {
    pub(super) setting: Arc<KafkaSetting>,
    pub(super) log: Arc<dyn Log>,
    pub(super) coordination: Arc<Coordination>,
    pub(super) extents: Extents,
    pub(super) recent: Recent,
    pub(super) sticky: Sticky,
    pub(super) directory: Directory,
    pub(super) unfit: Unfit,
    pub(super) metrics: Arc<Metrics>,
    pub(super) secret: OnceLock<[u8; 64]>,
    pub(super) peers: OnceLock<Peers>,
    pub(super) topics: InternalTopics,
    /// The number of slots, which is known before anything is served. Each group belongs to one of
    /// them for ever.
    pub(super) slots: OnceLock<u32>,
    /// Held by whoever makes or deletes the topic of a stream.
    pub(super) making: tokio::sync::Mutex<()>,
    service: OnceLock<Arc<Service>>,
    owned: Mutex<Owned>,
    control: Mutex<Control>,
    running: Mutex<Option<Running>>,
}

/// The slots of this front, by number.
#[derive(Default)]
struct Owned {
    /// Slots that this front has gained, with the ownership.
    gained: BTreeMap<u32, u64>,
    /// Those of them whose groups the service has.
    loaded: BTreeMap<u32, u64>,
    /// Since when.
    since: BTreeMap<u32, Instant>,
}

/// What the owner of the first slot remembers of its ownership.
#[derive(Default)]
pub(super) struct Control {
    /// When it took the slot over, if there was an owner before.
    pub(super) taken_over_at: Option<Instant>,
    /// The keys of streams whose deletion began since.
    pub(super) deleted_here: BTreeSet<u64>,
}

impl KafkaFront {
    pub(super) fn new(
        setting: Arc<KafkaSetting>,
        log: Arc<dyn Log>,
        topics: InternalTopics,
        (coordination, running): (Arc<Coordination>, Running),
    ) -> Self {
        Self {
            setting,
            extents: Extents::new(Arc::clone(&log)),
            recent: Recent::default(),
            sticky: Sticky::default(),
            log,
            coordination,
            directory: Directory::default(),
            unfit: Unfit::default(),
            metrics: Metrics::new(),
            secret: OnceLock::new(),
            peers: OnceLock::new(),
            topics,
            slots: OnceLock::new(),
            making: tokio::sync::Mutex::default(),
            service: OnceLock::new(),
            owned: Mutex::default(),
            control: Mutex::default(),
            running: Mutex::new(Some(running)),
        }
    }

    /// Returns the number of slots.
    pub(super) fn slots(&self) -> u32 {
        self.slots.get().copied().unwrap_or(1)
    }

    /// Returns the name of a stream's topic.
    pub(super) fn topic(&self, stream_name: &str) -> String {
        format!("{}{stream_name}", self.setting.topic_prefix)
    }

    fn owned(&self) -> MutexGuard<'_, Owned> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns where the control plane is served, whether or not the service has it.
    pub(super) fn control_place(&self) -> Place {
        match self.coordination.route(CONTROL_SLOT) {
            Route::Here { epoch } => Place::Here { epoch },
            Route::Elsewhere { epoch, url, .. } => Place::Elsewhere { epoch, url },
            Route::Nowhere => Place::Nowhere,
        }
    }

    /// Returns the slots that the service serves here.
    pub(super) fn owned_slots(&self) -> Vec<u32> {
        self.owned().loaded.keys().copied().collect()
    }

    /// Returns for how long a slot has been served here.
    pub(super) fn owned_for(&self, slot: u32) -> Duration {
        let since = self.owned().since.get(&slot).copied();
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Returns the streams that clients see.
    pub(super) fn listed(&self) -> Result<Arc<Listed>, StorageError> {
        let position = self.coordination.position(CONTROL_SLOT);
        if let Some(listed) = self.directory.at(position) {
            return Ok(listed);
        }
        let read = |state: &_| self.directory.read(position, state);
        let read = self.coordination.with_state(CONTROL_SLOT, read);
        let unknown = "the streams aren't known yet".to_owned();
        read.ok_or(StorageError::Unavailable(unknown))
    }

    /// Follows what this front gains and loses, as long as it runs.
    pub(super) async fn follow(self: Arc<Self>, mut events: mpsc::UnboundedReceiver<Event>) {
        while let Some(event) = events.recv().await {
            match event {
                Event::Gained { slot, epoch } => {
                    tracing::info!(slot, epoch, "this front serves the slot");
                    if slot == CONTROL_SLOT {
                        *self.control() = Control {
                            taken_over_at: (epoch > 1).then(Instant::now),
                            ..Control::default()
                        };
                    }
                    self.owned().gained.insert(slot, epoch);
                    self.load(slot, epoch).await;
                }
                Event::Lost { slot } => {
                    tracing::info!(slot, "another front serves the slot");
                    let mut owned = self.owned();
                    owned.gained.remove(&slot);
                    owned.loaded.remove(&slot);
                    owned.since.remove(&slot);
                    if let Some(service) = self.service.get() {
                        service.drop_groups(|key| slot_of_key(key) == slot);
                    }
                }
            }
        }
    }

    /// Has the service serve a slot, if there is a service already.
    async fn load(self: &Arc<Self>, slot: u32, epoch: u64) {
        let Some(service) = self.service.get() else {
            return;
        };
        let records = self.coordination.with_state(slot, |state| {
            state.groups().map(group_record).collect::<Vec<_>>()
        });
        service.take_groups(records.unwrap_or_default(), first_joining(epoch));
        if slot == CONTROL_SLOT
            && let Err(error) = service.reload_catalog().await
        {
            tracing::error!("what the control plane keeps can't be read: {error}");
        }
        let mut owned = self.owned();
        if owned.gained.get(&slot) == Some(&epoch) {
            owned.loaded.insert(slot, epoch);
            owned.since.insert(slot, Instant::now());
        }
    }

    /// Has a service serve what this front owns, from now on.
    pub(super) async fn load_all(self: &Arc<Self>, service: &Arc<Service>) {
        // There is one service.
        let _ = self.service.set(Arc::clone(service));
        let gained = self.owned().gained.clone();
        for (slot, epoch) in gained {
            self.load(slot, epoch).await;
        }
    }

    /// Forgets what belongs to streams that are gone: another front may have deleted them.
    pub(super) fn drop_gone(&self) {
        // A stream that is created from now on may not be in the list.
        let position = self.coordination.position(CONTROL_SLOT);
        let known = self.coordination.with_state(CONTROL_SLOT, |state| {
            let keys = state.streams().map(|stream| stream.key);
            keys.collect::<BTreeSet<_>>()
        });
        let Some(known) = known else { return };
        let is_gone = |key: u64| key < position && !known.contains(&key);
        self.extents.forget(is_gone);
        self.recent.forget(is_gone);
        if let Some(service) = self.service.get() {
            service.drop_groups_of(is_gone);
        }
    }

    /// Hands everything over to other fronts, at once.
    pub(crate) async fn leave(&self) {
        self.coordination.leave(LEAVE_TIMEOUT).await;
    }
}

impl Backend for KafkaFront {
    fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn probe(&self) -> Answer<'_, ()> {
        Box::pin(async {
            let slots = 0..self.slots();
            let asked = self.log.bounds(&self.topics.slots, slots, None).await;
            asked.map(drop).map_err(failed)?;
            self.listed().map(drop)
        })
    }

    fn close(self: Arc<Self>) -> Answer<'static, ()> {
        Box::pin(async move {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            drop(running.take());
            Ok(())
        })
    }
}

impl Fronts for KafkaFront {
    fn slot_of_group(&self, stream_key: u64, name: &str) -> u32 {
        slot_of_group(stream_key, name, self.slots())
    }

    fn slot_of_key(&self, group_key: u64) -> u32 {
        slot_of_key(group_key)
    }

    fn place(&self, slot: u32) -> Place {
        match self.coordination.route(slot) {
            Route::Here { epoch } if self.owned().loaded.get(&slot) == Some(&epoch) => {
                Place::Here { epoch }
            }
            Route::Elsewhere { epoch, url, .. } => Place::Elsewhere { epoch, url },
            Route::Here { .. } | Route::Nowhere => Place::Nowhere,
        }
    }

    fn may_serve(&self, slot: u32, epoch: u64) -> bool {
        self.coordination.may_serve(slot, epoch)
    }

    fn hand<'a>(&'a self, url: &'a str, slot: u32, epoch: u64, request: &'a Handed) -> Handing<'a> {
        Box::pin(async move {
            match self.peers.get() {
                Some(peers) => peers.hand(url, slot, epoch, request).await,
                None => Err(crate::fronts::NotHanded::Moved),
            }
        })
    }

    fn changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            // A slot that nobody owns, or whose groups aren't loaded yet, has a place soon.
            self.coordination.wait_for_news(CHANGED_TIMEOUT).await;
        })
    }
}

/// Returns from where the joinings of an ownership are numbered: apart from those of all earlier
/// ones, of which a group has far fewer than the room for it, and from those of another ownership
/// with this epoch, in case that the log of slots has lost its end.
fn first_joining(epoch: u64) -> u64 {
    let part = u64::from(fastrand::u32(..) >> 1);
    epoch.saturating_mul(1 << 32).saturating_add(part)
}
