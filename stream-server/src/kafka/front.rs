//! One front of a cluster: what it serves, and where the rest is served.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use stream_coordination::io::Route;
use stream_coordination::placement::{slot_of_group, slot_of_key};
use tokio::sync::mpsc;

use super::coordination::Coordination;
use super::directory::{Directory, Listed};
use super::extents::Extents;
use super::peers::Peers;
use super::running::{Event, Running};
use super::topic_log::{InternalTopics, Log};
use super::translate::{failed, group_record};
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
    pub(super) directory: Directory,
    pub(super) metrics: Arc<Metrics>,
    pub(super) secret: OnceLock<[u8; 64]>,
    pub(super) peers: OnceLock<Peers>,
    pub(super) topics: InternalTopics,
    /// Partitions of the topic of slots. Each group belongs to one of them for ever.
    pub(super) slots: u32,
    service: OnceLock<Arc<Service>>,
    owned: Mutex<Owned>,
    running: Mutex<Option<Running>>,
}

/// The slots of this front, by number.
#[derive(Default)]
struct Owned {
    /// Slots that this front has gained, with the ownership.
    gained: BTreeMap<u32, u64>,
    /// Those of them whose groups the service has.
    loaded: BTreeMap<u32, u64>,
}

impl KafkaFront {
    pub(super) fn new(
        setting: Arc<KafkaSetting>,
        log: Arc<dyn Log>,
        (topics, slots): (InternalTopics, u32),
        (coordination, running): (Arc<Coordination>, Running),
    ) -> Self {
        Self {
            setting,
            extents: Extents::new(Arc::clone(&log)),
            log,
            coordination,
            directory: Directory::default(),
            metrics: Metrics::new(),
            secret: OnceLock::new(),
            peers: OnceLock::new(),
            topics,
            slots,
            service: OnceLock::new(),
            owned: Mutex::default(),
            running: Mutex::new(Some(running)),
        }
    }

    /// Returns the name of a stream's topic.
    pub(super) fn topic(&self, stream_name: &str) -> String {
        format!("{}{stream_name}", self.setting.topic_prefix)
    }

    fn owned(&self) -> MutexGuard<'_, Owned> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the slots that the service serves here.
    pub(super) fn owned_slots(&self) -> Vec<u32> {
        self.owned().loaded.keys().copied().collect()
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
                    self.owned().gained.insert(slot, epoch);
                    self.load(slot, epoch).await;
                }
                Event::Lost { slot } => {
                    tracing::info!(slot, "another front serves the slot");
                    let mut owned = self.owned();
                    owned.gained.remove(&slot);
                    owned.loaded.remove(&slot);
                    if let Some(service) = self.service.get() {
                        service.drop_groups(|key| slot_of_key(key) == slot);
                    }
                }
            }
        }
    }

    /// Has the service serve a slot, if there is a service already.
    async fn load(self: &Arc<Self>, slot: u32, epoch: u64) {
        if slot == CONTROL_SLOT {
            tokio::spawn(Arc::clone(self).finish_streams());
        }
        let Some(service) = self.service.get() else {
            return;
        };
        let records = self.coordination.with_state(slot, |state| {
            state.groups().map(group_record).collect::<Vec<_>>()
        });
        service.take_groups(records.unwrap_or_default(), epoch);
        if slot == CONTROL_SLOT
            && let Err(error) = service.reload_catalog().await
        {
            tracing::error!("what the control plane keeps can't be read: {error}");
        }
        let mut owned = self.owned();
        if owned.gained.get(&slot) == Some(&epoch) {
            owned.loaded.insert(slot, epoch);
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
            let asked = self.log.bounds(&self.topics.slots, 0..self.slots).await;
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
        slot_of_group(stream_key, name, self.slots)
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
