//! CreateStream, ListStreams, GetStream, UpdateStream, DeleteStream, ChangeStreamCompartment.

use std::sync::Arc;

use super::Service;
use super::catalog::{COMPARTMENT_DEFAULT, Catalog, Kind};
use super::catalog::{check_etag, check_label};
use super::page::{Filter, Listed, Page, Paging, page};
use super::pools::POOL_DEFAULT;
use super::resources::{StreamSettings, TagsUpdate};
use super::work::Work;
use crate::api_error::ApiError;
use crate::limits::{RETRY_TOKEN_LIFE_MS, STREAM_NAME_CHARS_MAX, STREAM_PARTITIONS_MAX};
use crate::storage::{StorageError, Stream};
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
    /// Its tags.
    pub tags: TagsUpdate,
    /// The token with which the request can be repeated, for 24 hours.
    pub retry_token: Option<String>,
}

/// What a client asks of UpdateStream (OCI `UpdateStreamDetails`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamUpdate {
    /// Another pool.
    pub stream_pool_id: Option<String>,
    /// Other tags.
    pub tags: TagsUpdate,
}

/// What a client asks of ListStreams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRequest {
    /// Only streams of this compartment, and those that belong to none.
    pub compartment_id: Option<String>,
    /// Only streams of this pool.
    pub stream_pool_id: Option<String>,
    /// Only some of them.
    pub filter: Filter,
    /// How they are sorted and cut.
    pub paging: Paging,
}

/// A stream with its settings.
#[derive(Clone, Debug)]
pub struct StreamView {
    /// The part that never changes.
    pub stream: Arc<Stream>,
    /// The part that may change.
    pub settings: StreamSettings,
}

impl StreamView {
    /// Returns the compartment in which the stream is shown.
    #[must_use]
    pub fn compartment_id(&self) -> &str {
        let own = self.settings.compartment_id.as_deref();
        own.unwrap_or(COMPARTMENT_DEFAULT)
    }

    /// Returns the pool of the stream.
    #[must_use]
    pub fn pool_id(&self) -> &str {
        let own = self.settings.stream_pool_id.as_deref();
        own.unwrap_or(POOL_DEFAULT)
    }
}

impl Listed for StreamView {
    fn id(&self) -> &str {
        &self.stream.id
    }

    fn name(&self) -> &str {
        &self.stream.name
    }

    fn created(&self) -> TimeMs {
        self.stream.created
    }
}

impl Catalog {
    fn view(&self, stream: Arc<Stream>) -> StreamView {
        let initial = || StreamSettings {
            compartment_id: stream.compartment_id.clone(),
            stream_pool_id: stream.stream_pool_id.clone(),
            etag: "initial".to_owned(),
            ..StreamSettings::default()
        };
        let settings = self.streams.get(&stream.id).cloned();
        StreamView {
            settings: settings.unwrap_or_else(initial),
            stream,
        }
    }
}

impl Service {
    /// Creates a stream with a unique id (OCI CreateStream); returns it with its work request.
    ///
    /// # Errors
    /// 400 for the name, the numbers and limits, 404 for the pool, 409 if the name is taken, 500.
    pub async fn create_stream(
        &self,
        now: TimeMs,
        mut request: StreamRequest,
    ) -> Result<(StreamView, String), ApiError> {
        check(&request)?;
        check_label("compartmentId", request.compartment_id.as_deref())?;
        check_label("opc-retry-token", request.retry_token.as_deref())?;
        let catalog = &mut *self.catalog.lock().await;
        let streams = self.views(catalog).await?;
        let twin = streams
            .into_iter()
            .find(|view| view.stream.name == request.name);
        let view = match twin {
            Some(view) if repeats(&view, &request, now) => view,
            Some(_) => return Err(ApiError::stream_exists(&request.name)),
            None => {
                if let Some(pool) = &request.stream_pool_id {
                    request.compartment_id = Some(catalog.pool(pool)?.compartment_id);
                }
                self.add_stream(catalog, now, request).await?
            }
        };
        let work = work_on(&view, "CREATE_STREAM", "CREATED");
        let work = self.record_work(catalog, now, work).await?;
        Ok((view, work))
    }

    async fn add_stream(
        &self,
        catalog: &mut Catalog,
        now: TimeMs,
        request: StreamRequest,
    ) -> Result<StreamView, ApiError> {
        let name = request.name.clone();
        let id = format!("{ID_PREFIX}{}", self.unique());
        let settings = StreamSettings {
            compartment_id: request.compartment_id.clone(),
            stream_pool_id: request.stream_pool_id.clone(),
            retry_token: request.retry_token.clone(),
            tags: StreamSettings::default()
                .tags
                .updated(request.tags.clone())?,
            etag: self.unique(),
        };
        let stream = self.storage.create_stream(new_stream(id, now, request));
        let stream = match stream.await {
            Ok(stream) => stream,
            Err(StorageError::StreamExists) => return Err(ApiError::stream_exists(&name)),
            Err(error) => return Err(error.into()),
        };
        self.keep_settings(catalog, StreamView { stream, settings })
            .await
    }

    /// Returns whether [`Self::ensure_stream`] could create such a stream.
    ///
    /// # Errors
    /// 400 says what is wrong.
    pub fn check_stream(
        name: &str,
        partitions: u32,
        retention_hours: Option<u32>,
    ) -> Result<(), ApiError> {
        check(&named(name, partitions, retention_hours))
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
    ) -> Result<Arc<Stream>, ApiError> {
        let find = |streams: Vec<Arc<Stream>>| streams.into_iter().find(|s| s.name == name);
        if let Some(stream) = find(self.storage.streams().await?) {
            return Ok(stream);
        }
        let request = named(name, partitions, retention_hours);
        check(&request)?;
        let id = id_of_named(name);
        let created = self.storage.create_stream(new_stream(id, now, request));
        Ok(created.await?)
    }

    /// Returns a stream (OCI GetStream).
    ///
    /// # Errors
    /// 404.
    pub async fn get_stream(&self, stream_id: &str) -> Result<StreamView, ApiError> {
        let catalog = self.catalog.lock().await;
        Ok(catalog.view(self.find_stream(stream_id).await?))
    }

    /// Lists streams, page by page (OCI ListStreams).
    ///
    /// # Errors
    /// 400 for an invalid page, 500.
    pub async fn list_streams(&self, request: &ListRequest) -> Result<Page<StreamView>, ApiError> {
        let mut streams = self.views(&*self.catalog.lock().await).await?;
        streams.retain(|view| {
            // A stream that the operator named belongs to no compartment and shows in all of them,
            // and in all pools.
            let within = |own: &Option<String>, asked: &Option<String>| {
                own.is_none() || asked.is_none() || own == asked
            };
            let own = &view.settings;
            let in_pool = match (&own.compartment_id, &request.stream_pool_id) {
                (Some(_), Some(asked)) => view.pool_id() == asked,
                (None, _) | (_, None) => within(&own.stream_pool_id, &request.stream_pool_id),
            };
            in_pool && within(&own.compartment_id, &request.compartment_id)
        });
        page(streams, &request.filter, &request.paging)
    }

    /// Changes pool and tags (OCI UpdateStream).
    ///
    /// # Errors
    /// 400 for tags, 404 for stream and pool, 412 for the etag, 500.
    pub async fn update_stream(
        &self,
        now: TimeMs,
        stream_id: &str,
        if_match: Option<&str>,
        update: StreamUpdate,
    ) -> Result<(StreamView, String), ApiError> {
        let catalog = &mut *self.catalog.lock().await;
        let mut view = catalog.view(self.find_stream(stream_id).await?);
        check_etag(if_match, &view.settings.etag)?;
        if let Some(pool) = update.stream_pool_id {
            catalog.pool(&pool)?;
            view.settings.stream_pool_id = Some(pool);
        }
        view.settings.tags = view.settings.tags.updated(update.tags)?;
        let view = self.keep_settings(catalog, view).await?;
        let work = work_on(&view, "UPDATE_STREAM", "UPDATED");
        let work = self.record_work(catalog, now, work).await?;
        Ok((view, work))
    }

    /// Moves a stream to another compartment (OCI ChangeStreamCompartment).
    ///
    /// # Errors
    /// 400, 404, 412 for the etag, 500.
    pub async fn change_stream_compartment(
        &self,
        now: TimeMs,
        stream_id: &str,
        if_match: Option<&str>,
        compartment_id: String,
    ) -> Result<String, ApiError> {
        check_label("compartmentId", Some(&compartment_id))?;
        let catalog = &mut *self.catalog.lock().await;
        let mut view = catalog.view(self.find_stream(stream_id).await?);
        check_etag(if_match, &view.settings.etag)?;
        view.settings.compartment_id = Some(compartment_id);
        let view = self.keep_settings(catalog, view).await?;
        let work = work_on(&view, "UPDATE_STREAM", "UPDATED");
        self.record_work(catalog, now, work).await
    }

    /// Deletes a stream with its messages and groups (OCI DeleteStream). It is gone at once and for
    /// good. The room of its messages becomes free little by little.
    ///
    /// # Errors
    /// 404, 412 for the etag, 500.
    pub async fn delete_stream(
        &self,
        now: TimeMs,
        stream_id: &str,
        if_match: Option<&str>,
    ) -> Result<String, ApiError> {
        let catalog = &mut *self.catalog.lock().await;
        let view = catalog.view(self.find_stream(stream_id).await?);
        check_etag(if_match, &view.settings.etag)?;
        self.storage.delete_stream(&view.stream).await?;
        catalog.streams.remove(stream_id);
        self.groups().forget_stream(view.stream.key);
        self.expired_until().remove(&view.stream.key);
        let work = work_on(&view, "DELETE_STREAM", "DELETED");
        self.record_work(catalog, now, work).await
    }

    pub(super) async fn views(&self, catalog: &Catalog) -> Result<Vec<StreamView>, ApiError> {
        let streams = self.storage.streams().await?;
        Ok(streams
            .into_iter()
            .map(|stream| catalog.view(stream))
            .collect())
    }

    async fn keep_settings(
        &self,
        catalog: &mut Catalog,
        mut view: StreamView,
    ) -> Result<StreamView, ApiError> {
        view.settings.etag = self.unique();
        let id = &view.stream.id;
        self.keep(Kind::Stream, id, &view.settings).await?;
        catalog.streams.insert(id.clone(), view.settings.clone());
        Ok(view)
    }
}

/// Returns the id of a stream that the operator has named.
pub(crate) fn id_of_named(name: &str) -> String {
    format!("{ID_PREFIX}{name}")
}

/// Returns whether a request to create repeats the one that has created this stream.
fn repeats(view: &StreamView, request: &StreamRequest, now: TimeMs) -> bool {
    let fresh = view.stream.created.plus_ms(RETRY_TOKEN_LIFE_MS) > now;
    fresh && request.retry_token.is_some() && view.settings.retry_token == request.retry_token
}

fn work_on<'a>(view: &'a StreamView, operation: &'static str, action: &'static str) -> Work<'a> {
    Work {
        operation,
        action,
        entity: "stream",
        resource: &view.stream.id,
        compartment_id: Some(view.compartment_id()),
    }
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

fn named(name: &str, partitions: u32, retention_hours: Option<u32>) -> StreamRequest {
    StreamRequest {
        name: name.to_owned(),
        partitions,
        retention_hours,
        ..StreamRequest::default()
    }
}

fn check(request: &StreamRequest) -> Result<(), ApiError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name = &request.name;
    if !(1..=STREAM_NAME_CHARS_MAX).contains(&name.len()) || !name.chars().all(plain) {
        return Err(ApiError::invalid_parameter(format!(
            "The stream's name must have 1 to {STREAM_NAME_CHARS_MAX} of the characters \
             A-Z a-z 0-9 . _ -"
        )));
    }
    if !(1..=STREAM_PARTITIONS_MAX).contains(&request.partitions) {
        return Err(ApiError::invalid_parameter(format!(
            "partitions must be between 1 and {STREAM_PARTITIONS_MAX}"
        )));
    }
    if request
        .retention_hours
        .is_some_and(|hours| !(24..=168).contains(&hours))
    {
        return Err(ApiError::invalid_parameter(
            "retentionInHours must be between 24 and 168",
        ));
    }
    Ok(())
}
