//! The brokers: logs that keep what was appended, and what it truly adds up to.

use sim::invariants::Violation;
use sim::trace::hash;
use stream_coordination::fold::{Folded, SlotFold, Step};
use stream_coordination::io::LogId;
use stream_coordination::record::{SlotBody, SlotRecord};

/// One life of one front.
pub type Life = (usize, u32);

/// Who appended a record; `None` for somebody else.
type Origin = Option<Life>;

/// One log.
pub struct Log {
    /// All records ever, by offset. Some offsets have none.
    entries: Vec<(Option<Vec<u8>>, Origin)>,
    /// The first offset that can be read.
    pub start: u64,
    /// Until when its broker is away.
    pub away_until: u64,
    /// What a slot's log truly adds up to; `None` for `members`.
    truth: Option<Truth>,
}

struct Truth {
    slot: u32,
    fold: SlotFold,
    /// Hashes of what is folded, by the offset behind the last record.
    digests: Vec<u64>,
    /// Whether each record is valid.
    valid: Vec<bool>,
    /// The life that owns the slot.
    owner: Origin,
}

/// Returns a hash of what is folded.
#[must_use]
pub fn digest(folded: &Folded) -> u64 {
    hash(&format!("{folded:?}"))
}

impl Log {
    /// Returns an empty log.
    #[must_use]
    pub fn new(log: LogId) -> Self {
        let truth = |slot: u32| {
            let fold = SlotFold::start(slot, 0, 0);
            let digests = fold.known().map(digest).into_iter().collect();
            Truth {
                slot,
                fold,
                digests,
                valid: Vec::new(),
                owner: None,
            }
        };
        Self {
            entries: Vec::new(),
            start: 0,
            away_until: 0,
            truth: match log {
                LogId::Members => None,
                LogId::Slot(slot) => Some(truth(slot)),
            },
        }
    }

    /// Returns the offset behind the last record.
    #[must_use]
    pub fn end(&self) -> u64 {
        u64::try_from(self.entries.len()).unwrap_or(u64::MAX)
    }

    /// Appends a record, or an offset without one. Returns its offset.
    ///
    /// # Errors
    /// K2: a record is valid that the owner has not written.
    pub fn append(&mut self, record: Option<Vec<u8>>, by: Origin) -> Result<u64, Violation> {
        let offset = self.end();
        if let Some(truth) = &mut self.truth {
            truth.append(offset, record.as_deref(), by)?;
        }
        self.entries.push((record, by));
        Ok(offset)
    }

    /// Returns up to `most` records from an offset, and the offset behind them.
    #[must_use]
    pub fn read(&self, from: u64, most: usize) -> (Vec<(u64, Vec<u8>)>, u64) {
        let skipped = usize::try_from(from).unwrap_or(usize::MAX);
        let entries = self.entries.iter().skip(skipped).take(most);
        let read = u64::try_from(entries.len()).unwrap_or(0);
        let records = (from..).zip(entries);
        let records = records.filter_map(|(offset, (record, _))| Some((offset, record.clone()?)));
        (records.collect(), from.saturating_add(read))
    }

    /// Returns what a slot's log truly adds up to.
    #[must_use]
    pub fn truth(&self) -> Option<&Folded> {
        self.truth.as_ref()?.fold.known()
    }

    fn is_valid(&self, offset: u64) -> bool {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let truth = self.truth.as_ref();
        truth.is_some_and(|truth| truth.valid.get(at).copied().unwrap_or(false))
    }

    /// Returns the record at an offset, if it is valid.
    #[must_use]
    pub fn valid_record(&self, offset: u64) -> Option<SlotRecord> {
        let at = usize::try_from(offset)
            .ok()
            .filter(|_| self.is_valid(offset))?;
        SlotRecord::read(self.entries.get(at)?.0.as_deref()?)
    }

    /// Returns all valid records, with their offsets.
    pub fn valid_records(&self) -> impl Iterator<Item = (u64, SlotRecord)> {
        let entries = (0..).zip(&self.entries);
        let valid = entries.filter(|(offset, _)| self.is_valid(*offset));
        valid.filter_map(|(offset, (record, _))| {
            let record = SlotRecord::read(record.as_deref()?)?;
            Some((offset, record))
        })
    }

    /// Checks what a front has folded.
    ///
    /// # Errors
    /// K4: it differs from what the log adds up to there.
    pub fn check(&self, folded: &Folded, who: &str) -> Result<(), Violation> {
        let Some(truth) = &self.truth else {
            return Ok(());
        };
        let at = usize::try_from(folded.next).unwrap_or(usize::MAX);
        if truth.digests.get(at) == Some(&digest(folded)) {
            return Ok(());
        }
        let text = format!("{who} has folded slot {} wrongly: {folded:?}", truth.slot);
        Err(Violation::new("K4", "", text))
    }

    /// Checks that a front that starts now learns everything.
    ///
    /// # Errors
    /// K6: it doesn't.
    pub fn check_start(&self) -> Result<(), Violation> {
        let Some(truth) = &self.truth else {
            return Ok(());
        };
        let mut fold = SlotFold::start(truth.slot, self.start, self.end());
        for (offset, record) in self.read(self.start, usize::MAX).0 {
            fold.apply(offset, &record);
        }
        fold.skip_to(self.end());
        if fold.known() == truth.fold.known() {
            return Ok(());
        }
        let text = format!(
            "who reads slot {} from {} finds {:?}, and truly it is {:?}",
            truth.slot,
            self.start,
            fold.known(),
            truth.fold.known()
        );
        Err(Violation::new("K6", "", text))
    }
}

impl Truth {
    fn append(&mut self, offset: u64, record: Option<&[u8]>, by: Origin) -> Result<(), Violation> {
        let step = match record {
            Some(record) => self.fold.apply(offset, record),
            None => Step::Ignored,
        };
        self.fold.skip_to(offset.saturating_add(1));
        self.digests.extend(self.fold.known().map(digest));
        self.valid.push(step != Step::Ignored);
        match step {
            Step::Ignored => Ok(()),
            Step::Claimed { .. } => {
                let read = record.and_then(SlotRecord::read);
                let claims = |life: &Life| match read.as_ref().map(|record| &record.body) {
                    Some(SlotBody::Claim { front }) => front.0 == name(*life),
                    _ => false,
                };
                self.owner = by;
                self.expect(by.as_ref().is_some_and(claims), offset)
            }
            Step::Valid { .. } => self.expect(by.is_some() && by == self.owner, offset),
        }
    }

    fn expect(&self, holds: bool, offset: u64) -> Result<(), Violation> {
        if holds {
            return Ok(());
        }
        let text = format!(
            "the record at {offset} of slot {} is valid, and isn't its owner's",
            self.slot
        );
        Err(Violation::new("K2", "", text))
    }
}

/// Returns the id of one life of one front.
#[must_use]
pub fn name((front, life): Life) -> String {
    format!("front-{front}-{life}")
}
