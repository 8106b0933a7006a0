//! Idempotency keys, as docs/idempotency.md promises. Within one Envoy process, a key that was
//! answered `202` gets the same `202` for the same request again, and `422` for another one.
//! Nothing more is stored for it until its call becomes a dead letter.

use std::collections::BTreeMap;

use sluice::accept::config::OptionHeaders;
use sluice::http::{Fields, first};
use sluice::idempotency::{Asked as Options, KeyHolder};
use sluice::time::Wall;

use super::Violation;
use crate::call::Request;
use crate::ledger::{Engine, Ledger, Place, Record};

/// How long a key stays claimed beyond the time of a publish. (docs/idempotency.md has no number;
/// an exchange that takes longer may lose its key.)
const CLAIM_MARGIN_MS: u64 = 5_000;

/// One life of one Envoy process.
pub type Process = (usize, u32);

/// Who answers, and the time on its gateway's clock.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The engine that answers.
    pub by: Engine,
    /// Its process.
    pub process: Process,
    /// When the request came.
    pub at: Wall,
    /// When it is answered: the latest time that the clock has shown.
    pub now: Wall,
    /// How long a publish may take, in milliseconds.
    pub publish_ms: u64,
}

impl Asked {
    /// Returns whether the key may have belonged to another request before this one was answered.
    fn is_overlong(&self) -> bool {
        let took = self.now.since(self.at).as_millis();
        took > u128::from(self.publish_ms.saturating_add(CLAIM_MARGIN_MS))
    }
}

/// A valid `202` for a key.
#[derive(Debug)]
struct Told {
    by: Engine,
    at: Wall,
    /// The call.
    id: String,
    /// The options of the request.
    options: Options,
}

/// The answers to clients, by process and key hash.
#[derive(Debug, Default)]
pub struct Keys(BTreeMap<(Process, String), Told>);

impl Keys {
    /// Checks the answer to a client with a key. Returns whether the call was known by its key.
    ///
    /// # Errors
    /// If the call belongs to another request, or is not the one of the key.
    pub fn accepted(
        &mut self,
        ledger: &Ledger,
        request: &Request,
        id: &str,
        asked: &Asked,
    ) -> Result<bool, Violation> {
        let broken = |text: String| Err(Violation::new("keys", id, text));
        let place = ledger.places.get(id).and_then(|places| places.first());
        let Some(record) = place.and_then(|place| ledger.records.get(place)) else {
            return broken("nobody knows it".to_owned());
        };
        if !is_same(request, record) {
            return broken("it was told to a client whose request is another one".to_owned());
        }
        let Some(hash) = hash(record) else {
            return broken("its record has lost the key".to_owned());
        };
        let process = asked.process;
        match self.0.get(&(process, hash.clone())) {
            Some(told) if told.id == id && told.options == options(request) => return Ok(true),
            Some(told) if told.id == id => {
                return broken("it was told to a client that asks for something else".to_owned());
            }
            Some(told) if !asked.is_overlong() => {
                return broken(format!("its key had been answered with call {}", told.id));
            }
            Some(_) | None => {}
        }
        if !asked.is_overlong() {
            let told = Told {
                by: asked.by,
                at: asked.now,
                id: id.to_owned(),
                options: options(request),
            };
            self.0.insert((process, hash), told);
        }
        Ok(false)
    }

    /// Checks an answer that says that a key belongs to another request.
    ///
    /// # Errors
    /// If the key was answered for the same request.
    pub fn refused(
        &self,
        ledger: &Ledger,
        request: &Request,
        process: Process,
    ) -> Result<(), Violation> {
        let options = options(request);
        let own = self.0.iter();
        let own = own.filter(|((found, _), told)| *found == process && told.options == options);
        for (_, told) in own {
            let places = ledger.places.get(&told.id).into_iter().flatten();
            let mut records = places.filter_map(|place| ledger.records.get(place));
            let same = |record: &Record| is_same(request, record) && !has_options(request, record);
            if records.any(same) {
                let text = "the same request was refused as another one of its key";
                return Err(Violation::new("keys", told.id.clone(), text));
            }
        }
        Ok(())
    }

    /// Checks a record that a process has stored.
    ///
    /// # Errors
    /// If its key was already answered.
    pub fn stored(&self, ledger: &Ledger, place: Place, process: Process) -> Result<(), Violation> {
        let Some(record) = ledger.records.get(&place) else {
            return Ok(());
        };
        let is_new = record
            .head
            .as_ref()
            .is_some_and(|head| head.progress.hops == 0 && head.reply.is_none());
        let Some(hash) = hash(record).filter(|_| is_new) else {
            return Ok(());
        };
        match self.0.get(&(process, hash)) {
            Some(told) if told.id != record.id => {
                let text = format!("it is stored, and its key was answered with {}", told.id);
                Err(Violation::new("keys", record.id.clone(), text))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Frees the key of a call that has become a dead letter. The next request with it may make a
    /// call of its own.
    pub fn released(&mut self, process: Process, holder: &KeyHolder) {
        let key = (process, holder.key.0.clone());
        if self
            .0
            .get(&key)
            .is_some_and(|told| told.id == holder.call_id)
        {
            self.0.remove(&key);
        }
    }

    /// Notes that an engine has ended within the callback in which it answered. It may not have
    /// written the answer into the table.
    pub fn trapped(&mut self, by: Engine, now: Wall) {
        self.0.retain(|_, told| told.by != by || told.at < now);
    }
}

/// Returns the options of a request.
fn options(request: &Request) -> Options {
    Options::of(OptionHeaders::default().asked(&request.fields))
}

/// Returns the hash of a record's key.
fn hash(record: &Record) -> Option<String> {
    let head = record.head.as_ref()?;
    head.idempotency.as_ref().map(|key| key.0.clone())
}

/// Returns whether the request or the record has options besides its target. They belong to the
/// request too, and a time that is counted from now can't be compared with that of a record.
fn has_options(request: &Request, record: &Record) -> bool {
    let is_option = |name: &str| name.starts_with("async-") && name != "async-target";
    let mut fields = request.fields.iter();
    let other = record.head.as_ref().is_some_and(|head| {
        let has_address = head.reply_to.is_some() || head.failure_to.is_some();
        let has_limit = head.max_age_ms.is_some() || head.retries.is_some();
        let has_time = head.deliver_at.is_some() || head.timeout_ms.is_some();
        has_address || has_limit || has_time || head.order_key.is_some()
    });
    other || fields.any(|(name, _)| is_option(name))
}

/// Returns whether a record is that of this request, with its key and by its caller.
fn is_same(request: &Request, record: &Record) -> bool {
    let Some(head) = &record.head else {
        return false;
    };
    let of_both = ["idempotency-key", "authorization"];
    let text = |fields: &Fields, name: &str| first(fields, name).map(<[u8]>::to_vec);
    let has_same = |name: &&str| text(&request.fields, name) == text(&head.headers, name);
    let target = text(&request.fields, "async-target");
    let goes_there = match &target {
        Some(target) => head.target.as_ref().map(String::as_bytes) == Some(target),
        None => text(&request.fields, ":path").as_deref() == Some(head.path.as_bytes()),
    };
    of_both.iter().all(has_same) && goes_there && request.body == record.body
}
