//! One front: its coordination, its groups, and how far it has read.

use std::collections::{BTreeMap, BTreeSet};

use sim::rng::Rng;
use stream_coordination::config::Config;
use stream_coordination::coordinator::Coordinator;
use stream_coordination::io::LogId;
use stream_coordination::record::{FrontId, GroupState};
use stream_server::group::{CommittedPosition, Group, GroupRecord};
use stream_server::time::TimeMs;

use crate::cluster::name;
use crate::plan::Plan;

/// The groups of a slot that a front owns.
pub struct Table {
    /// The ownership.
    pub epoch: u64,
    /// The groups with their instances, by key.
    pub groups: BTreeMap<u64, Group>,
}

/// Where a front reads a log.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// The next offset.
    pub next: u64,
    /// Changes when the position is set, so that what was read before is stale.
    pub generation: u64,
    /// Whether a fetch is under way.
    pub is_fetching: bool,
}

/// One front.
pub struct Front {
    /// How often it was started before.
    pub life: u32,
    /// `None` while the process isn't there.
    pub coordinator: Option<Coordinator>,
    /// What it owns.
    pub tables: BTreeMap<u32, Table>,
    /// Where it reads.
    pub readers: BTreeMap<LogId, Reader>,
    /// Until when it stands still.
    pub paused_until: u64,
    /// Until when it reaches nobody.
    pub cut_until: u64,
    /// Until when it doesn't reach these logs.
    pub deaf_until: BTreeMap<LogId, u64>,
    /// When its next tick comes.
    pub wakes_at: Option<u64>,
    /// When it starts again after it has left.
    pub returns_after: Option<u64>,
    /// Streams whose creation or deletion it is about to finish.
    pub finishing: BTreeSet<u64>,
    /// Its steady clock: what it showed at the start of the run, and its rate in thousandths.
    clock: (u64, u64),
    generations: u64,
}

impl Front {
    /// Returns a front that isn't there yet.
    pub fn new(rate: u64, rng: &mut Rng) -> Self {
        Self {
            life: 0,
            coordinator: None,
            tables: BTreeMap::new(),
            readers: BTreeMap::new(),
            paused_until: 0,
            cut_until: 0,
            deaf_until: BTreeMap::new(),
            wakes_at: None,
            returns_after: None,
            finishing: BTreeSet::new(),
            clock: (rng.below(1_000_000), rate),
            generations: 0,
        }
    }

    /// Starts the process.
    ///
    /// # Errors
    /// If its configuration is refused.
    pub fn start(&mut self, number: usize, plan: &Plan, now: u64) -> Result<(), String> {
        let id = FrontId(name((number, self.life)));
        let mut config = Config::new(id, format!("http://front-{number}"), plan.slots);
        config.times = plan.times;
        config.snapshot_records = plan.snapshot_records;
        config.groups_per_stream_max = 4;
        self.coordinator = Some(Coordinator::new(config, self.steady(now))?);
        Ok(())
    }

    /// Ends the process.
    pub fn end(&mut self) {
        self.coordinator = None;
        self.life = self.life.saturating_add(1);
        self.tables.clear();
        self.readers.clear();
        self.finishing.clear();
        self.wakes_at = None;
        self.paused_until = 0;
        self.returns_after = None;
    }

    /// Returns until when it doesn't reach a log.
    #[must_use]
    pub fn blocked_until(&self, log: LogId) -> u64 {
        let deaf_until = self.deaf_until.get(&log).copied().unwrap_or(0);
        self.cut_until.max(deaf_until)
    }

    /// Returns what its steady clock shows at a true time.
    #[must_use]
    pub fn steady(&self, now: u64) -> u64 {
        let (start, rate) = self.clock;
        start.saturating_add(now.saturating_mul(rate) / 1_000)
    }

    /// Returns the true time at which its steady clock shows this.
    #[must_use]
    pub fn true_time(&self, steady: u64) -> u64 {
        let (start, rate) = self.clock;
        let passed = steady.saturating_sub(start);
        passed.saturating_mul(1_000).div_ceil(rate.max(1))
    }

    /// Returns the time as groups want it.
    #[must_use]
    pub fn group_time(&self, now: u64) -> TimeMs {
        TimeMs(self.steady(now))
    }

    /// Returns whether it may serve reads of a slot at a true time.
    #[must_use]
    pub fn serves(&self, slot: u32, now: u64) -> bool {
        let Some(coordinator) = &self.coordinator else {
            return false;
        };
        let epoch = self.tables.get(&slot).map(|table| table.epoch);
        epoch.is_some_and(|epoch| coordinator.may_serve(slot, epoch, self.steady(now)))
    }

    /// Sets where it reads a log.
    pub fn read_from(&mut self, log: LogId, next: u64) {
        self.generations = self.generations.saturating_add(1);
        let generation = self.generations;
        let reader = Reader {
            next,
            generation,
            is_fetching: false,
        };
        self.readers.insert(log, reader);
    }

    /// Loads the groups of a slot that it owns now.
    pub fn load(&mut self, slot: u32, epoch: u64) {
        let Some(state) = self.coordinator.as_ref().and_then(|c| c.state(slot)) else {
            return;
        };
        let group = |state: &GroupState| (state.key, Group::new(record(state)));
        let groups = state.groups().map(group).collect();
        self.tables.insert(slot, Table { epoch, groups });
    }

    /// Returns a group that it owns, in line with what is folded.
    pub fn group(&mut self, slot: u32, key: u64, now: u64) -> Option<&mut Group> {
        let now = self.group_time(now);
        let state = self.coordinator.as_ref()?.state(slot)?.group(key);
        let groups = &mut self.tables.get_mut(&slot)?.groups;
        let Some(state) = state else {
            groups.remove(&key);
            return None;
        };
        let group = groups
            .entry(key)
            .or_insert_with(|| Group::new(record(state)));
        group.reset(now, record(state));
        Some(group)
    }
}

fn record(state: &GroupState) -> GroupRecord {
    let position = |(partition, position): (&u32, &stream_coordination::record::Position)| {
        let position = CommittedPosition {
            start: position.start,
            committed: position.committed,
        };
        (*partition, position)
    };
    GroupRecord {
        key: state.key,
        stream_key: state.stream,
        name: state.name.clone(),
        incarnation: state.incarnation,
        positions: state.positions.iter().map(position).collect(),
    }
}
