//! Finds what is in a segment by reading all of it: at the start for the last segment, and for
//! others if their index is missing or they are few enough to be checked.

use bytes::Bytes;

use super::frame::{Frame, HEADER_BYTES, Header, MAGIC};
use super::index::{Contents, Entry};
use super::segment::{HEAD_BYTES, read_head};

/// What is known of a segment before it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) number: u64,
    /// The commit that it has to begin with, unless it is the very first segment.
    pub(super) first_commit: Option<u64>,
    /// Everything before this position is certainly durable; 0 if nothing is known.
    pub(super) durable_end: u64,
    /// Whether nothing is written to it any more, so that its end can't be torn.
    pub(super) is_sealed: bool,
}

/// Acknowledged messages that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is damaged at byte {position}: {problem}")]
pub(super) struct Damage {
    pub(super) position: usize,
    pub(super) problem: String,
}

/// Returns the frames of all complete commits. What comes after [`Contents::end`] was never
/// acknowledged: zeros, or a commit that is torn because the machine or the process stopped in it.
///
/// # Errors
/// [`Damage`] if something acknowledged is unreadable: a later commit follows, and each is begun
/// only after the one before it was durable; or it is known to have been durable.
pub(super) fn scan(bytes: &Bytes, known: Known) -> Result<Contents, Damage> {
    let damage = |position, problem: &str| Damage {
        position,
        problem: problem.to_owned(),
    };
    let head = read_head(bytes).filter(|(number, _)| *number == known.number);
    let (_, first_commit) = head.ok_or_else(|| damage(0, "this is not its beginning"))?;
    if known
        .first_commit
        .is_some_and(|first| first != first_commit)
    {
        return Err(damage(0, "it does not go on where the file before it ends"));
    }
    let mut contents = Contents {
        first_commit,
        next_commit: first_commit,
        end: u32::try_from(HEAD_BYTES).unwrap_or(0),
        ..Contents::default()
    };
    let stopped = take_commits(bytes, &mut contents);
    let end = usize::try_from(contents.end).unwrap_or(usize::MAX);
    let rest = bytes.get(end..).unwrap_or_default();
    let is_empty = rest.iter().all(|byte| *byte == 0);
    if known.is_sealed && !is_empty {
        return Err(damage(stopped, "the checksum is wrong"));
    }
    if u64::from(contents.end) < known.durable_end {
        return Err(damage(stopped, "messages are missing"));
    }
    if !is_empty && has_later_commit(rest, contents.next_commit) {
        let problem = "the checksum is wrong, and later messages follow";
        return Err(damage(stopped, problem));
    }
    Ok(contents)
}

/// Takes commits as long as they are complete. Returns the position of what could not be read.
fn take_commits(bytes: &Bytes, contents: &mut Contents) -> usize {
    let mut position = usize::try_from(contents.end).unwrap_or(usize::MAX);
    let mut frames: Vec<(Header, Entry)> = Vec::new();
    while position < bytes.len() {
        let Some(frame) = Frame::decode(&bytes.slice(position..)) else {
            break;
        };
        let header = frame.header;
        let goes_on = frames
            .last()
            .is_none_or(|(last, _)| last.left.checked_sub(1) == Some(header.left));
        if header.commit != contents.next_commit || !goes_on {
            break;
        }
        let length =
            HEADER_BYTES.saturating_add(usize::try_from(header.payload_bytes).unwrap_or(0));
        let end = position.saturating_add(length);
        let place = (u32::try_from(position), u32::try_from(length));
        let (Ok(start), Ok(length), Ok(next)) = (place.0, place.1, u32::try_from(end)) else {
            break;
        };
        frames.push((header, Entry::new(&header, start, length)));
        position = end;
        if header.left == 0 {
            for (header, entry) in frames.drain(..) {
                contents.places.entry(header.place).or_default().push(entry);
            }
            contents.next_commit = contents.next_commit.saturating_add(1);
            contents.end = next;
        }
    }
    position
}

/// Returns whether a frame of a commit after this one begins anywhere in these bytes.
fn has_later_commit(bytes: &[u8], torn: u64) -> bool {
    memchr::memmem::find_iter(bytes, &MAGIC)
        .filter_map(|at| Header::decode(bytes.get(at..)?))
        .any(|header| header.commit > torn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition_log::Stamp;
    use crate::store::frame::CommitBuffer;
    use crate::store::segment::head;
    use crate::time::TimeMs;

    const KNOWN: Known = Known {
        number: 1,
        first_commit: Some(1),
        durable_end: 0,
        is_sealed: false,
    };

    /// Returns a segment of three commits, the last with two frames; and where each commit begins.
    fn segment() -> (Vec<u8>, Vec<usize>) {
        let mut bytes = head(1, 1).to_vec();
        let mut starts = Vec::new();
        for commit in 1..=3_u64 {
            let mut buffer = CommitBuffer::default();
            let stamp = Stamp {
                offset: commit - 1,
                time: TimeMs(commit),
            };
            buffer.push((1, 0), stamp, Some(b"key"), b"value");
            if commit == 3 {
                let offset = 0;
                buffer.push((1, 1), Stamp { offset, ..stamp }, None, b"other");
            }
            buffer.finish(commit);
            starts.push(bytes.len());
            bytes.extend_from_slice(buffer.bytes());
        }
        starts.push(bytes.len());
        (bytes, starts)
    }

    fn commits(bytes: &[u8], known: Known) -> Result<u64, Damage> {
        let contents = scan(&Bytes::copy_from_slice(bytes), known)?;
        Ok(contents.next_commit - contents.first_commit)
    }

    #[test]
    fn a_torn_last_commit_is_cut_off_wherever_it_is_torn() {
        let (whole, starts) = segment();
        assert_eq!(commits(&whole, KNOWN), Ok(3));
        for end in starts[2]..whole.len() {
            assert_eq!(commits(&whole[..end], KNOWN), Ok(2), "cut at {end}");
            // As it is in a file that was longer before.
            let mut torn = whole.clone();
            torn[end..].fill(0);
            torn.resize(whole.len() + 100, 0);
            let expected = if torn[..whole.len()] == whole { 3 } else { 2 };
            assert_eq!(commits(&torn, KNOWN), Ok(expected), "zeros from {end}");
        }
        // The system may write the end of it first.
        let mut torn = whole.clone();
        torn[starts[2]..starts[2] + 20].fill(0);
        assert_eq!(commits(&torn, KNOWN), Ok(2));
    }

    #[test]
    fn damage_before_a_later_commit_is_told_with_its_position() {
        let (whole, starts) = segment();
        for at in 0..starts[2] {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            let found = commits(&damaged, KNOWN);
            let expected = match at {
                // Bytes of the head that nobody looks at.
                28..32 => {
                    assert_eq!(found, Ok(3));
                    continue;
                }
                _ => starts.iter().rev().find(|start| **start <= at).copied(),
            };
            assert_eq!(found.unwrap_err().position, expected.unwrap_or(0), "{at}");
        }
    }

    #[test]
    fn what_is_known_to_be_durable_is_never_taken_for_torn() {
        let (whole, starts) = segment();
        let sealed = Known {
            is_sealed: true,
            ..KNOWN
        };
        let stopped = Known {
            durable_end: whole.len() as u64,
            ..KNOWN
        };
        for known in [sealed, stopped] {
            assert_eq!(commits(&whole, known), Ok(3));
            for at in starts[2]..whole.len() {
                let mut damaged = whole.clone();
                damaged[at] ^= 1;
                assert!(commits(&damaged, known).is_err(), "{at}");
            }
        }
        assert!(commits(&whole[..starts[2]], stopped).is_err());
    }
}
