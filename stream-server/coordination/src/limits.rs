//! Every bound of the coordination, with its unit in its name and the reason for its value.

/// Bytes of one record. Kafka's clients and brokers refuse records above a million bytes by
/// default.
pub const RECORD_BYTES_MAX: usize = 900_000;
/// Bytes of all records of one write. Kafka bounds its batches as it bounds its records.
pub const WRITE_BYTES_MAX: usize = 900_000;
/// Records of one write.
pub const WRITE_RECORDS_MAX: usize = 500;
/// Bytes of one part of a snapshot, so that requests which wait have room beside it.
pub const SNAPSHOT_PART_BYTES: usize = 250_000;
/// Requests of one slot that wait to be written. More are refused.
pub const WAITING_REQUESTS_MAX: usize = 10_000;
/// Fronts that are remembered. Those that were silent for longest are forgotten first.
pub const FRONTS_MAX: usize = 1_000;
/// Characters of a front's id and of its URL.
pub const FRONT_CHARS_MAX: usize = 512;
/// Bytes of each name and id within a change.
pub const NAME_BYTES_MAX: usize = 4_096;
/// Groups of one change, and partitions of one group, so that the group's state fits a record too.
pub const CHANGE_ITEMS_MAX: usize = 10_000;
/// Bytes of a document. As JSON within JSON each may take six.
pub const DOCUMENT_BYTES_MAX: usize = 131_072;
/// Slots of a cluster: the upper 8 bits of a group's key.
pub const SLOTS_MAX: u32 = 256;
