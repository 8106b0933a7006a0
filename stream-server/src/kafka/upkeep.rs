//! Groups that nobody uses any more leave, as at Oracle after the stream's retention, and those of
//! deleted streams at once. Each front looks after its own slots.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use stream_coordination::placement::slot_of_key;
use stream_coordination::record::Change;

use super::front::KafkaFront;
use super::translate::wall_ms;
use crate::fronts::CONTROL_SLOT;
use crate::service::Service;
use crate::time::Clock;

const PAUSE: Duration = Duration::from_secs(60);
const HOUR_MS: u64 = 3_600_000;

/// Works as long as the server runs.
pub(super) async fn run(front: Arc<KafkaFront>, service: Arc<Service>) {
    let clock = Clock::start();
    loop {
        tokio::time::sleep(PAUSE).await;
        let used = service.groups_in_use(clock.steady());
        for slot in front.owned_slots() {
            let used = used.iter().copied().filter(|key| slot_of_key(*key) == slot);
            look_after(&front, &service, slot, used.collect(), &clock).await;
        }
    }
}

async fn look_after(
    front: &KafkaFront,
    service: &Service,
    slot: u32,
    used: Vec<u64>,
    clock: &Clock,
) {
    let now_ms = wall_ms();
    let streams = front.coordination.with_state(CONTROL_SLOT, |state| {
        let retention = |one: &stream_coordination::record::StreamState| {
            let hours = u64::from(one.stream.retention_hours);
            (one.key, hours.saturating_mul(HOUR_MS))
        };
        state.streams().map(retention).collect::<HashMap<_, _>>()
    });
    let Some(streams) = streams else { return };
    let unused = front.coordination.with_state(slot, |state| {
        let is_unused = |group: &&stream_coordination::record::GroupState| {
            let kept_ms = streams.get(&group.stream).copied().unwrap_or(0);
            group.used_ms.saturating_add(kept_ms) < now_ms && !used.contains(&group.key)
        };
        let unused = state.groups().filter(is_unused);
        unused.map(|group| group.key).collect::<Vec<_>>()
    });
    let unused = service.forget_groups(clock.steady(), unused.unwrap_or_default());
    let using = Change::UseGroups {
        groups: used.clone(),
        at_ms: now_ms,
    };
    let forgetting = Change::ForgetGroups {
        groups: unused.clone(),
        unused_since_ms: now_ms,
    };
    let changes = [(used, using), (unused, forgetting)];
    for (_, change) in changes.into_iter().filter(|(groups, _)| !groups.is_empty()) {
        // The next round, or the next owner, does it again.
        if let Err(error) = front.change(slot, change).await {
            tracing::debug!(slot, "the groups' use isn't noted: {error}");
        }
    }
}
