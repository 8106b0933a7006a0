//! Which slot a group belongs to, and which front should own a slot.

use crate::record::FrontId;

/// The bits of a group's key that are an offset.
const OFFSET_BITS: u32 = 56;

/// Returns the slot of a stream's group. It never changes.
#[must_use]
pub fn slot_of_group(stream: u64, name: &str, slots: u32) -> u32 {
    let hash = mix(hash(hash(SEED, &stream.to_be_bytes()), name.as_bytes()));
    u32::try_from((hash >> 32).saturating_mul(u64::from(slots)) >> 32).unwrap_or(0)
}

/// Returns the slot that keeps the group with this key.
#[must_use]
pub fn slot_of_key(group: u64) -> u32 {
    u32::try_from(group >> OFFSET_BITS).unwrap_or(u32::MAX)
}

/// Returns the key of a group that was created at this offset of this slot.
#[must_use]
pub fn group_key(slot: u32, offset: u64) -> u64 {
    let offset = offset & (u64::MAX >> (u64::BITS - OFFSET_BITS));
    (u64::from(slot) << OFFSET_BITS) | offset
}

/// Returns the fronts by who should own the slot, the first candidate first (rendezvous hashing: a
/// front that comes or goes moves no slot between two others). A URL counts, and not a life, so
/// that a front that comes back gets its slots back.
#[must_use]
pub fn ranked<'a>(
    slot: u32,
    fronts: impl Iterator<Item = (&'a FrontId, &'a str)>,
) -> Vec<&'a FrontId> {
    let weight = |url: &str| mix(hash(hash(SEED, &slot.to_be_bytes()), url.as_bytes()));
    let mut ranked: Vec<_> = fronts.map(|(id, url)| (weight(url), id)).collect();
    ranked.sort_unstable_by(|one, other| other.cmp(one));
    ranked.into_iter().map(|(_, id)| id).collect()
}

/// The offset basis of FNV-1a, 64 bits.
const SEED: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bits.
fn hash(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// `MurmurHash3`'s 64-bit finalizer: FNV leaves the high bits of short keys alike.
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
