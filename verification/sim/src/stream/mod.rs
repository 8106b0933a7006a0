//! The Stream: the stream server's own code on a store in memory. [`crate::world::network`] has the
//! faults; what arrives here is carried out as the server does it.

pub mod memory;

use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use sluice::http::IncomingResponse;
use stream_server::protocol::{Answer, Protocol};
use stream_server::service::Service;
use stream_server::time::{GivenTime, TimeMs};

use memory::Memory;

/// The simulated Stream.
pub struct Stream {
    /// The part that survives a restart.
    pub memory: Arc<Memory>,
    time: Arc<GivenTime>,
    protocol: Option<Protocol>,
    entropy: Arc<Mutex<fastrand::Rng>>,
}

/// Returns the OCID of a stream with this name.
#[must_use]
pub fn ocid(name: &str) -> String {
    format!("ocid1.stream.oc1.local.{name}")
}

impl Stream {
    /// Returns a server that has these streams, each with its number of partitions.
    #[must_use]
    pub fn start(seed: u64, streams: &[(String, u32)]) -> Self {
        let entropy = fastrand::Rng::with_seed(seed);
        let mut stream = Self {
            memory: Arc::default(),
            time: Arc::default(),
            protocol: None,
            entropy: Arc::new(Mutex::new(entropy)),
        };
        stream.restart();
        let service = stream.service();
        for (name, partitions) in streams {
            if let Some(service) = &service {
                // A missing stream shows in the first request to it.
                let _ = at_once(service.ensure_stream(TimeMs(1), name, *partitions, None));
            }
        }
        stream
    }

    fn service(&self) -> Option<Arc<Service>> {
        let entropy = Arc::clone(&self.entropy);
        let draw = move || {
            entropy
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .u64(..)
        };
        let memory = Arc::clone(&self.memory);
        at_once(Service::start(memory, Box::new(draw)))?
            .ok()
            .map(Arc::new)
    }

    /// Restarts the server: members are forgotten, and cursors of groups are invalid.
    pub fn restart(&mut self) {
        let time = Arc::clone(&self.time);
        self.protocol = self.service().map(|service| Protocol::new(service, time));
    }

    /// Performs a request.
    pub fn answer(&self, method: &str, path: &str, body: &[u8], now: (u64, u64)) -> Option<Answer> {
        self.time.steady_ms.store(now.0, Ordering::Relaxed);
        self.time.wall_ms.store(now.1, Ordering::Relaxed);
        at_once(self.protocol.as_ref()?.answer(method, path, body))
    }
}

/// Returns the answer as the gateway passes it to an engine.
#[must_use]
pub fn incoming(answer: &Answer) -> IncomingResponse {
    let headers = answer.headers.iter();
    IncomingResponse {
        status: answer.status,
        headers: headers
            .map(|(n, v)| (n.clone(), v.clone().into_bytes()))
            .collect(),
        body: answer.body.to_vec(),
        body_bytes: answer.body.len(),
    }
}

/// Returns the result of a future that never waits.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
