//! CreateStream, ListStreams, GetStream.

use std::cmp::Reverse;
use std::sync::Arc;

use super::Service;
use crate::engine::{EngineError, Stream};
use crate::limits::{STREAM_NAME_CHARS_MAX, STREAM_PARTITIONS_MAX};
use crate::refusal::Refusal;
use crate::time::TimeMs;

/// The part that all stream ids of this server share.
const ID_PREFIX: &str = "ocid1.stream.oc1.local.";
/// OCI's default retention, in hours.
const RETENTION_HOURS_DEFAULT: u32 = 24;

/// What a client asks of CreateStream (OCI `CreateStreamDetails`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamRequest {
    /// 1..=200 of letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// 1..=1000.
    pub partitions: u32,
    /// Either this or a stream pool.
    pub compartment_id: Option<String>,
    /// Either this or a compartment.
    pub stream_pool_id: Option<String>,
    /// 24..=168, default 24.
    pub retention_hours: Option<u32>,
}

/// What a client asks of ListStreams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRequest {
    /// Only streams of this compartment, and those that belong to none.
    pub compartment_id: Option<String>,
    /// Only streams of this pool, and those that belong to none.
    pub stream_pool_id: Option<String>,
    /// Only the stream with this id.
    pub id: Option<String>,
    /// Only the stream with this name.
    pub name: Option<String>,
    /// Sort by name instead of by time of creation.
    pub by_name: bool,
    /// Sort in descending order.
    pub descending: bool,
    /// At most so many.
    pub limit: usize,
    /// The id of the last stream of the page before.
    pub page: Option<String>,
}

/// One page of ListStreams.
#[derive(Clone, Debug)]
pub struct StreamPage {
    /// The streams.
    pub streams: Vec<Arc<Stream>>,
    /// What to ask the next page with, if there is one.
    pub next_page: Option<String>,
}

impl Service {
    /// Creates a stream with a unique id (OCI CreateStream).
    ///
    /// # Errors
    /// 400 for the name, the numbers and limits, 409 if the name is taken, 500.
    pub async fn create_stream(
        &self,
        now: TimeMs,
        request: StreamRequest,
    ) -> Result<Arc<Stream>, Refusal> {
        check(&request)?;
        let name = request.name.clone();
        let id = format!(
            "{ID_PREFIX}{:016x}{:016x}",
            (self.entropy)(),
            (self.entropy)()
        );
        match self
            .engine
            .create_stream(new_stream(id, now, request))
            .await
        {
            Ok(stream) => Ok(stream),
            Err(EngineError::StreamExists) => Err(Refusal::stream_exists(&name)),
            Err(error @ (EngineError::TooMany(_) | EngineError::Failed(_))) => Err(error.into()),
        }
    }

    /// Creates a stream named by the operator, with the id `ocid1.stream.oc1.local.NAME`, unless
    /// there is a stream of that name. Returns the stream of that name.
    ///
    /// # Errors
    /// As [`Service::create_stream`], but for the name.
    pub async fn ensure_stream(
        &self,
        now: TimeMs,
        name: &str,
        partitions: u32,
        retention_hours: Option<u32>,
    ) -> Result<Arc<Stream>, Refusal> {
        let find = |streams: Vec<Arc<Stream>>| streams.into_iter().find(|s| s.name == name);
        if let Some(stream) = find(self.engine.streams().await?) {
            return Ok(stream);
        }
        let request = StreamRequest {
            name: name.to_owned(),
            partitions,
            retention_hours,
            ..StreamRequest::default()
        };
        check(&request)?;
        let id = format!("{ID_PREFIX}{name}");
        Ok(self
            .engine
            .create_stream(new_stream(id, now, request))
            .await?)
    }

    /// One stream (OCI GetStream).
    ///
    /// # Errors
    /// 404.
    pub async fn get_stream(&self, stream_id: &str) -> Result<Arc<Stream>, Refusal> {
        self.find_stream(stream_id).await
    }

    /// Streams, page by page (OCI ListStreams).
    ///
    /// # Errors
    /// 400 for a page that isn't one, 500.
    pub async fn list_streams(&self, request: &ListRequest) -> Result<StreamPage, Refusal> {
        let mut streams = self.engine.streams().await?;
        streams.retain(|stream| matches(stream, request));
        match request.by_name {
            true => streams.sort_by(|a, b| a.name.cmp(&b.name)),
            false => streams.sort_by_key(|stream| Reverse((stream.created, stream.key))),
        }
        // OCI's own defaults: names ascending, times descending.
        if request.descending == request.by_name {
            streams.reverse();
        }
        let start = match &request.page {
            None => 0,
            Some(last) => {
                let found = streams.iter().position(|stream| stream.id == *last);
                let unknown = || Refusal::invalid_parameter("There is no such page, start anew");
                found.ok_or_else(unknown)?.saturating_add(1)
            }
        };
        let more = streams.len() > start.saturating_add(request.limit);
        let streams: Vec<_> = streams
            .into_iter()
            .skip(start)
            .take(request.limit)
            .collect();
        let next_page = streams
            .last()
            .filter(|_| more)
            .map(|stream| stream.id.clone());
        Ok(StreamPage { streams, next_page })
    }
}

fn matches(stream: &Stream, request: &ListRequest) -> bool {
    // A stream that the operator named belongs to no compartment and shows in all.
    let within = |own: &Option<String>, asked: &Option<String>| match (own, asked) {
        (Some(own), Some(asked)) => own == asked,
        (None, _) | (_, None) => true,
    };
    let equal = |own: &str, asked: &Option<String>| asked.as_ref().is_none_or(|asked| asked == own);
    within(&stream.compartment_id, &request.compartment_id)
        && within(&stream.stream_pool_id, &request.stream_pool_id)
        && equal(&stream.id, &request.id)
        && equal(&stream.name, &request.name)
}

fn new_stream(id: String, now: TimeMs, request: StreamRequest) -> Stream {
    Stream {
        key: 0,
        id,
        name: request.name,
        partitions: request.partitions,
        compartment_id: request.compartment_id,
        stream_pool_id: request.stream_pool_id,
        retention_hours: request.retention_hours.unwrap_or(RETENTION_HOURS_DEFAULT),
        created: now,
    }
}

fn check(request: &StreamRequest) -> Result<(), Refusal> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name = &request.name;
    if !(1..=STREAM_NAME_CHARS_MAX).contains(&name.len()) || !name.chars().all(plain) {
        return Err(Refusal::invalid_parameter(format!(
            "The stream's name must have 1 to {STREAM_NAME_CHARS_MAX} of the characters \
             A-Z a-z 0-9 . _ -"
        )));
    }
    if !(1..=STREAM_PARTITIONS_MAX).contains(&request.partitions) {
        return Err(Refusal::invalid_parameter(format!(
            "partitions must be between 1 and {STREAM_PARTITIONS_MAX}"
        )));
    }
    if request
        .retention_hours
        .is_some_and(|hours| !(24..=168).contains(&hours))
    {
        return Err(Refusal::invalid_parameter(
            "retentionInHours must be between 24 and 168",
        ));
    }
    Ok(())
}
