//! Fronts on a log in memory that keeps its promises late, or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use stream_coordination::record::{Change, NewStream, Stage};

use super::front::KafkaFront;
use super::memory::{Fault, MemoryLog};
use super::topic_log::{Log as _, NewRecord, TopicPlan};
use crate::fronts::CONTROL_SLOT;
use crate::ops::Ops;
use crate::service::{GroupCursorRequest, GroupStart, PutMessage, Service, StreamRequest};
use crate::settings::KafkaSetting;
use crate::storage::{Storage as _, StorageError};
use crate::time::TimeMs;

const NOW: TimeMs = TimeMs(1_800_000_000_000);
const PATIENCE: Duration = Duration::from_secs(20);
const PLAN: TopicPlan = TopicPlan {
    partitions: 1,
    retention_ms: None,
    flushed: false,
};

struct Rig {
    log: Arc<MemoryLog>,
    front: Arc<KafkaFront>,
    service: Arc<Service>,
}

impl Rig {
    async fn start() -> Self {
        Self::start_on(Arc::new(MemoryLog::new())).await
    }

    async fn start_on(log: Arc<MemoryLog>) -> Self {
        let setting = KafkaSetting {
            replication: 1,
            min_in_sync: 1,
            slots: 4,
            ..KafkaSetting::local("none:1")
        };
        let storage = Arc::<MemoryLog>::clone(&log);
        let (front, _internal) = KafkaFront::start_on(Arc::new(setting), storage)
            .await
            .unwrap();
        let storage = Arc::<KafkaFront>::clone(&front);
        let service = Service::start(storage, Box::new(|| fastrand::u64(..)));
        let service = Arc::new(service.await.unwrap());
        front.attach(&service).await;
        let rig = Self {
            log,
            front,
            service,
        };
        rig.until(|rig| rig.front.owned_slots().len() >= 4).await;
        rig
    }

    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    }

    async fn create(&self, name: &str) -> Result<String, crate::api_error::ApiError> {
        let request = StreamRequest {
            name: name.to_owned(),
            partitions: 1,
            compartment_id: Some("c".to_owned()),
            ..StreamRequest::default()
        };
        let (view, _) = self.service.create_stream(NOW, request).await?;
        Ok(view.stream.id.clone())
    }

    fn stages(&self) -> Vec<(String, Stage)> {
        let stages = self.front.coordination.with_state(CONTROL_SLOT, |state| {
            let streams = state.streams();
            streams
                .map(|one| (one.stream.name.clone(), one.stage))
                .collect()
        });
        stages.unwrap_or_default()
    }

    async fn put(&self, topic: &str, count: usize) {
        let record = |_| NewRecord {
            partition: 0,
            key: None,
            value: Bytes::from_static(b"x"),
        };
        let records = (0..count).map(record).collect();
        for stamp in self.log.produce(topic, records).await {
            stamp.unwrap();
        }
    }

    async fn join(&self, stream: &str) -> String {
        let request = GroupCursorRequest {
            group: "g".to_owned(),
            start: GroupStart::TrimHorizon,
            instance: None,
            timeout_ms: 30_000,
            commit_on_get: false,
        };
        let joined = self.service.create_group_cursor(NOW, stream, request);
        joined.await.unwrap()
    }
}

#[tokio::test]
async fn a_commit_to_a_group_that_was_moved_unseen_is_not_acknowledged() {
    let rig = Rig::start().await;
    let stream = rig.create("calls").await.unwrap();
    rig.put("sluice.calls", 3).await;
    let cursor = rig.join(&stream).await;
    let got = rig.service.get_messages(NOW, &stream, &cursor, None).await;
    let cursor = got.unwrap().next_cursor;
    // UpdateGroup was answered as unknown, and landed later.
    let groups: Vec<(u64, u32)> = (0..4)
        .flat_map(|slot| {
            let keys = rig.front.coordination.with_state(slot, |state| {
                state.groups().map(|one| one.key).collect::<Vec<_>>()
            });
            keys.unwrap_or_default()
                .into_iter()
                .map(move |key| (key, slot))
        })
        .collect();
    let [(group, slot)] = groups[..] else {
        panic!("{groups:?}");
    };
    let starts = BTreeMap::from([(0, 1)]);
    let change = Change::MoveGroup { group, starts };
    rig.front.change(slot, change).await.unwrap();
    let committed = rig.service.commit(NOW, &stream, &cursor).await;
    assert_eq!(committed.unwrap_err().status, 400);
    // Who comes anew reads where the group was moved to, and commits for good.
    let cursor = rig.join(&stream).await;
    let got = rig.service.get_messages(NOW, &stream, &cursor, None).await;
    let got = got.unwrap();
    assert_eq!(got.messages[0].stamp.offset, 1);
    rig.service
        .commit(NOW, &stream, &got.next_cursor)
        .await
        .unwrap();
    let kept = rig.front.coordination.with_state(slot, |state| {
        let group = state.group(group).unwrap();
        group.positions[&0].committed
    });
    assert_eq!(kept, Some(Some(2)));
    // And who forgets a group unseen takes its cursors too.
    let forget = Change::ForgetGroups {
        groups: vec![group],
        unused_since_ms: u64::MAX,
    };
    rig.front.change(slot, forget).await.unwrap();
    let committed = rig.service.commit(NOW, &stream, &got.next_cursor).await;
    assert_eq!(committed.unwrap_err().status, 400);
    rig.join(&stream).await;
}

fn new_stream(name: &str) -> NewStream {
    NewStream {
        id: format!("id-{name}"),
        name: name.to_owned(),
        partitions: 1,
        compartment_id: Some("c".to_owned()),
        stream_pool_id: None,
        retention_hours: 24,
        created_ms: 0,
    }
}

#[tokio::test]
async fn a_refused_creation_leaves_somebodys_topic_alone() {
    let rig = Rig::start().await;
    rig.log.create_topic("sluice.orders", PLAN).await.unwrap();
    rig.put("sluice.orders", 1).await;
    let refused = rig.create("orders").await.unwrap_err();
    assert_eq!(refused.status, 409);
    assert_eq!(rig.stages(), []);
    // An owner that died in the midst of it leaves it begun. Who goes on doesn't take the topic.
    let begin = Change::CreateStream(new_stream("orders"));
    rig.front.change(CONTROL_SLOT, begin).await.unwrap();
    rig.until(|rig| rig.stages().is_empty()).await;
    let bounds = rig.log.bounds("sluice.orders", 0..1, None).await.unwrap();
    assert_eq!(bounds[&0].next, 1, "it has its message");
}

#[tokio::test]
async fn a_creation_that_nobody_has_confirmed_is_finished() {
    let rig = Rig::start().await;
    for (fault, name) in [(Fault::DoneUnsaid, "a"), (Fault::UndoneUnsaid, "b")] {
        rig.log.fail_once(fault);
        let unsure = rig.create(name).await.unwrap_err();
        assert_eq!(unsure.status, 503);
        let active = (name.to_owned(), Stage::Active);
        rig.until(|rig| rig.stages().contains(&active)).await;
        assert_eq!(
            rig.create(name).await.unwrap_err().status,
            409,
            "it is there"
        );
    }
}

#[tokio::test]
async fn a_deletion_that_nobody_has_confirmed_is_finished() {
    let rig = Rig::start().await;
    for (fault, name) in [(Fault::DoneUnsaid, "a"), (Fault::UndoneUnsaid, "b")] {
        let stream = rig.create(name).await.unwrap();
        rig.log.fail_once(fault);
        let deleted = rig.service.delete_stream(NOW, &stream, None).await;
        deleted.unwrap();
        rig.until(|rig| rig.stages().is_empty()).await;
        assert!(!rig.log.has_topic(&format!("sluice.{name}")));
        let stream = rig.create(name).await.unwrap();
        let deleted = rig.service.delete_stream(NOW, &stream, None).await;
        deleted.unwrap();
    }
}

#[tokio::test]
async fn a_topic_that_was_made_anew_is_neither_used_nor_deleted() {
    let rig = Rig::start().await;
    let id = rig.create("calls").await.unwrap();
    let stream = rig.front.stream(&id).await.unwrap().unwrap();
    rig.put("sluice.calls", 3).await;
    assert_eq!(rig.front.look_for_remade().await, Ok(Vec::new()));
    rig.log.delete_topic("sluice.calls").await.unwrap();
    rig.log.create_topic("sluice.calls", PLAN).await.unwrap();
    let problems = rig.front.look_for_remade().await.unwrap();
    assert!(problems[0].contains("the stream calls"), "{problems:?}");
    assert_eq!(
        rig.front.look_for_remade().await,
        Ok(Vec::new()),
        "told once"
    );
    let asked = rig.front.extents(&stream).await;
    assert!(
        matches!(&asked, Err(StorageError::Unavailable(text)) if text.contains("Delete the")),
        "{asked:?}"
    );
    let deleted = rig.service.delete_stream(NOW, &id, None).await;
    deleted.unwrap();
    rig.until(|rig| rig.stages().is_empty()).await;
    assert!(rig.log.has_topic("sluice.calls"), "it is somebody's");
}

#[tokio::test]
async fn more_partitions_of_the_topic_of_slots_move_no_group() {
    let log = Arc::new(MemoryLog::new());
    let rig = Rig::start_on(Arc::clone(&log)).await;
    assert_eq!(rig.front.slots(), 4);
    rig.front.leave().await;
    log.resize("sluice.__sluice.slots", 8);
    let rig = Rig::start_on(Arc::clone(&log)).await;
    assert_eq!(rig.front.slots(), 4);
    rig.front.leave().await;
    log.resize("sluice.__sluice.slots", 3);
    let setting = Arc::clone(&rig.front.setting);
    let Err(error) = KafkaFront::start_on(setting, log).await else {
        panic!("it has started");
    };
    assert!(error.to_string().contains("groups lie in 4"), "{error}");
}

#[tokio::test]
async fn what_belongs_to_a_stream_that_another_front_has_deleted_is_forgotten() {
    let rig = Rig::start().await;
    let id = rig.create("calls").await.unwrap();
    let stream = rig.front.stream(&id).await.unwrap().unwrap();
    rig.join(&id).await;
    assert_eq!(rig.service.group_states(NOW).len(), 1);
    assert_eq!(rig.front.extents.count(), 1);
    // As another front would do it.
    let forget = Change::ForgetStream { stream: stream.key };
    rig.front.change(CONTROL_SLOT, forget).await.unwrap();
    rig.front.drop_gone();
    assert_eq!(rig.service.group_states(NOW).len(), 0);
    assert_eq!(rig.front.extents.count(), 0);
}

#[tokio::test]
async fn names_that_internal_topics_have_are_refused() {
    let rig = Rig::start().await;
    let refused = rig.create("test.__sluice.slots").await.unwrap_err();
    assert_eq!(refused.status, 400);
    rig.create("a.b").await.unwrap();
    let refused = rig.create("a_b").await.unwrap_err();
    assert!(refused.message.contains("a stream a.b"), "{refused:?}");
}

#[tokio::test]
async fn one_broken_stream_hides_no_other_figures() {
    let rig = Rig::start().await;
    for name in ["broken", "calls"] {
        let id = rig.create(name).await.unwrap();
        rig.join(&id).await;
    }
    rig.log.delete_topic("sluice.broken").await.unwrap();
    let backend = Arc::<KafkaFront>::clone(&rig.front);
    let ops = Ops::new(backend, Arc::clone(&rig.service));
    let snapshot = ops.snapshot().await.unwrap();
    assert_eq!(snapshot.groups, 2);
    let streams = snapshot
        .lags
        .iter()
        .map(|(labels, _)| labels.stream.as_str());
    assert_eq!(streams.collect::<Vec<_>>(), ["calls"]);
}

#[tokio::test]
async fn what_several_fronts_publish_comes_once_and_in_order() {
    let rig = Rig::start().await;
    let stream = rig.create("calls").await.unwrap();
    let mut cursor = rig.join(&stream).await;
    let mut offsets = Vec::new();
    for round in 0..60_u64 {
        // Another front's messages come between this one's.
        if round % 7 == 3 {
            rig.put("sluice.calls", 1).await;
        } else {
            let message = PutMessage {
                key: None,
                value: Bytes::from_static(b"x"),
            };
            let put = rig.service.put_messages(NOW, &stream, None, vec![message]);
            put.await.unwrap();
        }
        if round % 3 == 1 {
            let got = rig.service.get_messages(NOW, &stream, &cursor, Some(4));
            let got = got.await.unwrap();
            assert!(!got.messages.is_empty(), "there is more, in round {round}");
            offsets.extend(got.messages.iter().map(|one| one.stamp.offset));
            cursor = got.next_cursor;
        }
    }
    while offsets.len() < 60 {
        let got = rig.service.get_messages(NOW, &stream, &cursor, None);
        let got = got.await.unwrap();
        assert!(!got.messages.is_empty(), "there is more");
        offsets.extend(got.messages.iter().map(|one| one.stamp.offset));
        cursor = got.next_cursor;
    }
    assert_eq!(offsets, (0..60).collect::<Vec<u64>>());
}

#[tokio::test]
async fn messages_that_were_just_removed_are_missed_soon() {
    let rig = Rig::start().await;
    let stream = rig.create("calls").await.unwrap();
    rig.put("sluice.calls", 3).await;
    let cursor = rig.join(&stream).await;
    let got = rig.service.get_messages(NOW, &stream, &cursor, None).await;
    assert_eq!(got.unwrap().messages.len(), 3);
    rig.log.delete_records("sluice.calls", 0, 2).await.unwrap();
    let missing = rig.service.get_messages(NOW, &stream, &cursor, None).await;
    assert_eq!(missing.unwrap_err().status, 503, "it isn't known yet");
    let missing = rig.service.get_messages(NOW, &stream, &cursor, None).await;
    assert_eq!(missing.unwrap_err().status, 400);
}
