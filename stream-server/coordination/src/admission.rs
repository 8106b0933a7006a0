//! Which changes a slot's owner takes. What fits the state is decided where the change stands in
//! the log; here are the bounds, and what a slot doesn't keep.

use crate::config::Config;
use crate::limits::{CHANGE_ITEMS_MAX, DOCUMENT_BYTES_MAX, NAME_BYTES_MAX};
use crate::record::Change;
use crate::state::{SlotState, WhyRefused};

/// Checks a change.
///
/// # Errors
/// Why it is refused.
pub(crate) fn check(slot: u32, change: &Change) -> Result<(), WhyRefused> {
    let is_name = |text: &str| (1..=NAME_BYTES_MAX).contains(&text.len());
    let is_label = |text: &Option<String>| text.as_deref().is_none_or(is_name);
    let (fits, is_control) = match change {
        Change::OpenGroup { name, starts, .. } => {
            (is_name(name) && starts.len() <= CHANGE_ITEMS_MAX, false)
        }
        Change::Commit { offsets, .. } => (offsets.len() <= CHANGE_ITEMS_MAX, false),
        Change::MoveGroup { starts, .. } => (starts.len() <= CHANGE_ITEMS_MAX, false),
        Change::UseGroups { groups, .. } | Change::ForgetGroups { groups, .. } => {
            (groups.len() <= CHANGE_ITEMS_MAX, false)
        }
        Change::CreateStream(stream) => {
            let labels = [&stream.compartment_id, &stream.stream_pool_id];
            let is_good = is_name(&stream.id) && is_name(&stream.name);
            (is_good && labels.into_iter().all(is_label), true)
        }
        Change::ActivateStream { topic_id, .. } => (is_label(topic_id), true),
        Change::DeleteStream { .. } | Change::ForgetStream { .. } => (true, true),
        Change::PutDocument(document) => {
            let is_good = is_name(&document.kind) && is_name(&document.id);
            (is_good && document.json.len() <= DOCUMENT_BYTES_MAX, true)
        }
        Change::DeleteDocument { kind, id } => (is_name(kind) && is_name(id), true),
    };
    match (fits, is_control && slot != 0) {
        (_, true) => Err(WhyRefused::WrongSlot),
        (false, false) => Err(WhyRefused::BadSize),
        (true, false) => Ok(()),
    }
}

/// Checks the limit of streams and partitions.
///
/// # Errors
/// Which limit is reached.
pub(crate) fn check_streams(
    state: &SlotState,
    change: &Change,
    config: &Config,
) -> Result<(), WhyRefused> {
    let Change::CreateStream(new) = change else {
        return Ok(());
    };
    let (streams_max, partitions_max) = (config.streams_max, config.partitions_max);
    if state.streams().count() >= streams_max {
        let text = format!("there are {streams_max} streams, which is the limit");
        return Err(WhyRefused::TooMany(text));
    }
    let streams = state.streams().map(|known| known.stream.partitions);
    let partitions: u64 = streams.map(u64::from).sum();
    if partitions.saturating_add(u64::from(new.partitions)) > partitions_max {
        let text = format!("all streams together may have {partitions_max} partitions");
        return Err(WhyRefused::TooMany(text));
    }
    Ok(())
}
