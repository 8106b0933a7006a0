//! Watches a running set: shows the function's output, and starts parts again that die.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use local_gateway::{LocalSet, Part};
use provision::cancel;

use super::follow::Follower;
use super::ready_file;

const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// The wait before a part is started again. It is doubled each time the part dies soon after.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A part that has run for so long has recovered, and waits only shortly the next time.
const RECOVERED_AFTER: Duration = Duration::from_secs(30);

/// A set that is watched.
pub(super) struct Supervisor<'a> {
    set: LocalSet,
    ready_file: Option<&'a Path>,
    function: Option<Follower>,
    falls: BTreeMap<Part, Fall>,
}

/// The state of a part that has died at least once.
struct Fall {
    wait: Duration,
    start_at: Instant,
    /// Whether it is down now.
    is_down: bool,
}

impl<'a> Supervisor<'a> {
    pub(super) fn new(set: LocalSet, ready_file: Option<&'a Path>) -> Self {
        let function = set.log_file(Part::Function).map(Follower::new);
        Self {
            set,
            ready_file,
            function,
            falls: BTreeMap::new(),
        }
    }

    /// Watches sets until Ctrl-C, and returns when everything of them has ended.
    pub(super) fn run(mut sets: Vec<Self>) -> Result<()> {
        while !cancel::requested() {
            for set in &mut sets {
                set.show_function();
                set.notice_the_fallen();
                set.start_the_fallen()?;
            }
            thread::sleep(WATCH_INTERVAL);
        }
        println!();
        // The function belongs to the first one.
        sets.into_iter().rev().try_for_each(|set| set.set.end())
    }

    fn show_function(&mut self) {
        if let Some(function) = &mut self.function {
            for line in function.new_lines() {
                println!("function | {line}");
            }
        }
    }

    fn notice_the_fallen(&mut self) {
        for (part, status) in self.set.ended() {
            let fall = self.falls.entry(part).or_insert_with(|| Fall {
                wait: FIRST_WAIT,
                start_at: Instant::now(),
                is_down: false,
            });
            if fall.is_down {
                continue;
            }
            if fall.start_at.elapsed() > RECOVERED_AFTER {
                fall.wait = FIRST_WAIT;
            }
            fall.is_down = true;
            fall.start_at = Instant::now() + fall.wait;
            println!("{} ended ({status}); it is started again", part.name());
        }
    }

    fn start_the_fallen(&mut self) -> Result<()> {
        for (part, fall) in &mut self.falls {
            if !fall.is_down || Instant::now() < fall.start_at {
                continue;
            }
            fall.wait = (fall.wait * 2).min(LONGEST_WAIT);
            match self.set.restart(*part) {
                Ok(()) => {
                    fall.is_down = false;
                    fall.start_at = Instant::now();
                    println!("{} is ready again", part.name());
                    if let Some(file) = self.ready_file {
                        ready_file::write(file, &self.set)?;
                    }
                }
                Err(_) if cancel::requested() => return Ok(()),
                Err(error) => {
                    fall.start_at = Instant::now() + fall.wait;
                    let seconds = fall.wait.as_secs_f32();
                    println!("{error:#}\nthe next attempt is in {seconds:.1} s");
                }
            }
        }
        Ok(())
    }
}
