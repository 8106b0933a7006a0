//! The server: what it is started with, and an orderly end.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api_error::ApiError;
use crate::auth::{KeyFolderError, KeyRing, Verifier};
use crate::chosen::{Chosen, Running};
use crate::connection_threads::ConnectionThreads;
use crate::connections::Connections;
use crate::faults::Faults;
use crate::http::{App, Gate, parse_host};
use crate::limits::{CONNECTIONS_MAX, IDLE_TIMEOUT};
use crate::listener::{Serving, accept};
use crate::ops::Ops;
use crate::private;
use crate::service::Service;
use crate::settings::{AuthSetting, Settings, StreamSetting, ThrottleSetting};
use crate::storage::StorageError;
use crate::store::OpenError;
use crate::throttle::Throttle;
use crate::time::{Clock, TimeMs};

/// Why a server does not start, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Others could reach it, and signatures are not verified.
    #[error(
        "refusing to listen on {0}: other machines could reach it, and signatures are not \
         verified. Listen on 127.0.0.1, give it keys with --auth keys DIR, or add --allow-remote \
         if the network is yours alone"
    )]
    Remote(SocketAddr),
    /// Others could make the server fail.
    #[error(
        "refusing to take faults on {0}: other machines could reach it. Listen on 127.0.0.1, or \
         leave out --faults, which is for tests"
    )]
    RemoteFaults(SocketAddr),
    /// The folder of public keys is wrong.
    #[error(transparent)]
    Keys(#[from] KeyFolderError),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}. Name another address with --listen, or port 0 for any")]
    Listen(SocketAddr, std::io::Error),
    /// The system refuses threads.
    #[error("cannot start threads: {0}. Raise the limit of processes and threads")]
    Threads(std::io::Error),
    /// The folder cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The cluster can't be used.
    #[cfg(feature = "kafka")]
    #[error(transparent)]
    Kafka(#[from] crate::kafka::KafkaError),
    /// The program was built without Kafka.
    #[cfg(not(feature = "kafka"))]
    #[error(
        "this program was built without the engine kafka. Take a released program, or build it with \
         `cargo build --release --package stream-server --features kafka`"
    )]
    NoKafka,
    /// The folder can be opened, but not read.
    #[error("cannot read the store: {0}. Restore the data folder from a backup")]
    Storage(#[from] StorageError),
    /// A stream has another number of partitions than it should.
    #[error(
        "the stream {name} has {found} partitions, not {asked}, and the number cannot change. \
         Ask for {name}:{found}, or use another name or another data folder"
    )]
    Partitions {
        /// The stream's name.
        name: String,
        /// What the settings say.
        asked: u32,
        /// What it has.
        found: u32,
    },
    /// A stream cannot be created.
    #[error("cannot create the stream {name}: {problem}. Change it in --stream or the file")]
    Stream {
        /// The stream's name.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

impl StartError {
    /// Returns whether the settings are to blame (as opposed to the machine).
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Remote(_)
            | Self::RemoteFaults(_)
            | Self::Keys(_)
            | Self::Partitions { .. }
            | Self::Stream { .. } => true,
            #[cfg(feature = "kafka")]
            Self::Kafka(error) => error.is_usage(),
            #[cfg(not(feature = "kafka"))]
            Self::NoKafka => true,
            Self::Listen(..) | Self::Threads(_) | Self::Open(_) | Self::Storage(_) => false,
        }
    }
}

/// A running server. [`Server::stop`] ends it and waits for that. Dropping it does not wait, but
/// loses nothing that was acknowledged either.
pub struct Server {
    address: SocketAddr,
    running: Running,
    stopping: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Opens the store, creates the streams, and listens. Needs a Tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] says what to change.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        if let AuthSetting::Keys(folder) = &settings.auth {
            private::mend_keys(folder);
        }
        let verifier = Self::verifier_if_right(&settings)?;
        let chosen = Chosen::open(&settings).await?;
        let service = Service::start(chosen.storage(), Box::new(|| fastrand::u64(..))).await?;
        let service = Arc::new(match settings.throttle {
            ThrottleSetting::Off => service,
            ThrottleSetting::Oci => service.with_throttle(Throttle::default()),
        });
        let clock = Clock::start();
        let ensured = chosen.ensure_streams(&service, clock.wall(), &settings);
        ensured.await?;
        let refused = |error| StartError::Listen(settings.listen, error);
        let listener = TcpListener::bind(settings.listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let gate = Gate::new(hosts(&settings));
        let external_url = settings.external_url.clone();
        let external_url = external_url.unwrap_or_else(|| format!("http://{address}"));
        let ops = Arc::new(Ops::new(chosen.engine(), Arc::clone(&service)));
        let faults = settings.faults.then(Faults::default);
        let app = App::new(Arc::clone(&service), clock, external_url, verifier, faults);
        let app = Arc::new(app.beside(chosen.fronts()));
        let running = chosen.run(&service, &app, &settings);
        let (stopping, stop) = watch::channel(false);
        let threads = ConnectionThreads::start().map_err(StartError::Threads)?;
        let count_max = settings.connections_max.unwrap_or(CONNECTIONS_MAX);
        let connections = Connections::new(count_max, ops.metrics.displaced.clone());
        let serving = Arc::new(Serving {
            app,
            ops,
            gate,
            connections,
            idle_timeout: settings.idle_timeout.unwrap_or(IDLE_TIMEOUT),
        });
        let accepting = tokio::spawn(accept(listener, threads, serving, stop));
        Ok(Self {
            address,
            running,
            stopping,
            accepting,
        })
    }

    /// Finds what is wrong with the settings without the store and without listening.
    ///
    /// # Errors
    /// [`StartError`] says what to change.
    pub fn check(settings: &Settings) -> Result<(), StartError> {
        Self::verifier_if_right(settings).map(drop)
    }

    fn verifier_if_right(settings: &Settings) -> Result<Option<Verifier>, StartError> {
        let verifier = verifier(settings)?;
        if !settings.listen.ip().is_loopback() {
            if settings.faults {
                return Err(StartError::RemoteFaults(settings.listen));
            }
            if verifier.is_none() && !settings.allow_remote {
                return Err(StartError::Remote(settings.listen));
            }
        }
        for stream in &settings.streams {
            let (name, partitions) = (stream.name.as_str(), stream.partitions.unwrap_or(1));
            let checked = Service::check_stream(name, partitions, stream.retention_hours);
            checked.map_err(|api_error| unfit(name, api_error))?;
        }
        Ok(verifier)
    }

    /// Returns the address that the server listens on, with the real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns `http://ADDR:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops accepting, finishes the requests in flight (for ten seconds at most), and closes the
    /// store.
    pub async fn stop(self) {
        self.running.begin_to_stop().await;
        self.stopping.send_replace(true);
        // A task that panicked has stopped too.
        let _ = self.accepting.await;
        self.running.stop().await;
    }
}

/// Returns the verifier of requests, if there is one. The log says which it is.
fn verifier(settings: &Settings) -> Result<Option<Verifier>, KeyFolderError> {
    let AuthSetting::Keys(folder) = &settings.auth else {
        return Ok(None);
    };
    let ring = KeyRing::read(folder)?;
    let (count, folder) = (ring.count(), folder.display());
    tracing::info!("every request must be signed by one of {count} keys of {folder}");
    for warning in ring.warnings() {
        tracing::warn!("{warning}");
    }
    let external = external_authority(settings);
    Ok(Some(Verifier::new(ring, external.map(str::to_owned))))
}

/// Returns the authority that clients use, with the port as they write it.
fn external_authority(settings: &Settings) -> Option<&str> {
    let (_, rest) = settings.external_url.as_deref()?.split_once("://")?;
    rest.split('/').next()
}

/// Returns the names that the server is called by, beside those of the loopback interface.
fn hosts(settings: &Settings) -> Vec<String> {
    let external = external_authority(settings).map(|authority| {
        let port = authority
            .rsplit_once(':')
            .filter(|(_, port)| !port.ends_with(']'));
        port.map_or(authority, |(host, _)| host)
    });
    let external = external.and_then(|host| parse_host(host).ok());
    settings.hosts.iter().cloned().chain(external).collect()
}

/// Creates a stream that the operator has named, unless it exists as it should.
pub(crate) async fn ensure_stream(
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
    let stream = ensured.map_err(|api_error| unfit(&name, api_error))?;
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

fn unfit(name: &str, api_error: ApiError) -> StartError {
    StartError::Stream {
        name: name.to_owned(),
        problem: api_error.message,
    }
}
