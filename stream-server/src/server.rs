//! The server: what it is started with, and an orderly end.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

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
use crate::settings::{AuthSetting, Settings, ThrottleSetting};
pub use crate::start_error::StartError;
use crate::throttle::Throttle;
use crate::time::Clock;

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
            checked.map_err(|api_error| StartError::unfit(name, api_error))?;
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
