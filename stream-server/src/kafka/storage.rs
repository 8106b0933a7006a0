//! The cluster as the storage of the service.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stream_coordination::io::{Answer as Answered, WhyNotDone};
use stream_coordination::placement::{slot_of_group, slot_of_key};
use stream_coordination::record::{self, Change, NewStream};
use stream_coordination::state::{SlotState, WhyRefused};

use super::extents::Which;
use super::front::KafkaFront;
use super::names;
use super::topic_log::{Fetched, LogError, NewRecord, Record, Wanted};
use super::translate::{failed, group_record, wall_ms};
use crate::fronts::CONTROL_SLOT;
use crate::group::{Commit, GroupRecord, ReadRange};
use crate::partition_log::{Extent, Stamp, partition_of_random};
use crate::storage::{
    Answer, Document, Found, GroupNews, Message, NewMessage, ReadBounds, Storage,
};
use crate::storage::{StorageError, Stream};
use crate::time::TimeMs;

/// How long a request waits for news of streams that other fronts have created.
const NEWS_TIMEOUT: Duration = Duration::from_secs(2);

/// By how many milliseconds the clocks of fronts may differ.
const CLOCKS_DIFFER_MS: u64 = 30_000;

impl KafkaFront {
    /// Has the owner's log take a change; this front must be the owner. Returns the key of what was
    /// changed; `None` if that has none, or isn't there any more.
    pub(super) async fn change(
        &self,
        slot: u32,
        change: Change,
    ) -> Result<Option<u64>, StorageError> {
        match self.coordination.request(slot, change).await {
            Answered::Done { key, .. } => Ok(key),
            Answered::Refused(why) => match why {
                WhyRefused::NoGroup | WhyRefused::GroupMoved => Err(StorageError::GroupMoved),
                WhyRefused::NoStream => Ok(None),
                WhyRefused::StreamExists => Err(StorageError::StreamExists),
                WhyRefused::TooMany(which) => Err(StorageError::TooMany(which)),
                WhyRefused::BadSize => Err(StorageError::TooMany("it is too long".to_owned())),
                WhyRefused::WrongSlot => Err(StorageError::Failed("the wrong slot".to_owned())),
            },
            Answered::NotDone(why) => Err(StorageError::Unavailable(match why {
                WhyNotDone::NotOwner => "this is moving to another front".to_owned(),
                WhyNotDone::TooManyWaiting => "too many requests wait".to_owned(),
                WhyNotDone::TimedOut => "Kafka takes nothing at this moment".to_owned(),
            })),
            Answered::Unknown => Err(StorageError::Failed(
                "Kafka did not confirm it in time".to_owned(),
            )),
        }
    }

    /// Refuses a name that Kafka takes for that of another stream.
    fn check_alike(&self, name: &str) -> Result<(), StorageError> {
        let listed = self.listed()?;
        let topic = self.topic(name);
        let alike = |other: &&Arc<Stream>| names::collide(&topic, &self.topic(&other.name));
        match listed.all.iter().find(alike) {
            None => Ok(()),
            Some(other) => Err(StorageError::TooMany(format!(
                "Kafka takes '.' and '_' in names of topics for the same, and there is a stream {}",
                other.name
            ))),
        }
    }

    /// Returns a group after a change, which has given its key.
    fn group_after(&self, key: Option<u64>) -> Result<GroupRecord, StorageError> {
        let found = key.and_then(|key| {
            let look = |state: &SlotState| state.group(key).map(group_record);
            self.coordination.with_state(slot_of_key(key), look)?
        });
        found.ok_or_else(|| StorageError::Unavailable("the group is gone".to_owned()))
    }
}

impl Storage for KafkaFront {
    fn cursor_secret(&self) -> [u8; 64] {
        // It is known before anything is served.
        self.secret.get().copied().unwrap_or([0; 64])
    }

    fn boot_id(&self) -> Option<u64> {
        Some(0)
    }

    fn cursor_time(&self, _: TimeMs) -> TimeMs {
        TimeMs(wall_ms())
    }

    fn cursor_grace_ms(&self) -> u64 {
        CLOCKS_DIFFER_MS
    }

    fn streams(&self) -> Answer<'_, Vec<Arc<Stream>>> {
        Box::pin(async { Ok(self.listed()?.all.clone()) })
    }

    fn stream<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Arc<Stream>>> {
        Box::pin(async move {
            if let Some(stream) = self.listed()?.by_id(id) {
                return Ok(Some(stream));
            }
            // Another front may have created it a moment ago.
            self.coordination
                .catch_up(CONTROL_SLOT, NEWS_TIMEOUT)
                .await
                .map_err(failed)?;
            Ok(self.listed()?.by_id(id))
        })
    }

    fn documents(&self) -> Answer<'_, Vec<Document>> {
        Box::pin(async {
            let documents = self.coordination.with_state(CONTROL_SLOT, |state| {
                let document = |one: &record::Document| Document {
                    kind: one.kind.clone(),
                    id: one.id.clone(),
                    json: one.json.clone(),
                };
                state.documents().map(document).collect()
            });
            Ok(documents.unwrap_or_default())
        })
    }

    fn put_document(&self, document: Document) -> Answer<'_, ()> {
        Box::pin(async move {
            let Document { kind, id, json } = document;
            let document = record::Document { kind, id, json };
            let put = Change::PutDocument(document);
            self.change(CONTROL_SLOT, put).await.map(drop)
        })
    }

    fn delete_document<'a>(&'a self, kind: &'a str, id: &'a str) -> Answer<'a, ()> {
        let (kind, id) = (kind.to_owned(), id.to_owned());
        Box::pin(async move {
            let delete = Change::DeleteDocument { kind, id };
            self.change(CONTROL_SLOT, delete).await.map(drop)
        })
    }

    fn delete_stream<'a>(&'a self, stream: &'a Stream) -> Answer<'a, ()> {
        Box::pin(async move {
            let _making = self.making.lock().await;
            let deletion = Change::DeleteStream { stream: stream.key };
            self.change(CONTROL_SLOT, deletion).await?;
            self.control().deleted_here.insert(stream.key);
            let begun = self
                .coordination
                .with_state(CONTROL_SLOT, |state| state.stream(stream.key).cloned());
            // It is gone for clients. If this fails, it is tried again.
            if let Some(begun) = begun.flatten()
                && let Err(error) = self.delete_topic(&begun).await
            {
                tracing::warn!(stream = stream.name, "its topic isn't deleted yet: {error}");
            }
            Ok(())
        })
    }

    fn create_stream(&self, stream: Stream) -> Answer<'_, Arc<Stream>> {
        Box::pin(async move {
            names::check(&stream.name, &self.topic(&stream.name)).map_err(StorageError::TooMany)?;
            self.check_alike(&stream.name)?;
            let new = NewStream {
                id: stream.id,
                name: stream.name,
                partitions: stream.partitions,
                compartment_id: stream.compartment_id,
                stream_pool_id: stream.stream_pool_id,
                retention_hours: stream.retention_hours,
                created_ms: stream.created.0,
            };
            let _making = self.making.lock().await;
            if self.is_unfinished(&new.name) {
                let unfinished =
                    "a stream of that name is being created or deleted, try again".to_owned();
                return Err(StorageError::Unavailable(unfinished));
            }
            self.check_free(&new).await?;
            let created = self.change(CONTROL_SLOT, Change::CreateStream(new.clone()));
            let gone = || StorageError::Unavailable("the stream is gone again".to_owned());
            let key = created.await?.ok_or_else(gone)?;
            self.activate(key, &new).await?;
            self.listed()?.by_id(&new.id).ok_or_else(gone)
        })
    }

    fn append<'a>(
        &'a self,
        stream: &'a Stream,
        _: TimeMs,
        messages: Vec<NewMessage>,
    ) -> Answer<'a, Vec<Result<Stamp, StorageError>>> {
        Box::pin(async move {
            let topic = self.topic_of(stream)?;
            let bytes: usize = messages.iter().map(|one| one.value.len()).sum();
            let record = |message: NewMessage| NewRecord {
                partition: message.partition,
                key: message.key,
                value: message.value,
            };
            let records: Vec<NewRecord> = messages.into_iter().map(record).collect();
            let begun = Instant::now();
            let stamps = self.log.produce(&topic, records.clone()).await;
            self.remember(stream, records, &stamps);
            let whole = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
            let failures = stamps.iter().filter(|stamp| stamp.is_err()).count();
            self.metrics
                .count_transaction(stamps.len(), begun.elapsed());
            self.metrics
                .stored
                .inc_by(whole(stamps.len().saturating_sub(failures)));
            match failures {
                0 => self.metrics.stored_bytes.inc_by(whole(bytes)),
                _ => self.metrics.failed.inc(),
            };
            Ok(stamps
                .into_iter()
                .map(|stamp| stamp.map_err(failed))
                .collect())
        })
    }

    fn partition_of_random(&self, random: u64, partitions: u32) -> u32 {
        partition_of_random(self.sticky.choose(random), partitions)
    }

    fn extents_lately(&self, stream: &Stream) -> Option<BTreeMap<u32, Extent>> {
        self.known_lately(stream)
    }

    fn extents<'a>(&'a self, stream: &'a Stream) -> Answer<'a, BTreeMap<u32, Extent>> {
        Box::pin(async move {
            let topic = self.topic_of(stream)?;
            let extents = self.extents.get(stream, &topic, Which::Both).await;
            extents.map_err(failed)
        })
    }

    fn extents_to_read<'a>(&'a self, stream: &'a Stream) -> Answer<'a, BTreeMap<u32, Extent>> {
        Box::pin(async move {
            let topic = self.topic_of(stream)?;
            let extents = self.extents.get(stream, &topic, Which::Next).await;
            extents.map_err(failed)
        })
    }

    fn offset_at<'a>(
        &'a self,
        stream: &'a Stream,
        partition: u32,
        time: TimeMs,
    ) -> Answer<'a, Option<u64>> {
        Box::pin(async move {
            let topic = self.topic_of(stream)?;
            let asked = partition..partition.saturating_add(1);
            let found = self.log.offsets_at(&topic, asked, time).await;
            Ok(found.map_err(failed)?.remove(&partition))
        })
    }

    fn offsets_at<'a>(
        &'a self,
        stream: &'a Stream,
        time: TimeMs,
    ) -> Answer<'a, BTreeMap<u32, u64>> {
        Box::pin(async move {
            let topic = self.topic_of(stream)?;
            let found = self
                .log
                .offsets_at(&topic, 0..stream.partitions, time)
                .await;
            found.map_err(failed)
        })
    }

    fn read<'a>(
        &'a self,
        stream: &'a Stream,
        ranges: &'a [ReadRange],
        bounds: ReadBounds,
    ) -> Answer<'a, Found> {
        Box::pin(async move {
            let topic = self.topic_of(stream)?;
            let wanted = ranges.iter().filter_map(|range| {
                (range.from < range.until).then_some(Wanted {
                    partition: range.partition,
                    from: range.from,
                    until: range.until,
                })
            });
            let wanted: Vec<Wanted> = wanted.collect();
            if wanted.is_empty() {
                return Ok(Found::default());
            }
            self.extents.renew(stream, &topic);
            if let Some(messages) = self.recent.read(stream.key, ranges, bounds) {
                self.count_read(&messages);
                return Ok(Found::from(messages));
            }
            let (count_max, bytes_max) = (bounds.count_max, bounds.bytes_max);
            let read = self.log.fetch(&topic, wanted, count_max, bytes_max).await;
            if matches!(read, Err(LogError::OutOfRange)) {
                self.extents.doubt(stream);
            }
            let Fetched { records, reached } = read.map_err(failed)?;
            let message = |record: Record| Message {
                partition: record.partition,
                stamp: record.stamp,
                key: record.key,
                value: record.value,
            };
            let messages: Vec<Message> = records.into_iter().map(message).collect();
            self.count_read(&messages);
            Ok(Found { messages, reached })
        })
    }

    fn groups(&self) -> Answer<'_, Vec<GroupRecord>> {
        // They come with their slots.
        Box::pin(async { Ok(Vec::new()) })
    }

    fn open_group<'a>(
        &'a self,
        stream: &'a Stream,
        name: &'a str,
        starts: BTreeMap<u32, u64>,
    ) -> Answer<'a, GroupRecord> {
        Box::pin(async move {
            let slot = slot_of_group(stream.key, name, self.slots());
            let open = Change::OpenGroup {
                stream: stream.key,
                name: name.to_owned(),
                starts,
                at_ms: self.coordination.log_times.of(slot).unwrap_or_else(wall_ms),
            };
            let key = self.change(slot, open).await?;
            self.group_after(key)
        })
    }

    fn news_of(&self, group_key: u64, incarnation: u64) -> GroupNews {
        let look = |state: &SlotState| match state.group(group_key) {
            None => GroupNews::Gone,
            Some(group) if group.incarnation == incarnation => GroupNews::None,
            Some(group) => GroupNews::Moved(Box::new(group_record(group))),
        };
        let news = self.coordination.with_state(slot_of_key(group_key), look);
        news.unwrap_or(GroupNews::None)
    }

    fn commit<'a>(&'a self, commit: &'a Commit) -> Answer<'a, ()> {
        Box::pin(async move {
            let change = Change::Commit {
                group: commit.group_key,
                incarnation: commit.incarnation,
                offsets: commit.committed.clone(),
            };
            let slot = slot_of_key(commit.group_key);
            self.change(slot, change).await.map(drop)
        })
    }

    fn move_group(&self, group_key: u64, starts: BTreeMap<u32, u64>) -> Answer<'_, GroupRecord> {
        Box::pin(async move {
            let change = Change::MoveGroup {
                group: group_key,
                starts,
            };
            let key = self.change(slot_of_key(group_key), change).await?;
            self.group_after(key)
        })
    }
}
