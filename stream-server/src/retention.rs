//! The rounds of retention: old messages are removed as long as the server runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::limits::RETENTION_PAUSE_MAX;
use crate::service::Service;
use crate::settings::StreamSetting;
use crate::storage::{Storage as _, StorageError, Stream};
use crate::store::Store;
use crate::time::{Clock, TimeMs};

const HOUR_MS: u64 = 3_600_000;

/// What retention needs to know.
pub(crate) struct Retention {
    store: Arc<Store>,
    service: Arc<Service>,
    clock: Clock,
    /// Retention of streams for tests, in milliseconds, by name.
    overrides: BTreeMap<String, u64>,
}

impl Retention {
    pub(crate) fn new(store: Arc<Store>, service: Arc<Service>, streams: &[StreamSetting]) -> Self {
        let overridden = |stream: &StreamSetting| {
            let seconds = stream.retention_seconds?;
            Some((stream.name.clone(), seconds.saturating_mul(1_000)))
        };
        Self {
            store,
            service,
            clock: Clock::start(),
            overrides: streams.iter().filter_map(overridden).collect(),
        }
    }

    /// Works until it is dropped.
    pub(crate) async fn run(self) {
        let shortest = self.overrides.values().min().copied().unwrap_or(u64::MAX);
        let pause = Duration::from_millis(shortest / 4)
            .clamp(Duration::from_millis(100), RETENTION_PAUSE_MAX);
        let mut since = self.clock.steady();
        loop {
            tokio::time::sleep(pause).await;
            let now = self.clock.steady();
            match self.round(since).await {
                Ok(()) => since = now,
                Err(error) => tracing::error!("retention waits for {pause:?}: {error}"),
            }
        }
    }

    /// Works once. `since` is when the last round that went well began.
    async fn round(&self, since: TimeMs) -> Result<(), StorageError> {
        for stream in self.store.streams().await? {
            let (now, steady) = (self.clock.wall(), self.clock.steady());
            let before = TimeMs(now.0.saturating_sub(self.retention_ms(&stream)));
            self.store.trim(&stream, before).await?;
            let used = self.service.groups_in_use(since, steady);
            let unused = self.store.unused_groups(&stream, used, now, before).await?;
            let unused = self.service.forget_groups(steady, unused);
            if !unused.is_empty() {
                self.store.delete_groups(unused).await?;
            }
        }
        self.store.free_space().await
    }

    fn retention_ms(&self, stream: &Stream) -> u64 {
        let hours = u64::from(stream.retention_hours).saturating_mul(HOUR_MS);
        self.overrides.get(&stream.name).copied().unwrap_or(hours)
    }
}
