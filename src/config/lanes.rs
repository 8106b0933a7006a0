//! The configuration of the lanes, the same for both roles.

use std::collections::BTreeSet;

use super::reader::Section;
use crate::lanes::{Lane, Lanes};

/// The most lanes of one document. Every drain reads every lane.
const LANES_MAX: usize = 16;

/// Reads the list `lanes`.
pub(super) fn read_lanes(root: &mut Section<'_>) -> Lanes {
    let meaning = "Streams on which calls wait that are not due yet; the same list in both roles. \
                   No streamId and no delayMs may stand there twice.";
    let lanes = root.list("lanes", LANES_MAX, meaning, |lane| Lane {
        stream_id: lane.required_text(
            "streamId",
            "OCID of a stream whose records all wait equally long, reached as `stream` is.",
        ),
        delay: lane.duration_ms(
            "delayMs",
            100..=302_400_000,
            1_000,
            "How long they wait. At most half of the stream's retention, so that a drain that was \
             away finds them still there.",
        ),
    });
    let ids = lanes.iter().map(|lane| lane.stream_id.as_str());
    let delays = lanes.iter().map(|lane| lane.delay);
    let distinct = ids
        .collect::<BTreeSet<_>>()
        .len()
        .min(delays.collect::<BTreeSet<_>>().len());
    if distinct < lanes.len() {
        let message = "must have no streamId and no delayMs twice".to_owned();
        root.refuse("lanes", message);
    }
    Lanes::new(lanes)
}
