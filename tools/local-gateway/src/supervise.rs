//! Watches a running set, and starts parts again that die.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use provision::cancel;

use crate::{LocalSet, Part};

const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// The wait before a part is started again. It is doubled each time the part dies soon after.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A part that has run for so long has recovered, and waits only shortly the next time.
const RECOVERED_AFTER: Duration = Duration::from_secs(30);

/// What whoever runs a [`Supervisor`] is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Some time has passed.
    Turn,
    /// A part that had died is ready again.
    Restarted,
}

/// A set that is watched.
#[derive(Debug)]
pub struct Supervisor {
    set: LocalSet,
    falls: BTreeMap<Part, Fall>,
}

/// The state of a part that has died at least once.
#[derive(Debug)]
struct Fall {
    wait: Duration,
    start_at: Instant,
    /// Whether it is down now.
    is_down: bool,
}

impl Supervisor {
    /// Returns the supervisor of a set that runs.
    #[must_use]
    pub fn new(set: LocalSet) -> Self {
        Self {
            set,
            falls: BTreeMap::new(),
        }
    }

    /// Runs until Ctrl-C or SIGTERM, and returns when everything has ended. `told` hears of each
    /// event.
    ///
    /// # Errors
    /// Those of `told`, and when the system refuses to end a part.
    pub fn run(self, mut told: impl FnMut(&LocalSet, Event) -> Result<()>) -> Result<()> {
        Self::run_all(vec![self], |_, set, event| told(set, event))
    }

    /// Does the same with several sets. `told` hears of each event with the number of its set, from
    /// 0. The last set ends first.
    ///
    /// # Errors
    /// Those of `told`, and when the system refuses to end a part.
    pub fn run_all(
        mut sets: Vec<Self>,
        mut told: impl FnMut(usize, &LocalSet, Event) -> Result<()>,
    ) -> Result<()> {
        while !cancel::requested() {
            for (number, supervisor) in sets.iter_mut().enumerate() {
                told(number, &supervisor.set, Event::Turn)?;
                supervisor.notice_the_fallen();
                supervisor.start_the_fallen(&mut |set, event| told(number, set, event))?;
            }
            thread::sleep(WATCH_INTERVAL);
        }
        println!();
        let mut sets = sets.into_iter().rev();
        sets.try_for_each(|supervisor| supervisor.set.end())
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

    fn start_the_fallen(
        &mut self,
        told: &mut impl FnMut(&LocalSet, Event) -> Result<()>,
    ) -> Result<()> {
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
                    told(&self.set, Event::Restarted)?;
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
