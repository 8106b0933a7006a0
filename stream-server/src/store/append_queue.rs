//! Who commits messages, and when.
//!
//! A thread commits for all clients that write at the same time: it gathers what waits into one
//! commit, and answers after it. A client that writes alone commits in its own thread, because
//! handing over the messages and the answer would take longer than everything else except the disk.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread::{self, ThreadId};

use tokio::runtime::Handle;
use tokio::task::yield_now;

use super::Store;
use super::appender::{AllStamps, Append, Appender};
use super::queue::Queue;
use super::writer::Reply;
use crate::limits::{TRANSACTION_BYTES_MAX, WRITE_QUEUE_COUNT_MAX};
use crate::partition_log::Stamp;
use crate::storage::StorageError;

/// A task for the thread.
pub(super) enum Task {
    /// Messages for one stream.
    Append(Append, Waiting),
    /// See [`Appender::probe`].
    Probe { answer: Reply<()> },
    /// See [`Appender::seal_if_dead`].
    SealIfDead { answer: Reply<()> },
}

/// The client that waits for the stamps of an append.
pub(super) struct Waiting {
    reply: Reply<Vec<Stamp>>,
    /// The thread in which it waits, with its runtime, if it has one.
    home: (ThreadId, Option<Handle>),
}

impl Waiting {
    pub(super) fn here(reply: Reply<Vec<Stamp>>) -> Self {
        let home = (thread::current().id(), Handle::try_current().ok());
        Self { reply, home }
    }
}

/// The appends of one commit.
#[derive(Default)]
struct Gathered {
    appends: Vec<Append>,
    waiting: Vec<Waiting>,
    bytes: usize,
}

impl Gathered {
    fn add(&mut self, append: Append, waiting: Waiting) {
        self.bytes = self.bytes.saturating_add(append.bytes());
        self.appends.push(append);
        self.waiting.push(waiting);
    }

    fn is_full(&self) -> bool {
        self.bytes >= TRANSACTION_BYTES_MAX || self.appends.len() >= WRITE_QUEUE_COUNT_MAX
    }

    /// Answers all clients, those of a thread at once: waking the thread for each would take
    /// longer.
    fn answer(self, committed: &Result<AllStamps, StorageError>) {
        let of = |place: usize| match committed {
            Ok(stamps) => stamps
                .get(place)
                .cloned()
                .flatten()
                .ok_or_else(no_partition),
            Err(error) => Err(error.clone()),
        };
        let mut homes: HashMap<ThreadId, (Option<Handle>, Vec<_>)> = HashMap::new();
        for (place, waiting) in self.waiting.into_iter().enumerate() {
            let (thread, runtime) = waiting.home;
            let (_, answers) = homes.entry(thread).or_insert_with(|| (runtime, Vec::new()));
            answers.push((waiting.reply, of(place)));
        }
        for (runtime, answers) in homes.into_values() {
            let answer = move || {
                // Nobody receives it if the client has gone away.
                let send = |(reply, stamps): (Reply<_>, _)| drop(reply.send(stamps));
                answers.into_iter().for_each(send);
            };
            match runtime {
                Some(runtime) => drop(runtime.spawn(async move { answer() })),
                None => answer(),
            }
        }
    }
}

/// Runs the thread: it works until the queue is closed and empty, and ends the log.
pub(super) fn run(appender: &Mutex<Appender>, queue: &Queue<Task>) {
    while let Some(first) = queue.wait() {
        if work(appender, first, queue).is_none() {
            // Clients that wait get an error.
            queue.close();
            while queue.pop().is_some() {}
            return;
        }
    }
    if let Ok(mut appender) = appender.lock() {
        appender.close();
    }
}

/// Does the first task, together with others that have come. Returns `None` once somebody panicked
/// in the middle of a commit: then nothing more may be written.
fn work(appender: &Mutex<Appender>, first: Task, queue: &Queue<Task>) -> Option<()> {
    let lock = || appender.lock().ok();
    let mut gathering = lock()?.gathering;
    gathering.wait(queue);
    lock()?.gathering = gathering;
    let (mut gathered, mut next) = (Gathered::default(), Some(first));
    while let Some(task) = next {
        match task {
            Task::Append(append, waiting) => gathered.add(append, waiting),
            Task::Probe { answer } => drop(answer.send(lock()?.probe())),
            Task::SealIfDead { answer } => drop(answer.send(lock()?.seal_if_dead())),
        }
        let is_full = gathered.is_full();
        next = if is_full { None } else { queue.pop() };
    }
    if gathered.appends.is_empty() {
        return Some(());
    }
    let mut appender = lock()?;
    let committed = appender.commit(&gathered.appends, || queue.len());
    drop(appender);
    gathered.answer(&committed);
    Some(())
}

impl Store {
    /// Commits on this thread, which waits for the disk, if nobody else writes at this time and it
    /// doesn't take long. Otherwise returns the append, for the queue.
    pub(super) async fn append_alone(
        &self,
        append: Append,
    ) -> Result<Result<Vec<Stamp>, StorageError>, Append> {
        if self.appender_for_one(&append).is_none() {
            return Err(append);
        }
        // Clients whose requests have already come begin meanwhile.
        yield_now().await;
        let Some(mut appender) = self.appender_for_one(&append) else {
            return Err(append);
        };
        let committed = appender.commit(std::slice::from_ref(&append), || 0);
        drop(appender);
        let stamps = committed.map(|all| all.into_iter().next().flatten());
        Ok(stamps.and_then(|stamps| stamps.ok_or_else(no_partition)))
    }

    fn appender_for_one(&self, append: &Append) -> Option<MutexGuard<'_, Appender>> {
        let is_alone = self.writers.load(Ordering::Acquire) == 1;
        let appender = is_alone.then(|| self.appender.try_lock().ok())??;
        let is_short = appender.gathering.expects_one_short() && appender.has_room(append);
        (is_short && !appender.is_closed).then_some(appender)
    }
}

/// A client that is counted as a writer until this is dropped.
pub(super) struct Writing<'a>(&'a AtomicUsize);

impl<'a> Writing<'a> {
    pub(super) fn start(writers: &'a AtomicUsize) -> Self {
        writers.fetch_add(1, Ordering::AcqRel);
        Self(writers)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn no_partition() -> StorageError {
    StorageError::Failed("there is no such partition".to_owned())
}
