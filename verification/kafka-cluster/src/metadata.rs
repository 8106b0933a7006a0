//! Asks a broker what it knows of its cluster: which brokers live, which partitions lack replicas,
//! which broker is the active controller.

use std::io;

use crate::wire::{Answer, Request, ask, unreadable};

/// Kafka's `Metadata`, version 1.
const METADATA: (u16, u16) = (3, 1);
/// Kafka's `DescribeQuorum`, version 0.
const DESCRIBE_QUORUM: (u16, u16) = (55, 0);
/// The topic that the controllers agree by.
const CONTROLLERS_TOPIC: &str = "__cluster_metadata";

/// What a broker knows of its cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Brokers that live.
    pub brokers: u32,
    /// Partitions of all topics.
    pub partitions: u32,
    /// Of these, those that lack a leader or replicas in sync.
    pub short: u32,
}

/// Returns how many live brokers the broker on this port knows, itself among them.
///
/// # Errors
/// When it doesn't answer, or not like Kafka.
pub fn brokers_known_to(port: u16) -> io::Result<u32> {
    known_to(port).map(|known| known.brokers)
}

/// Returns what the broker on this port knows of its cluster.
///
/// # Errors
/// When it doesn't answer, or not like Kafka.
pub fn known_to(port: u16) -> io::Result<Known> {
    let (operation, version) = METADATA;
    let request = Request {
        operation,
        version,
        is_flexible: false,
        // All topics.
        body: (-1_i32).to_be_bytes().to_vec(),
    };
    known(Answer(&ask(port, &request)?)).ok_or_else(unreadable)
}

/// Returns the number of the broker that is the active controller, as the broker on this port knows
/// it: 1 for the first broker.
///
/// # Errors
/// When it doesn't answer, or knows none.
pub fn controller_known_to(port: u16) -> io::Result<u32> {
    let (operation, version) = DESCRIBE_QUORUM;
    let mut body = vec![2];
    body.push(
        u8::try_from(CONTROLLERS_TOPIC.len())
            .unwrap_or(0)
            .saturating_add(1),
    );
    body.extend(CONTROLLERS_TOPIC.bytes());
    // One partition, number 0; and no tagged fields of anything.
    body.extend([2, 0, 0, 0, 0, 0, 0, 0]);
    let request = Request {
        operation,
        version,
        is_flexible: true,
        body,
    };
    leader(Answer(&ask(port, &request)?)).ok_or_else(unreadable)
}

fn known(mut answer: Answer<'_>) -> Option<Known> {
    let mut known = Known::default();
    let brokers = answer.count()?;
    known.brokers = u32::try_from(brokers).ok()?;
    for _ in 0..brokers {
        let _number = answer.i32()?;
        answer.skip_text()?;
        let _port = answer.i32()?;
        answer.skip_text()?;
    }
    let _controller = answer.i32()?;
    for _ in 0..answer.count()? {
        let _error = answer.i16()?;
        answer.skip_text()?;
        let _is_internal = answer.u8()?;
        for _ in 0..answer.count()? {
            let is_whole = partition(&mut answer)?;
            known.partitions = known.partitions.saturating_add(1);
            known.short = known.short.saturating_add(u32::from(!is_whole));
        }
    }
    Some(known)
}

/// Returns whether a partition has a leader, and all of its replicas are in sync.
fn partition(answer: &mut Answer<'_>) -> Option<bool> {
    let error = answer.i16()?;
    let _number = answer.i32()?;
    let _leader = answer.i32()?;
    let mut numbers = || {
        let count = answer.count()?;
        for _ in 0..count {
            let _broker = answer.i32()?;
        }
        Some(count)
    };
    let (replicas, in_sync) = (numbers()?, numbers()?);
    Some(error == 0 && in_sync >= replicas)
}

fn leader(mut answer: Answer<'_>) -> Option<u32> {
    let _tagged = answer.compact()?;
    let error = answer.i16()?;
    let _topics = answer.compact()?;
    answer.skip_compact_text()?;
    let _partitions = answer.compact()?;
    let _number = answer.i32()?;
    let partition_error = answer.i16()?;
    let leader = answer.i32()?;
    let is_good = error == 0 && partition_error == 0;
    u32::try_from(leader).ok().filter(|_| is_good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(in_sync: &[i32]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend([0, 0, 0, 1]);
        bytes.extend([0, 0, 0, 1, 0, 1, b'h', 0, 0, 0, 9, 255, 255]);
        bytes.extend([0, 0, 0, 1]);
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 1, b't', 0, 0, 0, 0, 1]);
        bytes.extend([0, 0, 0, 0, 0, 3, 0, 0, 0, 1]);
        bytes.extend([0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
        bytes.extend(u32::try_from(in_sync.len()).unwrap_or(0).to_be_bytes());
        bytes.extend(in_sync.iter().flat_map(|one| one.to_be_bytes()));
        bytes
    }

    #[test]
    fn brokers_and_replicas_are_counted() {
        let told = |short| Known {
            brokers: 1,
            partitions: 1,
            short,
        };
        assert_eq!(known(Answer(&metadata(&[1, 2]))), Some(told(0)));
        assert_eq!(known(Answer(&metadata(&[1]))), Some(told(1)));
        let cut = metadata(&[1, 2]);
        let cut = cut.split_last().map(|(_, cut)| cut).unwrap_or_default();
        assert_eq!(known(Answer(cut)), None);
    }

    #[test]
    fn the_controller_is_read() {
        let told = |error| {
            let mut bytes = vec![0, 0, error, 2, 2, b't', 2, 0, 0, 0, 0, 0, 0];
            bytes.extend([0, 0, 0, 3, 0, 0, 0, 9]);
            leader(Answer(&bytes))
        };
        assert_eq!(told(0), Some(3));
        assert_eq!(told(1), None);
    }
}
