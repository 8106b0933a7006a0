//! Operations of clients.

use stream_server::group::{Commit, GroupCursor};

use crate::cluster::Life;

/// A cursor as a client keeps it.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    /// The ownership of the slot in which it was issued.
    pub(super) epoch: u64,
    /// What it says.
    pub(super) cursor: GroupCursor,
}

/// What a client is told.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// It goes on with this cursor.
    Cursor(Cursor),
    /// Its cursor is invalid.
    CursorInvalid,
    /// It is done.
    Done,
    /// It can't be done now, or nobody knows whether it is done.
    Failed,
}

/// What a client wants.
#[derive(Clone, Debug)]
pub(super) enum Want {
    /// A cursor of a stream's group.
    Join(u64, String),
    /// Messages.
    Get(Cursor),
    /// To commit what it has read.
    Commit(Cursor),
    /// A stream's group at other offsets.
    Move(u64, String),
    /// A stream's group forgotten.
    Forget(u64, String),
    /// A document with this content.
    Put(u64),
    /// A stream.
    Create(u64),
    /// A stream deleted.
    Delete(u64),
}

/// An operation of a client.
pub(super) struct Op {
    pub(super) client: usize,
    pub(super) want: Want,
    /// The front that serves it, the slot, and the ownership.
    pub(super) by: Option<(Life, u32, u64)>,
    /// The cursor of the group, and what is committed on the way.
    pub(super) group: Option<(GroupCursor, Commit)>,
    /// Whether the client doesn't wait for it.
    pub(super) is_stray: bool,
}

impl Op {
    pub(super) fn new(client: usize, want: Want) -> Self {
        Self {
            client,
            want,
            by: None,
            group: None,
            is_stray: false,
        }
    }
}
