//! How long things took, as many as there are, in a bounded place.
//!
//! ```text
//! bucket   0  1 … 127 │ 128      129      … 191        │ 192      193      …   up to 1727
//! ms       0  1 … 127 │ 128–129  130–131  … 254–255    │ 256–259  260–263  …   2^32 - 1, 49 days
//! ```
//!
//! Below 128 each millisecond has its own bucket. Above, each power of two has 64 of one width, and a time is taken for the
//! middle of its bucket. That is off by half a width at most, 1/128 of where the bucket begins: less than 0.8 %. Whole numbers
//! only, so that it comes out the same everywhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Times below this have a bucket each.
const EXACT: u64 = 128;
/// Buckets of a power of two: 2 to the power of this.
const PARTS_LOG2: u32 = 6;
const PARTS: u64 = 1 << PARTS_LOG2;
/// Longer times are taken for this one.
pub(crate) const MS_MAX: u64 = u32::MAX as u64;

/// How many times there are, by bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Histogram(BTreeMap<u16, u64>);

impl Histogram {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn add(&mut self, ms: u64) {
        let count = self.0.entry(bucket(ms)).or_default();
        *count = count.saturating_add(1);
    }

    /// What `percent` of 100 times took no longer than: the time with that rank, the smallest being 1. None without any.
    pub(crate) fn quantile(&self, percent: u64) -> Option<u64> {
        let count = self.0.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
        // In 128 bits, since a hundred times as many may not fit 64.
        let rank = (u128::from(count) * u128::from(percent)).div_ceil(100).max(1);
        let mut seen = 0;
        self.0.iter().find_map(|(bucket, count)| {
            seen += u128::from(*count);
            (seen >= rank).then(|| middle(*bucket))
        })
    }
}

fn bucket(ms: u64) -> u16 {
    let ms = ms.min(MS_MAX);
    if ms < EXACT {
        return u16::try_from(ms).unwrap_or_default();
    }
    let power = ms.ilog2();
    let part = (ms >> (power - PARTS_LOG2)) & (PARTS - 1);
    let bucket = EXACT + u64::from(power - EXACT.ilog2()) * PARTS + part;
    u16::try_from(bucket).unwrap_or(u16::MAX)
}

fn middle(bucket: u16) -> u64 {
    let Some(above) = u64::from(bucket).checked_sub(EXACT) else { return u64::from(bucket) };
    // Buckets that are none, of a state that somebody else wrote, are the last one.
    let power = (EXACT.ilog2() + u32::try_from(above / PARTS).unwrap_or(u32::MAX)).min(MS_MAX.ilog2());
    let width = 1 << (power - PARTS_LOG2);
    (PARTS + above % PARTS) * width + width / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(times: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        times.iter().for_each(|ms| histogram.add(*ms));
        histogram
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let edges = (0..32).flat_map(|power| [(1_u64 << power) - 1, 1 << power, (1 << power) + 1]);
        for ms in (0..100_000).chain(edges) {
            let step = bucket(ms + 1) - bucket(ms);
            assert!(step <= 1, "{ms} ms are in bucket {}, and one more is {step} on", bucket(ms));
        }
        assert_eq!((bucket(0), bucket(127), bucket(128), bucket(MS_MAX), bucket(u64::MAX)), (0, 127, 128, 1727, 1727));
    }

    #[test]
    fn quantiles_are_by_rank() {
        let times: Vec<u64> = (1..=100).collect();
        let histogram = of(&times);
        assert_eq!((histogram.quantile(50), histogram.quantile(99)), (Some(50), Some(99)));
        let one = of(&[7]);
        assert_eq!((one.quantile(0), one.quantile(50), one.quantile(99)), (Some(7), Some(7), Some(7)));
        assert_eq!(of(&[1, 2]).quantile(50), Some(1));
        assert_eq!(of(&[1, 2, 3]).quantile(50), Some(2));
        assert_eq!(Histogram::default().quantile(50), None);
    }

    #[test]
    fn the_largest_histogram_fits_a_value_of_state() {
        let full = Histogram((0..=bucket(u64::MAX)).map(|bucket| (bucket, u64::MAX)).collect());
        let bytes = serde_json::to_vec(&full).unwrap().len();
        assert!(bytes < 50 << 10, "{bytes} bytes");
        assert!(full.quantile(99).is_some());
    }

    #[test]
    fn a_bucket_that_is_none_is_no_fault() {
        assert!(middle(u16::MAX) >= middle(1727));
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_a_hundredth_of_the_time_of_its_rank(
            mut times in proptest::collection::vec(prop_oneof![0_u64..300, 0_u64..100_000, 0_u64..=MS_MAX], 1..500),
            percent in 1_u64..=100,
        ) {
            let shown = of(&times).quantile(percent).unwrap();
            times.sort_unstable();
            let rank = (times.len() as u64 * percent).div_ceil(100);
            let exact = times[usize::try_from(rank).unwrap() - 1];
            prop_assert!(shown.abs_diff(exact) * 128 <= exact, "{} for {}", shown, exact);
            prop_assert!(exact >= EXACT || shown == exact);
        }

        #[test]
        fn the_order_of_times_does_not_matter(times in proptest::collection::vec(0_u64..1_000_000, 0..100)) {
            let mut turned = times.clone();
            turned.reverse();
            prop_assert_eq!(of(&times), of(&turned));
        }
    }
}
