//! Which records of a slot are valid, whoever reads them from wherever.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use stream_coordination::fold::{Folded, SlotFold};
use stream_coordination::record::{Change, Document, FrontId, Part, SlotBody, SlotRecord};

fn claim(epoch: u64, front: &str) -> Vec<u8> {
    let front = FrontId(front.to_owned());
    record(epoch, 0, SlotBody::Claim { front })
}

fn put(epoch: u64, seq: u64, json: &str) -> Vec<u8> {
    let change = Change::PutDocument(document(json));
    record(epoch, seq, SlotBody::Change(change))
}

fn document(json: &str) -> Document {
    let (kind, id) = ("pool".to_owned(), "one".to_owned());
    let json = json.to_owned();
    Document { kind, id, json }
}

fn record(epoch: u64, seq: u64, body: SlotBody) -> Vec<u8> {
    SlotRecord { epoch, seq, body }.bytes()
}

/// Returns a snapshot whose first record has this number.
fn snapshot(epoch: u64, of: u64, front: &str, json: &str) -> [Vec<u8>; 3] {
    let front = FrontId(front.to_owned());
    let part = Part {
        documents: vec![document(json)],
        ..Part::default()
    };
    let bodies = [
        SlotBody::SnapshotBegin { front },
        SlotBody::SnapshotPart { of, index: 0, part },
        SlotBody::SnapshotEnd { of, parts: 1 },
    ];
    let mut seq = of;
    bodies.map(|body| {
        seq += 1;
        record(epoch, seq - 1, body)
    })
}

/// Returns what a reader finds that begins at an offset.
fn read(log: &[Vec<u8>], from: usize) -> Option<Folded> {
    let end = u64::try_from(log.len()).unwrap();
    let mut fold = SlotFold::start(0, u64::try_from(from).unwrap(), end);
    for (offset, record) in (0..).zip(log).skip(from) {
        fold.apply(offset, record);
    }
    fold.known().cloned()
}

fn content(folded: &Folded) -> String {
    let documents = folded.state.documents();
    documents.map(|document| document.json.clone()).collect()
}

#[test]
fn the_first_claim_wins_and_its_front_alone_writes() {
    let log = [
        claim(1, "a"),
        claim(1, "b"),
        put(1, 1, "of a"),
        claim(3, "b"),
        claim(2, "b"),
        put(1, 2, "late"),
    ];
    let found = read(&log, 0).unwrap();
    assert_eq!(found.owner, Some(FrontId("b".to_owned())));
    assert_eq!((found.epoch, content(&found)), (2, "of a".to_owned()));
}

#[test]
fn late_copies_change_nothing() {
    let log = [
        claim(1, "a"),
        put(1, 1, "old"),
        put(1, 3, "new"),
        put(1, 1, "old"),
        put(1, 2, "never"),
        claim(1, "a"),
    ];
    assert_eq!(content(&read(&log, 0).unwrap()), "new");
}

#[test]
fn a_released_slot_takes_a_claim_and_nothing_else() {
    let log = [
        claim(1, "a"),
        put(1, 1, "kept"),
        record(1, 2, SlotBody::Release),
        put(1, 3, "late"),
    ];
    let found = read(&log, 0).unwrap();
    assert_eq!(
        (found.owner.clone(), content(&found)),
        (None, "kept".to_owned())
    );
}

#[test]
fn a_log_without_its_beginning_is_read_from_its_snapshot() {
    let mut log = vec![claim(1, "a"), put(1, 1, "one")];
    log.extend(snapshot(1, 2, "a", "one"));
    log.push(put(1, 5, "two"));
    let whole = read(&log, 0).unwrap();
    assert_eq!(whole.snapshot, Some((2, 4)));
    assert_eq!(read(&log, 2), Some(whole));
    assert_eq!(read(&log, 3), None, "half a snapshot is none");
}

#[test]
fn an_outdated_snapshot_is_not_trusted() {
    let mut log = vec![claim(1, "a"), put(1, 1, "old"), claim(2, "b")];
    let outdated = log.len();
    log.extend(snapshot(1, 2, "a", "old"));
    log.push(put(2, 1, "new"));
    log.extend(snapshot(2, 2, "b", "new"));
    log.push(record(2, 5, SlotBody::Renew));
    let whole = read(&log, 0).unwrap();
    assert_eq!(content(&whole), "new");
    for from in outdated..=outdated + 4 {
        assert_eq!(read(&log, from), Some(whole.clone()), "from {from}");
    }
}
