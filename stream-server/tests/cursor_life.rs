//! How long cursors live. The operations themselves, with the time of the test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use stream_server::limits::CURSOR_LIFE_MS;
use stream_server::partition_log::Start;
use stream_server::service::{CursorRequest, GroupCursorRequest, GroupStart, PutMessage, Service};
use stream_server::storage::Storage;
use stream_server::store::{Store, StoreBounds};
use stream_server::time::TimeMs;

const STREAM: &str = "ocid1.stream.oc1.local.calls";
const BEGIN: TimeMs = TimeMs(1_800_000_000_000);
const EXPIRED: &str = "The cursor is expired. Create a new one.";

fn with_service(test: impl AsyncFnOnce(&Service)) {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Arc::new(Store::open(folder.path(), StoreBounds::default()).unwrap());
        let storage: Arc<dyn Storage> = Arc::<Store>::clone(&store);
        let service = Service::start(storage, Box::new(|| 7 << 8)).await.unwrap();
        service
            .ensure_stream(BEGIN, "calls", 1, None)
            .await
            .unwrap();
        let message = PutMessage {
            key: None,
            value: b"x".to_vec().into(),
        };
        let messages = vec![message.clone(), message];
        service
            .put_messages(BEGIN, STREAM, None, messages)
            .await
            .unwrap();
        test(&service).await;
        store.close();
    });
}

async fn join(service: &Service, now: TimeMs) -> String {
    let request = GroupCursorRequest {
        group: "g".to_owned(),
        start: GroupStart::TrimHorizon,
        instance: Some("i".to_owned()),
        timeout_ms: 3_600_000,
        commit_on_get: false,
    };
    let joined = service.create_group_cursor(now, STREAM, request);
    joined.await.unwrap()
}

#[test]
fn both_kinds_expire_five_minutes_after_they_were_issued() {
    with_service(async |service| {
        let start = Start::TrimHorizon;
        let request = CursorRequest {
            partition: 0,
            start,
        };
        let created = service.create_cursor(BEGIN, STREAM, request);
        let cursors = [created.await.unwrap(), join(service, BEGIN).await];
        for cursor in cursors {
            let get = |now| service.get_messages(now, STREAM, &cursor, Some(1));
            let last = BEGIN.plus_ms(CURSOR_LIFE_MS - 1);
            assert_eq!(get(last).await.unwrap().messages.len(), 1);
            let refused = get(BEGIN.plus_ms(CURSOR_LIFE_MS)).await.unwrap_err();
            assert_eq!((refused.status, refused.message.as_str()), (400, EXPIRED));
        }
    });
}

#[test]
fn get_commit_and_heartbeat_give_cursors_with_a_new_life() {
    with_service(async |service| {
        let mut cursor = join(service, BEGIN).await;
        let mut now = BEGIN;
        for step in 0..9 {
            now = now.plus_ms(CURSOR_LIFE_MS - 1);
            cursor = match step % 3 {
                0 => service.heartbeat(now, STREAM, &cursor).await.unwrap(),
                1 => service.commit(now, STREAM, &cursor).await.unwrap(),
                _ => {
                    let fetched = service.get_messages(now, STREAM, &cursor, Some(1));
                    fetched.await.unwrap().next_cursor
                }
            };
        }
        now = now.plus_ms(CURSOR_LIFE_MS);
        for refused in [
            service.heartbeat(now, STREAM, &cursor).await.unwrap_err(),
            service.commit(now, STREAM, &cursor).await.unwrap_err(),
        ] {
            assert_eq!(refused.message, EXPIRED);
        }
    });
}
