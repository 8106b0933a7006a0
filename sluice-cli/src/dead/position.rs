//! Where a message stands.

use std::fmt;

/// The place of a message on the dead stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 0.
    pub partition: u32,
    /// Strictly increasing in a partition, not dense.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, offset } = self;
        write!(formatter, "partition {partition}, offset {offset}")
    }
}
