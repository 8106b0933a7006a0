//! Stream pools: create, list, get, update, delete, move.
//!
//! A pool groups streams. Its Kafka settings are kept and shown, but this server doesn't speak
//! Kafka.

use super::Service;
use super::catalog::{COMPARTMENT_DEFAULT, Catalog, Kind};
use super::catalog::{check_etag, check_label};
use super::page::{Filter, Listed, Page, Paging, page};
use super::resources::{KafkaSettings, StreamPool, Tags, TagsUpdate};
use super::work::Work;
use crate::api_error::ApiError;
use crate::limits::{RETRY_TOKEN_LIFE_MS, STREAM_POOLS_MAX};
use crate::time::TimeMs;

/// The pool of streams that were created without one. It is always there.
pub(super) const POOL_DEFAULT: &str = "ocid1.streampool.oc1.local.default";

/// What a client asks of CreateStreamPool and UpdateStreamPool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolRequest {
    /// A new name.
    pub name: Option<String>,
    /// New Kafka settings.
    pub kafka_settings: Option<KafkaSettings>,
    /// A new key.
    pub kms_key_id: Option<String>,
    /// New tags.
    pub tags: TagsUpdate,
}

impl Listed for StreamPool {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn created(&self) -> TimeMs {
        TimeMs(self.created_ms)
    }
}

impl Catalog {
    pub(super) fn pool(&self, id: &str) -> Result<StreamPool, ApiError> {
        let known = self.pools.get(id).cloned();
        let pool = known.or_else(|| (id == POOL_DEFAULT).then(default_pool));
        pool.ok_or_else(|| ApiError::unknown_resource("stream pool", id))
    }
}

fn default_pool() -> StreamPool {
    StreamPool {
        id: POOL_DEFAULT.to_owned(),
        name: "DefaultPool".to_owned(),
        compartment_id: COMPARTMENT_DEFAULT.to_owned(),
        kafka_settings: KafkaSettings::default(),
        kms_key_id: None,
        tags: Tags::default(),
        created_ms: 0,
        etag: "initial".to_owned(),
        retry_token: None,
    }
}

impl Service {
    /// Creates a pool (OCI CreateStreamPool); returns it with its work request. The same retry
    /// token gives the same pool for 24 hours.
    ///
    /// # Errors
    /// 400 for names, settings and limits, 409 for a retry token, 500.
    pub async fn create_pool(
        &self,
        now: TimeMs,
        compartment_id: &str,
        request: PoolRequest,
        retry_token: Option<String>,
    ) -> Result<(StreamPool, String), ApiError> {
        check_label("compartmentId", Some(compartment_id))?;
        check_label("opc-retry-token", retry_token.as_deref())?;
        let name = request.name.clone().unwrap_or_default();
        let catalog = &mut *self.catalog.lock().await;
        let earlier = catalog.pools.values().find(|pool| {
            let fresh = pool.created().plus_ms(RETRY_TOKEN_LIFE_MS) > now;
            fresh && retry_token.is_some() && pool.retry_token == retry_token
        });
        let pool = match earlier.cloned() {
            Some(pool) if pool.name == name => pool,
            Some(_) => return Err(ApiError::retry_token_used()),
            None if catalog.pools.len() >= STREAM_POOLS_MAX => {
                return Err(ApiError::limit_exceeded(format!(
                    "This server takes {STREAM_POOLS_MAX} stream pools"
                )));
            }
            None => {
                let pool = StreamPool {
                    id: format!("ocid1.streampool.oc1.local.{}", self.unique()),
                    compartment_id: compartment_id.to_owned(),
                    created_ms: now.0,
                    retry_token,
                    ..default_pool()
                };
                self.keep_pool(catalog, changed(pool, request)?).await?
            }
        };
        let work = work_on(&pool, "CREATE_STREAM_POOL", "CREATED");
        let work = self.record_work(catalog, now, work).await?;
        Ok((pool, work))
    }

    /// Returns a pool (OCI GetStreamPool).
    ///
    /// # Errors
    /// 404.
    pub async fn get_pool(&self, id: &str) -> Result<StreamPool, ApiError> {
        self.catalog.lock().await.pool(id)
    }

    /// Lists the pools of a compartment, page by page (OCI ListStreamPools).
    ///
    /// # Errors
    /// 400 for an invalid page.
    pub async fn list_pools(
        &self,
        compartment_id: &str,
        filter: &Filter,
        paging: &Paging,
    ) -> Result<Page<StreamPool>, ApiError> {
        let catalog = self.catalog.lock().await;
        let mut pools: Vec<StreamPool> = catalog.pools.values().cloned().collect();
        if !catalog.pools.contains_key(POOL_DEFAULT) {
            pools.push(default_pool());
        }
        let shown = [compartment_id, COMPARTMENT_DEFAULT];
        pools.retain(|pool| shown.contains(&pool.compartment_id.as_str()));
        page(pools, filter, paging)
    }

    /// Changes a pool (OCI UpdateStreamPool).
    ///
    /// # Errors
    /// 400, 404, 412 for the etag, 500.
    pub async fn update_pool(
        &self,
        now: TimeMs,
        id: &str,
        if_match: Option<&str>,
        request: PoolRequest,
    ) -> Result<(StreamPool, String), ApiError> {
        let catalog = &mut *self.catalog.lock().await;
        let pool = catalog.pool(id)?;
        check_etag(if_match, &pool.etag)?;
        let pool = self.keep_pool(catalog, changed(pool, request)?).await?;
        let work = work_on(&pool, "UPDATE_STREAM_POOL", "UPDATED");
        let work = self.record_work(catalog, now, work).await?;
        Ok((pool, work))
    }

    /// Moves a pool to another compartment (OCI ChangeStreamPoolCompartment).
    ///
    /// # Errors
    /// 400, 404, 412 for the etag, 500.
    pub async fn change_pool_compartment(
        &self,
        now: TimeMs,
        id: &str,
        if_match: Option<&str>,
        compartment_id: String,
    ) -> Result<String, ApiError> {
        check_label("compartmentId", Some(&compartment_id))?;
        let catalog = &mut *self.catalog.lock().await;
        let mut pool = catalog.pool(id)?;
        check_etag(if_match, &pool.etag)?;
        pool.compartment_id = compartment_id;
        let pool = self.keep_pool(catalog, pool).await?;
        let work = work_on(&pool, "UPDATE_STREAM_POOL", "UPDATED");
        self.record_work(catalog, now, work).await
    }

    /// Deletes an empty pool (OCI DeleteStreamPool).
    ///
    /// # Errors
    /// 404, 409 while it has streams, 412 for the etag, 500.
    pub async fn delete_pool(
        &self,
        now: TimeMs,
        id: &str,
        if_match: Option<&str>,
    ) -> Result<String, ApiError> {
        let catalog = &mut *self.catalog.lock().await;
        let pool = catalog.pool(id)?;
        check_etag(if_match, &pool.etag)?;
        if id == POOL_DEFAULT {
            return Err(ApiError::incorrect_state(
                "The default pool cannot be deleted",
            ));
        }
        let streams = self.views(catalog).await?;
        let inside = streams.iter().find(|view| view.pool_id() == id);
        if let Some(view) = inside {
            let name = &view.stream.name;
            return Err(ApiError::incorrect_state(format!(
                "The pool has the stream {name}. Delete its streams first, or move them"
            )));
        }
        self.forget(Kind::Pool, id).await?;
        catalog.pools.remove(id);
        let work = work_on(&pool, "DELETE_STREAM_POOL", "DELETED");
        self.record_work(catalog, now, work).await
    }

    async fn keep_pool(
        &self,
        catalog: &mut Catalog,
        mut pool: StreamPool,
    ) -> Result<StreamPool, ApiError> {
        pool.etag = self.unique();
        self.keep(Kind::Pool, &pool.id, &pool).await?;
        catalog.pools.insert(pool.id.clone(), pool.clone());
        Ok(pool)
    }
}

fn changed(mut pool: StreamPool, request: PoolRequest) -> Result<StreamPool, ApiError> {
    check_label("name", request.name.as_deref())?;
    check_label("kmsKeyId", request.kms_key_id.as_deref())?;
    if let Some(kafka) = request.kafka_settings {
        let bootstrap = kafka.bootstrap_servers.as_deref();
        check_label("kafkaSettings.bootstrapServers", bootstrap)?;
        if !(1..=672).contains(&kafka.log_retention_hours) {
            let range = "kafkaSettings.logRetentionHours must be between 1 and 672";
            return Err(ApiError::invalid_parameter(range));
        }
        if kafka.num_partitions == 0 {
            let range = "kafkaSettings.numPartitions must be at least 1";
            return Err(ApiError::invalid_parameter(range));
        }
        pool.kafka_settings = kafka;
    }
    pool.name = request.name.unwrap_or(pool.name);
    pool.kms_key_id = request.kms_key_id.or(pool.kms_key_id);
    pool.tags = pool.tags.updated(request.tags)?;
    Ok(pool)
}

fn work_on<'a>(pool: &'a StreamPool, operation: &'static str, action: &'static str) -> Work<'a> {
    Work {
        operation,
        action,
        entity: "streampool",
        resource: &pool.id,
        compartment_id: Some(&pool.compartment_id),
    }
}
