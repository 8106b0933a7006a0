//! What the table knows of a key.

use serde::{Deserialize, Serialize};

use crate::id::Position;
use crate::idempotency::fingerprint::Fingerprint;
use crate::idempotency::key::{KeyHash, KeyHolder};
use crate::receipt::Receipt;
use crate::time::Wall;

/// Keys in one slot.
pub const KEYS_PER_SLOT: usize = 8;

/// What a slot says about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The key is unused. It is claimed now, and the slot has to be written.
    First,
    /// The same request is being published by another worker.
    InProgress,
    /// The same request has been accepted. The position is that of its call, if it was stored by
    /// then.
    Accepted(Receipt, Option<Position>),
    /// Another request has this key.
    Other,
}

/// The keys of one slot.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Slot(Vec<Entry>);

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    key: KeyHash,
    /// The call that has the key.
    call_id: String,
    request: Fingerprint,
    /// When it is forgotten.
    until: Wall,
    /// Absent while the call is being published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accepted: Option<(Receipt, Option<Position>)>,
}

impl Entry {
    fn is_held_by(&self, holder: &KeyHolder) -> bool {
        (&self.key, &self.call_id) == (&holder.key, &holder.call_id)
    }
}

impl Slot {
    /// Reads a slot. An empty or unreadable slot counts as empty.
    #[must_use]
    pub fn read(bytes: Option<&[u8]>) -> Self {
        bytes
            .and_then(|bytes| serde_json::from_slice(bytes).ok())
            .unwrap_or_default()
    }

    /// Returns the bytes of the slot.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        // This can't fail: there are only strings and numbers in it.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Claims a key for a request until `until`, if the key is free. If the slot is full, the key
    /// that would be forgotten first is forgotten now.
    pub fn claim(
        &mut self,
        holder: &KeyHolder,
        request: &Fingerprint,
        now: Wall,
        until: Wall,
    ) -> Claim {
        let key = &holder.key;
        self.0.retain(|entry| entry.until > now);
        if let Some(entry) = self.0.iter().find(|entry| entry.key == *key) {
            return match &entry.accepted {
                _ if entry.request != *request => Claim::Other,
                Some((receipt, position)) => Claim::Accepted(receipt.clone(), *position),
                None => Claim::InProgress,
            };
        }
        if self.0.len() >= KEYS_PER_SLOT {
            let soonest = (0..).zip(&self.0).min_by_key(|(_, entry)| entry.until);
            if let Some(index) = soonest.map(|(index, _)| index) {
                self.0.remove(index);
            }
        }
        self.0.push(Entry {
            key: key.clone(),
            call_id: holder.call_id.clone(),
            request: request.clone(),
            until,
            accepted: None,
        });
        Claim::First
    }

    /// The call of a claimed key was accepted: the key is known until `until`.
    pub fn accept(
        &mut self,
        holder: &KeyHolder,
        receipt: &Receipt,
        position: Option<Position>,
        until: Wall,
    ) {
        let entry = self.0.iter_mut().find(|entry| entry.is_held_by(holder));
        if let Some(entry) = entry {
            entry.accepted = Some((receipt.clone(), position));
            entry.until = until;
        }
    }

    /// The call was not accepted, or has ended as a dead letter: the key is free.
    pub fn release(&mut self, holder: &KeyHolder) {
        self.0.retain(|entry| !entry.is_held_by(holder));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::{CallerIdentity, CallerSecret};
    use crate::idempotency::Asked;

    fn secret() -> CallerSecret {
        CallerSecret::of(b"s")
    }

    fn key(key: &str, address: &str) -> KeyHash {
        let caller = secret().caller(&CallerIdentity::of_address(address));
        KeyHash::new(&secret(), caller, key)
    }

    fn asked(options: &[(&'static str, &'static str)]) -> Asked {
        Asked::of(
            options
                .iter()
                .map(|(option, value)| (*option, value.as_bytes())),
        )
    }

    fn holder(name: &str, call_id: &str) -> KeyHolder {
        KeyHolder {
            key: key(name, "me"),
            call_id: call_id.to_owned(),
        }
    }

    fn request(path: &str, body: &str) -> Fingerprint {
        Fingerprint::new(
            &secret(),
            ["POST", "", path],
            Asked::default(),
            body.as_bytes(),
        )
    }

    fn receipt() -> (Receipt, Option<Position>) {
        let text = |text: &str| text.to_owned();
        let receipt = Receipt {
            id: text("c1"),
            correlation_id: text("c1"),
            accepted_at: text("then"),
            deliver_at: text("then"),
        };
        let position = Position {
            partition: 1,
            offset: 7,
        };
        (receipt, Some(position))
    }

    #[test]
    fn a_key_belongs_to_whoever_sent_it() {
        assert_eq!(key("a", "me"), key("a", "me"));
        assert_ne!(key("a", "me"), key("a", "you"));
        assert_ne!(key("a", "me"), key("b", "me"));
        assert_eq!(KeyHash::parse(&key("a", "me").0), Some(key("a", "me")));
        for bad in ["", "x", &"g".repeat(32), &"A".repeat(32), &"a".repeat(33)] {
            assert_eq!(KeyHash::parse(bad), None, "{bad}");
        }
        assert!(key("a", "me").slot(10) < 10);
        assert_eq!(key("a", "me").slot(0), 0);
    }

    #[test]
    fn nobody_knows_where_a_key_stands_who_has_not_the_secret() {
        let other = CallerSecret::of(b"another process");
        let caller = other.caller(&CallerIdentity::of_address("me"));
        assert_ne!(KeyHash::new(&other, caller, "a"), key("a", "me"));
    }

    #[test]
    fn when_and_who_belongs_to_a_request() {
        let plain = asked(&[]);
        let several = [
            asked(&[("delay", "5m")]),
            asked(&[("delay", "6m")]),
            asked(&[("delay", "5m"), ("replyTo", "/in")]),
            asked(&[("failureTo", "/in")]),
            asked(&[("replyTo", "/in")]),
            plain,
        ];
        let print = |asked| Fingerprint::new(&secret(), [""; 3], asked, b"").0;
        let different: std::collections::BTreeSet<_> = several.map(print).into();
        assert_eq!(different.len(), several.len());
    }

    #[test]
    fn a_slot_tells_the_first_the_same_and_another_apart() {
        let (mine, until) = (holder("a", "c1"), Wall(100));
        let mut slot = Slot::default();
        let first = request("/a", "x");
        assert_eq!(slot.claim(&mine, &first, Wall(0), until), Claim::First);
        assert_eq!(slot.claim(&mine, &first, Wall(1), until), Claim::InProgress);
        let other = request("/a", "y");
        assert_eq!(slot.claim(&mine, &other, Wall(1), until), Claim::Other);
        let (receipt, position) = receipt();
        slot.accept(&mine, &receipt, position, Wall(1_000));
        let mut slot = Slot::read(Some(&slot.bytes()));
        assert_eq!(
            slot.claim(&mine, &first, Wall(999), until),
            Claim::Accepted(receipt, position)
        );
        assert_eq!(
            slot.claim(&mine, &first, Wall(1_000), Wall(2_000)),
            Claim::First,
            "the window is over"
        );
        slot.release(&mine);
        assert_eq!(slot.claim(&mine, &other, Wall(1_001), until), Claim::First);
    }

    #[test]
    fn a_call_that_has_lost_its_key_does_not_take_it_from_another() {
        let (lost, has, until) = (holder("a", "c0"), holder("a", "c1"), Wall(100));
        let mut slot = Slot::default();
        let same = request("/a", "x");
        assert_eq!(slot.claim(&has, &same, Wall(0), until), Claim::First);
        let (receipt, position) = receipt();
        slot.release(&lost);
        slot.accept(&lost, &receipt, position, until);
        let next = holder("a", "c2");
        assert_eq!(slot.claim(&next, &same, Wall(1), until), Claim::InProgress);
        slot.accept(&has, &receipt, position, until);
        slot.release(&lost);
        let accepted = Claim::Accepted(receipt, position);
        assert_eq!(slot.claim(&next, &same, Wall(1), until), accepted);
    }

    #[test]
    fn a_holder_is_read_as_it_was_written() {
        let holder = holder("a", "any id");
        assert_eq!(KeyHolder::parse(&holder.to_text()), Some(holder));
        for bad in ["", "x", "x c1", &key("a", "me").0] {
            assert_eq!(KeyHolder::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_slot_is_bounded_and_forgets_the_oldest() {
        let mut slot = Slot::default();
        for number in 0..100 {
            let name = number.to_string();
            let until = Wall(1_000 + number);
            slot.claim(&holder(&name, "c1"), &request("/", ""), Wall(0), until);
        }
        assert_eq!(slot.0.len(), KEYS_PER_SLOT);
        let again = slot.claim(&holder("99", "c2"), &request("/", ""), Wall(0), Wall(9));
        assert_eq!(again, Claim::InProgress);
        let again = slot.claim(&holder("0", "c2"), &request("/", ""), Wall(0), Wall(9));
        assert_eq!(again, Claim::First);
        assert_eq!(Slot::read(Some(b"rubbish")).0.len(), 0);
    }

    #[test]
    fn parts_cannot_run_into_each_other() {
        assert_ne!(request("/ab", "c"), request("/a", "bc"));
        let all = request("/a", "b");
        assert_eq!(all, request("/a", "b"));
    }
}
