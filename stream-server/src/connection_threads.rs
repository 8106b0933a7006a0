//! The threads that serve connections.
//!
//! Each thread has a runtime of its own, and a connection stays with one of them. If one runtime
//! shared its work among threads, they would wake each other for every request, which takes longer
//! than most requests do.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// One thread for each processor. Dropping the value ends the threads, with everything that they
/// serve.
pub(crate) struct ConnectionThreads(Vec<ConnectionThread>);

struct ConnectionThread {
    runtime: Handle,
    /// Connections that it serves.
    open: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ConnectionThreads {
    /// # Errors
    /// Where the system gives no thread.
    pub(crate) fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let threads = (0..count).map(ConnectionThread::start);
        threads.collect::<io::Result<_>>().map(Self)
    }

    /// Lets the thread with the fewest connections serve this one, as a task of the set.
    pub(crate) fn serve<F: Future<Output = ()> + Send + 'static>(
        &self,
        connection: std::net::TcpStream,
        set: &mut JoinSet<()>,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) {
        let open = |thread: &&ConnectionThread| thread.open.load(Ordering::Relaxed);
        let Some(thread) = self.0.iter().min_by_key(open) else {
            return;
        };
        thread.open.fetch_add(1, Ordering::Relaxed);
        let open = Open(Arc::clone(&thread.open));
        let served = async move {
            let _open = open;
            // A socket that the system can't watch is closed.
            if let Ok(connection) = TcpStream::from_std(connection) {
                serve(connection).await;
            }
        };
        set.spawn_on(served, &thread.runtime);
    }
}

/// A connection that is counted until this is dropped.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ConnectionThread {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name(format!("connections-{number}"))
            .spawn(move || {
                // It ends when it is told to, or when nobody is left who could tell it.
                let _ = runtime.block_on(stopped);
            })?;
        Ok(Self {
            runtime: handle,
            open: Arc::default(),
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for ConnectionThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A thread that panicked has ended too.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
