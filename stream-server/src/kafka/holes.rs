//! Offsets that are left out of what comes of a log.

use std::ops::Range;

/// Returns the first offsets that are left out of a log from `from` on: the one that had to come,
/// and the one that came. `next` is the offset that comes next, if it is known beside the records.
///
/// A log that is cut while its records are fetched has its hole anywhere: librdkafka goes on at the
/// log's new start by itself, and puts those records behind the ones that it has already.
pub(super) fn first_hole(
    from: u64,
    offsets: impl Iterator<Item = u64>,
    next: Option<u64>,
) -> Option<Range<u64>> {
    let mut expected = from;
    for offset in offsets {
        if offset != expected {
            return Some(expected..offset);
        }
        expected = offset.saturating_add(1);
    }
    next.filter(|next| *next > expected)
        .map(|next| expected..next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(
        clippy::reversed_empty_ranges,
        reason = "an offset may be lower than the expected one"
    )]
    fn a_hole_is_found_wherever_it_is() {
        let hole = |from, offsets: &[u64], next| first_hole(from, offsets.iter().copied(), next);
        assert_eq!(hole(5, &[5, 6, 7], None), None);
        assert_eq!(hole(5, &[5, 6, 7], Some(8)), None);
        assert_eq!(
            hole(5, &[5, 6, 7], Some(6)),
            None,
            "told before the records"
        );
        assert_eq!(hole(5, &[7, 8], None), Some(5..7));
        assert_eq!(hole(5, &[5, 6, 9, 10], None), Some(7..9), "between records");
        assert_eq!(hole(5, &[5, 6], Some(9)), Some(7..9), "behind the last one");
        assert_eq!(hole(5, &[], Some(9)), Some(5..9), "nothing is left");
        assert_eq!(hole(5, &[2], None), Some(5..2), "made anew");
    }
}
