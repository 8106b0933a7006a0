//! Groups that nobody uses any more leave, as at Oracle after the stream's retention, and those of
//! deleted streams at once. Each front looks after its own slots.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use stream_coordination::placement::slot_of_key;
use stream_coordination::record::{Change, GroupState, StreamState};

use super::front::KafkaFront;
use crate::fronts::CONTROL_SLOT;
use crate::service::Service;
use crate::time::{Clock, TimeMs};

const PAUSE: Duration = Duration::from_secs(60);
/// Whatever was used within this time counts as in use: more than a pause, because a round may fail
/// or be late.
const LATELY_MS: u64 = 600_000;
const HOUR_MS: u64 = 3_600_000;
/// How long a slot is owned before a group of it leaves. After a pause of the whole service, nobody
/// has used any group for long.
const OWNED_MIN: Duration = Duration::from_secs(600);

/// Works as long as the server runs.
pub(super) async fn run(front: Arc<KafkaFront>, service: Arc<Service>) {
    let clock = Clock::start();
    loop {
        tokio::time::sleep(PAUSE).await;
        let now = clock.steady();
        let since = TimeMs(now.0.saturating_sub(LATELY_MS));
        let used = service.groups_in_use(since, now);
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
    // Not this machine's time: it may be wrong by days.
    let Some(now_ms) = front.coordination.log_times.of(slot) else {
        return;
    };
    let streams = front.coordination.with_state(CONTROL_SLOT, |state| {
        let retention = |one: &StreamState| {
            let hours = u64::from(one.stream.retention_hours);
            (one.key, hours.saturating_mul(HOUR_MS))
        };
        state.streams().map(retention).collect::<HashMap<_, _>>()
    });
    let Some(streams) = streams else { return };
    let owned_for = front.owned_for(slot);
    let unused = front.coordination.with_state(slot, |state| {
        let is_unused = |group: &&GroupState| {
            let kept_ms = streams.get(&group.stream).copied().unwrap_or(0);
            is_over(group.used_ms, kept_ms, now_ms, owned_for) && !used.contains(&group.key)
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

/// Returns whether a group leaves that was last used then, if its stream keeps messages for so
/// long. Whoever has come back with this owner gets some time to join.
fn is_over(used_ms: u64, kept_ms: u64, now_ms: u64, owned_for: Duration) -> bool {
    owned_for >= OWNED_MIN && used_ms.saturating_add(kept_ms) < now_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_leaves_when_its_stream_has_forgotten_what_it_could_read() {
        let (day_ms, used_ms) = (24 * HOUR_MS, 1_800_000_000_000);
        let then = used_ms + day_ms;
        assert!(is_over(used_ms, day_ms, then + 1, OWNED_MIN));
        assert!(!is_over(used_ms, day_ms, then, OWNED_MIN));
        let just_taken_over = Duration::from_secs(60);
        assert!(!is_over(used_ms, day_ms, then + 1, just_taken_over));
    }
}
