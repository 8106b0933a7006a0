//! The threads of a copy.

use std::thread;
use std::time::Duration;

use super::copied::Copied;
use super::error::CopyError;
use super::job::{Job, Task};
use super::limits::FOLLOW_PAUSE;
use super::partition::PartitionCopy;

/// Time between two looks at the threads.
const WATCH_PAUSE: Duration = Duration::from_millis(50);

/// Copies all partitions, so many at a time; `watch` is called again and again meanwhile, with
/// whether all threads have come to the end once.
///
/// # Errors
/// The first that a thread had. What the others have copied stays.
pub(super) fn copy_all(
    job: &Job,
    tasks: &[Task],
    parallel: usize,
    watch: &mut dyn FnMut(bool),
) -> Result<Vec<Copied>, CopyError> {
    let threads = parallel.min(tasks.len()).max(1);
    let shares = (0..threads).map(|first| tasks.iter().skip(first).step_by(threads));
    let shares: Vec<Vec<&Task>> = shares.map(Iterator::collect).collect();
    let all = u64::try_from(threads).unwrap_or(u64::MAX);
    let done = thread::scope(|scope| {
        let running: Vec<_> = shares
            .into_iter()
            .map(|share| scope.spawn(move || work(job, &share)))
            .collect();
        while !running.iter().all(thread::ScopedJoinHandle::is_finished) {
            watch(job.caught_up() >= all);
            thread::sleep(WATCH_PAUSE);
        }
        let ended = |_| CopyError::Refused("a thread has ended unexpectedly".to_owned());
        let results = running.into_iter();
        let results = results.map(|thread| thread.join().unwrap_or_else(|end| Err(ended(end))));
        results.collect::<Vec<_>>()
    });
    let mut copied = Vec::new();
    let mut error = None;
    for result in done {
        match (result, &error) {
            (Ok(some), _) => copied.extend(some),
            // The others were only told to stop.
            (Err(reason), None | Some(CopyError::Stopped)) => error = Some(reason),
            (Err(_), Some(_)) => {}
        }
    }
    copied.sort_by_key(|one: &Copied| (one.task.stream, one.task.partition));
    error.map_or(Ok(copied), Err)
}

fn work(job: &Job, tasks: &[&Task]) -> Result<Vec<Copied>, CopyError> {
    let mut ending = Ending {
        job,
        is_good: false,
    };
    let done = work_on(job, tasks);
    ending.is_good = done.is_ok();
    done
}

/// Tells the other threads if one has failed, also by a panic.
struct Ending<'a> {
    job: &'a Job,
    is_good: bool,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if !self.is_good {
            self.job.fail();
        }
    }
}

fn work_on(job: &Job, tasks: &[&Task]) -> Result<Vec<Copied>, CopyError> {
    let (from, to) = (job.from.client()?, job.to.client()?);
    let mut copies: Vec<PartitionCopy<'_>> = tasks
        .iter()
        .map(|task| PartitionCopy::new(job, task, (&from, &to)))
        .collect();
    let mut waits = false;
    for copy in &mut copies {
        copy.begin()?;
        waits |= job.resumes && copy.is_behind()?;
        // All partitions wait with what they have read.
        copy.forget_ahead();
    }
    if waits && !job.dry_run {
        // The last request of an earlier copy may still be under way.
        pause(job, job.settle)?;
        for copy in &mut copies {
            copy.compare()?;
            copy.forget_ahead();
        }
    }
    let mut is_first = true;
    loop {
        let is_last = !job.follow || job.is_stopping();
        for copy in &mut copies {
            copy.advance(is_last)?;
            copy.verify()?;
        }
        if std::mem::take(&mut is_first) {
            job.count_caught_up();
        }
        if is_last {
            return Ok(copies.iter().map(PartitionCopy::result).collect());
        }
        thread::sleep(FOLLOW_PAUSE);
        job.check()?;
    }
}

/// Waits, unless the copy shall end.
fn pause(job: &Job, time: Duration) -> Result<(), CopyError> {
    let mut left = time;
    while !left.is_zero() {
        job.check()?;
        let some = left.min(WATCH_PAUSE);
        thread::sleep(some);
        left = left.saturating_sub(some);
    }
    Ok(())
}
