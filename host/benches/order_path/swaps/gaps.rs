//! What the records of a run tell: how long there was nothing in a partition, and which deployment each record is of.

use std::collections::BTreeMap;
use std::ops::Range;

use super::witness::{Confirmed, Sight};

/// Milliseconds since the Unix epoch.
pub(super) type Span = Range<u64>;

/// A version that was deployed, and when that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Deployed {
    pub(super) version: String,
    pub(super) asked: u64,
}

/// Times without an event between one event of a partition and its next one, in milliseconds.
#[derive(Default)]
pub(super) struct Gaps {
    pub(super) all: Vec<f64>,
    /// Between two transactions of one version. Transactions are told apart by their markers, which take offsets.
    pub(super) at_batches: Vec<f64>,
    /// Where another version begins.
    pub(super) at_swaps: Vec<f64>,
    /// Where the version stays the same.
    pub(super) within_versions: Vec<f64>,
    /// The longest where another version begins: in which partition, and from when till when.
    pub(super) longest: Option<(i32, Span)>,
    /// From the first event of a transaction to the first one of the next.
    pub(super) batches: Vec<f64>,
    pub(super) left_out: usize,
    /// Of those, where another version begins.
    pub(super) swaps_left_out: usize,
    pub(super) events: usize,
}

impl Gaps {
    /// In which gap of one version each of so many moments lies, evenly spread over them.
    pub(super) fn around_moments(&self, moments: usize) -> Vec<f64> {
        let total: f64 = self.within_versions.iter().sum();
        let (mut gaps, mut passed) = (self.within_versions.iter(), 0.0);
        let mut lies_in = 0.0;
        let around = |moment: usize| {
            while passed <= total * (moment as f64 + 0.5) / moments as f64 {
                let Some(gap) = gaps.next() else { break };
                passed += gap;
                lies_in = *gap;
            }
            lies_in
        };
        (0..moments).map(around).collect()
    }
}

/// In how many other partitions something was confirmed within a span.
pub(super) fn others_went_on(sight: &Sight, partition: i32, span: &Span) -> usize {
    let others = sight.confirmed.iter().filter(|(other, _)| **other != partition);
    others.filter(|(_, events)| events.iter().any(|event| span.start < event.at && event.at < span.end)).count()
}

/// The gaps within `phase` that touch none of the spans in `without`.
pub(super) fn gaps(sight: &Sight, phase: &Span, without: &[Span]) -> Gaps {
    let mut gaps = Gaps::default();
    for (partition, events) in &sight.confirmed {
        let begin = events.partition_point(|event| event.at < phase.start);
        let end = events.partition_point(|event| event.at < phase.end);
        let mut batch: Option<u64> = None;
        for pair in events[begin..end.max(begin)].windows(2) {
            let (from, to) = (pair[0], pair[1]);
            let (is_swap, is_new_batch) = (from.version != to.version, to.offset > from.offset + 1);
            if without.iter().any(|span| from.at <= span.end && to.at >= span.start) {
                gaps.left_out += 1;
                gaps.swaps_left_out += usize::from(is_swap);
                batch = None;
                continue;
            }
            let gap = to.at.saturating_sub(from.at) as f64;
            gaps.events += 1;
            gaps.all.push(gap);
            if is_swap {
                let is_longest = gaps.longest.as_ref().is_none_or(|(_, span)| gap > (span.end - span.start) as f64);
                if is_longest {
                    gaps.longest = Some((*partition, from.at..to.at.max(from.at)));
                }
                gaps.at_swaps.push(gap);
            } else {
                gaps.within_versions.push(gap);
                if is_new_batch {
                    gaps.at_batches.push(gap);
                }
            }
            if is_new_batch {
                gaps.batches.extend(batch.map(|batch| to.at.saturating_sub(batch) as f64));
                batch = Some(to.at);
            }
        }
    }
    let Gaps { all, at_batches, at_swaps, within_versions, batches, .. } = &mut gaps;
    for values in [all, at_batches, at_swaps, within_versions, batches] {
        values.sort_by(f64::total_cmp);
    }
    gaps
}

/// The versions in each partition are deployments in their order, none of them before it was asked for. Tells how often
/// another one began.
///
/// # Panics
/// When a partition went back, or has a version that nobody deployed.
pub(super) fn never_goes_back(sight: &Sight, deployed: &[Deployed]) -> usize {
    let mut changes = 0;
    for (partition, events) in &sight.confirmed {
        let mut reached: Option<usize> = None;
        for event in firsts(events) {
            let version = &sight.versions[event.version];
            // A version may be deployed again later. The earliest that fits leaves most to those that follow.
            let begin = reached.map_or(0, |reached| reached + 1);
            let next = deployed[begin..].iter().position(|one| one.version == *version).map(|n| begin + n);
            let next = next.filter(|next| deployed[*next].asked <= event.at);
            changes += usize::from(reached.is_some());
            reached = Some(next.unwrap_or_else(|| {
                panic!("partition {partition} went back from deployment {reached:?} to {version}: {event:?}")
            }));
        }
    }
    changes
}

/// How long it took from when each of these deployments was asked for until its first event was made, in milliseconds.
pub(super) fn until_first(sight: &Sight, deployed: &[&Deployed]) -> Vec<f64> {
    let mut begins: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for event in sight.confirmed.values().flat_map(|events| firsts(events)) {
        begins.entry(&sight.versions[event.version]).or_default().push(event.at);
    }
    begins.values_mut().for_each(|begins| begins.sort_unstable());
    let first = |one: &&Deployed| {
        let begins = begins.get(one.version.as_str())?;
        Some((begins.get(begins.partition_point(|at| *at < one.asked))? - one.asked) as f64)
    };
    let mut times: Vec<f64> = deployed.iter().filter_map(first).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// The first event of each version in a partition.
fn firsts(events: &[Confirmed]) -> impl Iterator<Item = &Confirmed> {
    let changed = events.windows(2).filter(|pair| pair[0].version != pair[1].version).map(|pair| &pair[1]);
    events.first().into_iter().chain(changed)
}
