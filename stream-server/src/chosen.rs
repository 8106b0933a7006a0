//! The engine that the settings choose: how it is opened, what runs beside it, how it ends.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::backend::Backend;
use crate::fronts::Fronts;
use crate::http::App;
#[cfg(feature = "kafka")]
use crate::kafka::{Internal, KafkaFront, Listening};
use crate::limits::SEGMENT_BYTES;
use crate::retention::Retention;
use crate::service::Service;
use crate::settings::{EngineSetting, Settings, StreamSetting};
use crate::start_error::StartError;
use crate::storage::Storage;
use crate::store::{Store, StoreBounds};
use crate::time::TimeMs;

/// An open engine.
pub(crate) enum Chosen {
    /// The store in a folder.
    Embedded(Arc<Store>),
    /// A front of a Kafka cluster.
    #[cfg(feature = "kafka")]
    Kafka(Arc<KafkaFront>, Internal),
}

/// What runs beside the requests of clients.
pub(crate) enum Running {
    /// The rounds of retention.
    Embedded(Arc<Store>, JoinHandle<()>),
    /// What serves other fronts.
    #[cfg(feature = "kafka")]
    Kafka(Arc<KafkaFront>, Listening),
}

impl Chosen {
    /// Opens the engine.
    pub(crate) async fn open(settings: &Settings) -> Result<Self, StartError> {
        match &settings.engine {
            EngineSetting::Embedded(folder) => {
                let bounds = StoreBounds {
                    bytes_max: settings.data_bytes_max,
                    segment_bytes: settings.segment_bytes.unwrap_or(SEGMENT_BYTES),
                };
                Ok(Self::Embedded(Arc::new(Store::open(folder, bounds)?)))
            }
            #[cfg(feature = "kafka")]
            EngineSetting::Kafka(setting) => {
                let started = KafkaFront::start((**setting).clone()).await?;
                Ok(Self::Kafka(started.0, started.1))
            }
            #[cfg(not(feature = "kafka"))]
            EngineSetting::Kafka(_) => Err(StartError::NoKafka),
        }
    }

    pub(crate) fn engine(&self) -> Arc<dyn Backend> {
        match self {
            Self::Embedded(store) => Arc::<Store>::clone(store),
            #[cfg(feature = "kafka")]
            Self::Kafka(engine, _) => Arc::<KafkaFront>::clone(engine),
        }
    }

    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        match self {
            Self::Embedded(store) => Arc::<Store>::clone(store),
            #[cfg(feature = "kafka")]
            Self::Kafka(engine, _) => Arc::<KafkaFront>::clone(engine),
        }
    }

    /// Returns the other servers of the same cluster, if it is one.
    pub(crate) fn fronts(&self) -> Option<Arc<dyn Fronts>> {
        match self {
            Self::Embedded(_) => None,
            #[cfg(feature = "kafka")]
            Self::Kafka(engine, _) => Some(Arc::<KafkaFront>::clone(engine)),
        }
    }

    /// Creates the streams that the operator has named.
    pub(crate) async fn ensure_streams(
        &self,
        service: &Arc<Service>,
        now: TimeMs,
        settings: &Settings,
    ) -> Result<(), StartError> {
        #[cfg(feature = "kafka")]
        if let Self::Kafka(engine, _) = self {
            engine.attach(service).await;
            engine.ensure_elsewhere(&settings.streams).await?;
        }
        for stream in &settings.streams {
            ensure_stream(service, now, stream).await?;
        }
        Ok(())
    }

    /// Starts what runs beside the requests of clients.
    #[cfg_attr(
        not(feature = "kafka"),
        allow(
            unused_variables,
            reason = "a build without Kafka has no other fronts to serve"
        )
    )]
    pub(crate) fn run(
        self,
        service: &Arc<Service>,
        app: &Arc<App>,
        settings: &Settings,
    ) -> Running {
        match self {
            Self::Embedded(store) => {
                let service = Arc::clone(service);
                let retention = Retention::new(Arc::clone(&store), service, &settings.streams);
                Running::Embedded(store, tokio::spawn(retention.run()))
            }
            #[cfg(feature = "kafka")]
            Self::Kafka(engine, internal) => {
                Running::Kafka(engine, internal.serve(Arc::clone(app)))
            }
        }
    }
}

impl Running {
    /// Does what comes before the last requests: other fronts take over at once.
    pub(crate) async fn begin_to_stop(&self) {
        match self {
            Self::Embedded(_, retaining) => retaining.abort(),
            #[cfg(feature = "kafka")]
            Self::Kafka(engine, _) => engine.leave().await,
        }
    }

    /// Ends the engine, after the last request.
    pub(crate) async fn stop(self) {
        let engine: Arc<dyn Backend> = match self {
            Self::Embedded(store, _) => store,
            #[cfg(feature = "kafka")]
            Self::Kafka(engine, _listening) => engine,
        };
        // What went wrong was told to those who waited for it.
        let _ = engine.close().await;
    }
}

/// Creates a stream that the operator has named, unless it exists as it should.
async fn ensure_stream(
    service: &Service,
    now: TimeMs,
    setting: &StreamSetting,
) -> Result<(), StartError> {
    let name = setting.name.clone();
    let ensured = service
        .ensure_stream(
            now,
            &name,
            setting.partitions.unwrap_or(1),
            setting.retention_hours,
        )
        .await;
    let stream = ensured.map_err(|api_error| StartError::unfit(&name, api_error))?;
    let (found, kept) = (stream.partitions, stream.retention_hours);
    if setting.retention_hours.is_some_and(|asked| asked != kept) {
        tracing::warn!(
            stream = name,
            "the stream exists and keeps its messages for {kept} hours, whatever the configuration \
             says; its retention was fixed when it was created"
        );
    }
    match setting.partitions {
        Some(asked) if asked != found => Err(StartError::Partitions { name, asked, found }),
        Some(_) | None => Ok(()),
    }
}
