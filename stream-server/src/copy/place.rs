//! Where a group stands at the source, and where it has to stand at the destination.

use sluice_cli::stream::Reservation;

use super::copied::Copied;
use super::job::Job;

/// Where a group stands in one partition of the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// The first offset that isn't committed; `None` if the source doesn't tell.
    pub(super) next: Option<u64>,
}

impl Standing {
    pub(super) fn of(line: &Reservation) -> Self {
        let after = |offset: u64| offset.saturating_add(1);
        Self {
            next: line.next_offset.or(line.committed_offset.map(after)),
        }
    }

    /// Returns the last committed offset.
    pub(super) fn committed(self) -> Option<u64> {
        self.next?.checked_sub(1)
    }

    /// Returns why nobody knows where the group has to go on.
    pub(super) fn problem(self, job: &Job, is_filled: bool) -> Option<String> {
        let is_unknown = self.next.is_none() && is_filled && !job.from_oldest;
        is_unknown.then(|| {
            "it has messages, and the source tells no commit: the group may stand anywhere, if it \
             was moved, or created at the latest message. If it has to begin with the oldest \
             message, say --from-oldest"
                .to_owned()
        })
    }
}

/// Where a group has to stand in one partition of the destination: the last committed offset there,
/// `None` to begin with the oldest message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// Here.
    At(Option<u64>),
    /// The source no longer has what the group has committed last, and the offsets between may have
    /// had gaps. The first place repeats some calls then, and none is beyond the second one.
    Between(Option<u64>, u64),
    /// Nobody can tell, but it isn't beyond this one.
    Unknown(u64),
    /// The destination no longer has the messages that the group has to go on with.
    Gone,
}

impl Goal {
    pub(super) fn of(part: &Copied, standing: Standing) -> Self {
        let Some(committed) = standing.committed() else {
            return Self::At(None);
        };
        if let Some(copy) = part.offsets.copy_of(committed) {
            return Self::At(Some(copy));
        }
        // Whatever the group has committed, the copy never had.
        let Some((oldest, last)) = part.skipped.offsets else {
            return Self::At(None);
        };
        // The copy of the source's offset `source` is `copy`, or will be.
        let known = part.skipped.source_end.zip(last.checked_add(1));
        let Some((source, copy)) = part.offsets.first().or(known) else {
            return Self::Unknown(last);
        };
        let at_most = copy.saturating_sub(1);
        let back = source.saturating_sub(committed);
        match copy.checked_sub(back) {
            Some(copy) if copy >= oldest => Self::Between(Some(copy), at_most),
            Some(copy) if copy.saturating_add(1) == oldest => Self::Between(None, at_most),
            // The copy began behind it.
            Some(_) | None if oldest == 0 => Self::Between(None, at_most),
            Some(_) | None => Self::Gone,
        }
    }

    /// Returns the place, as far as it is known.
    pub(super) fn offset(self) -> Option<u64> {
        match self {
            Self::At(offset) | Self::Between(offset, _) => offset,
            Self::Unknown(_) | Self::Gone => None,
        }
    }

    /// Returns the place of a group that stands at `there` already.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn with(self, there: Option<u64>) -> Result<Option<u64>, &'static str> {
        match (self, there) {
            (Self::At(offset), _) => Ok(offset),
            // An earlier copy has put it there, when the source still had the message.
            (Self::Between(offset, at_most), Some(there))
                if offset.is_none_or(|offset| offset <= there) && there <= at_most =>
            {
                Ok(Some(there))
            }
            (Self::Between(offset, _), _) => Ok(offset),
            (Self::Unknown(at_most), Some(there)) if there <= at_most => Ok(Some(there)),
            (Self::Unknown(_), _) => Err(
                "the source has lost all of its messages, and nobody can tell which of the copies \
                 come next. Nothing was deleted: the destination may have the only copy",
            ),
            (Self::Gone, _) => Err(
                "the destination no longer has the message that the group has to go on with: its \
                 retention has removed it",
            ),
        }
    }
}
