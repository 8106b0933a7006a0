//! Medians and percentiles.

/// Returns the value below which so many percent of a sorted list are; `None` for an empty list.
#[must_use]
pub fn percentile<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let index = sorted.len() * percent / 100;
    let last = sorted.len().saturating_sub(1);
    sorted.get(index.min(last)).copied()
}

/// Returns the value in the middle; `None` for an empty list.
#[must_use]
pub fn median<T: Copy + Ord>(mut values: Vec<T>) -> Option<T> {
    values.sort_unstable();
    percentile(&values, 50)
}

/// Returns the value in the middle of rates or ratios; NaN for an empty list.
#[must_use]
pub fn median_rate(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    percentile(&values, 50).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3, 1, 2]), Some(2));
        assert_eq!(median(Vec::<u8>::new()), None);
        assert!((median_rate(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!(median_rate(Vec::new()).is_nan());
    }

    #[test]
    fn a_percentile_never_leaves_the_list() {
        let all: Vec<usize> = (0..200).collect();
        let at = [0, 50, 99, 100].map(|percent| percentile(&all, percent));
        assert_eq!(at, [Some(0), Some(100), Some(198), Some(199)]);
    }
}
