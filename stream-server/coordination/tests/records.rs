//! The format of the internal log, which other tools may read, is fixed; nothing in it can make a
//! reader fail.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use stream_coordination::record::{Change, FrontId, MemberRecord, SlotBody, SlotRecord};

#[test]
fn the_format_is_pinned() {
    let front = FrontId("a-5f3a".to_owned());
    let alive = MemberRecord::Alive {
        front: front.clone(),
        url: "http://10.0.0.7:8081".to_owned(),
    };
    let text = r#"{"v":1,"alive":{"front":"a-5f3a","url":"http://10.0.0.7:8081"}}"#;
    assert_eq!(String::from_utf8(alive.bytes()).unwrap(), text);
    assert_eq!(MemberRecord::read(text.as_bytes()), Some(alive));
    let commit = Change::Commit {
        group: 9,
        incarnation: 2,
        offsets: BTreeMap::from([(0, 41)]),
    };
    for (seq, body, text) in [
        (
            0,
            SlotBody::Claim { front },
            r#"{"v":1,"epoch":6,"seq":0,"body":{"claim":{"front":"a-5f3a"}}}"#,
        ),
        (
            1,
            SlotBody::Renew,
            r#"{"v":1,"epoch":6,"seq":1,"body":"renew"}"#,
        ),
        (
            2,
            SlotBody::Change(commit),
            concat!(
                r#"{"v":1,"epoch":6,"seq":2,"body":{"change":{"commit":"#,
                r#"{"group":9,"incarnation":2,"offsets":{"0":41}}}}}"#
            ),
        ),
    ] {
        let epoch = 6;
        let record = SlotRecord { epoch, seq, body };
        assert_eq!(String::from_utf8(record.bytes()).unwrap(), text);
        assert_eq!(SlotRecord::read(text.as_bytes()), Some(record));
    }
}

#[test]
fn what_is_not_understood_is_left_alone() {
    let good = br#"{"v":1,"epoch":6,"seq":1,"body":"renew","new":[1]}"#;
    assert!(SlotRecord::read(good).is_some(), "a field more is fine");
    let other_version = br#"{"v":2,"epoch":6,"seq":1,"body":"renew"}"#;
    let too_long = vec![b' '; 1_000_000];
    for bad in [&b""[..], b"{", b"\xff", b"null", other_version, &too_long] {
        assert_eq!(SlotRecord::read(bad), None);
        assert_eq!(MemberRecord::read(bad), None);
    }
    for at in 0..good.len() {
        for byte in 0..=255 {
            let mut changed = good.to_vec();
            changed[at] = byte;
            // It may mean something else, and must not fail.
            let _ = (SlotRecord::read(&changed), MemberRecord::read(&changed));
        }
    }
}
