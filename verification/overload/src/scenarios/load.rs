//! Clients that send one marked request after another until they are stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use testkit::http1::asynchronous::Connection;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::client::Ended;
use crate::tally::Tally;

/// The running clients.
pub(super) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<(Tally, Duration)>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    accepted: AtomicUsize,
    refused: AtomicUsize,
}

impl Load {
    /// Starts clients that pause after each answer.
    pub(super) fn start(port: u16, clients: usize, request: Vec<u8>, pause: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        let request: Arc<[u8]> = request.into();
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let (shared, request) = (Arc::clone(&shared), Arc::clone(&request));
            tasks.spawn(async move { send(port, &request, pause, &shared).await });
        }
        Self {
            shared,
            clients: tasks,
        }
    }

    /// Returns how many got a `202` so far.
    pub(super) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Returns how many got another answer, or none, so far.
    pub(super) fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Ends the clients, each after its current request. Returns their answers, and the longest
    /// wait for an answer.
    pub(super) async fn end(mut self) -> Result<(Tally, Duration)> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let (mut tally, mut longest) = (Tally::default(), Duration::ZERO);
        while let Some(client) = self.clients.join_next().await {
            let (told, waited) = client?;
            tally.merge(told);
            longest = longest.max(waited);
        }
        Ok((tally, longest))
    }
}

async fn send(port: u16, request: &[u8], pause: Duration, shared: &Shared) -> (Tally, Duration) {
    let (mut tally, mut longest) = (Tally::default(), Duration::ZERO);
    let mut open: Option<Connection> = None;
    while !shared.is_over.load(Ordering::Relaxed) {
        let connection = match open.take() {
            Some(connection) => Ok(connection),
            None => Connection::open(port).await,
        };
        let start = Instant::now();
        let ended = match connection {
            Ok(mut connection) => {
                let ended = Ended::from(connection.exchange(request).await);
                if matches!(&ended, Ended::Answered(answer) if !answer.is_last) {
                    open = Some(connection);
                }
                ended
            }
            Err(_) => Ended::Closed,
        };
        longest = longest.max(start.elapsed());
        let is_accepted = matches!(&ended, Ended::Answered(answer) if answer.status == 202);
        let count = if is_accepted {
            &shared.accepted
        } else {
            &shared.refused
        };
        count.fetch_add(1, Ordering::Relaxed);
        tally.add(ended);
        sleep(pause).await;
    }
    (tally, longest)
}
