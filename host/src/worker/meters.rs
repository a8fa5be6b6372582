//! What a worker tells as long as it lives: where it is in each partition that it owns, and how much state it holds.
//!
//! Both are gone from the metrics with the worker, or with the partition. A batch costs a look-up for each run of events of one
//! partition, a change of state two additions.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Stores;
use super::plan::Plan;
use super::state::Store;
use crate::admin::metrics::{FunctionMetrics, Metrics, Place};
use crate::event::{Event, Partition};

/// What one worker tells.
pub(super) struct Meters {
    metrics: Arc<Metrics>,
    group: String,
    places: BTreeMap<Partition, Place>,
    /// By function, as the plan has them: what is told of this worker's state.
    told: Vec<(FunctionMetrics, Size)>,
}

/// Pairs and bytes of state.
#[derive(Clone, Copy, Default)]
pub(super) struct Size {
    entries: i64,
    bytes: i64,
}

impl Size {
    /// Of a store.
    pub(super) fn of(store: &Store) -> Self {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        Self { entries: number(store.len()), bytes: number(store.size_bytes()) }
    }

    fn plus(self, other: Self) -> Self {
        Self { entries: self.entries + other.entries, bytes: self.bytes + other.bytes }
    }

    fn minus(self, other: Self) -> Self {
        Self { entries: self.entries - other.entries, bytes: self.bytes - other.bytes }
    }
}

impl Meters {
    /// Of a worker that owns nothing and holds nothing yet.
    pub(super) fn new(metrics: &Arc<Metrics>, plan: &Plan) -> Self {
        let told = plan.functions.iter().map(|planned| (planned.metrics.clone(), Size::default())).collect();
        Self { metrics: Arc::clone(metrics), group: plan.group.clone(), places: BTreeMap::new(), told }
    }

    /// These partitions are owned now, and no others.
    pub(super) fn own<'a>(&mut self, owned: impl Iterator<Item = &'a Partition>) {
        let mut before = std::mem::take(&mut self.places);
        for partition in owned {
            let place = before.remove(partition).unwrap_or_else(|| self.metrics.place(&self.group, partition));
            self.places.insert(partition.clone(), place);
        }
    }

    /// These are the stores now, and no others.
    pub(super) fn hold(&mut self, stores: &Stores) {
        let mut sizes = vec![Size::default(); self.told.len()];
        for ((function, _), store) in stores {
            if let Some(size) = sizes.get_mut(*function) {
                *size = size.plus(Size::of(store));
            }
        }
        for (function, now) in sizes.into_iter().enumerate() {
            let before = self.told.get(function).map(|(_, told)| *told).unwrap_or_default();
            self.changed(function, before, now);
        }
    }

    /// One store of a function was of one size, and is now of another.
    pub(super) fn changed(&mut self, function: usize, before: Size, after: Size) {
        if let Some((metrics, told)) = self.told.get_mut(function) {
            let by = after.minus(before);
            *told = told.plus(by);
            metrics.state(by.entries, by.bytes);
        }
    }

    /// These events are about to be handled: each partition is at its first one.
    pub(super) fn begin(&self, events: &[Event]) {
        self.at(events.iter().rev());
    }

    /// These events are done: each partition is at its last one.
    pub(super) fn end(&self, events: &[Event]) {
        self.at(events.iter());
    }

    /// The last event of each partition counts.
    fn at<'a>(&self, events: impl Iterator<Item = &'a Event>) {
        let mut events = events.peekable();
        while let Some(event) = events.next() {
            let is_followed = events.peek().is_some_and(|next| next.partition == event.partition);
            if !is_followed && let Some(place) = self.places.get(&event.partition) {
                place.at(event.timestamp_ms);
            }
        }
    }
}

impl Drop for Meters {
    fn drop(&mut self) {
        self.hold(&Stores::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meters(metrics: &Arc<Metrics>) -> Meters {
        let told = vec![(metrics.function("stock"), Size::default())];
        Meters { metrics: Arc::clone(metrics), group: "shop".into(), places: BTreeMap::new(), told }
    }

    fn event(partition: &Partition, timestamp_ms: u64) -> Event {
        let (partition, timestamp_ms) = (partition.clone(), Some(timestamp_ms));
        Event { partition, offset: 0, timestamp_ms, key: None, value: None, headers: Vec::new() }
    }

    /// The values of a metric, in the order of their labels.
    fn values(metrics: &Metrics, name: &str) -> Vec<f64> {
        let text = metrics.render();
        let of = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        of.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect()
    }

    #[test]
    fn state_is_what_all_stores_of_all_workers_hold_and_goes_with_them() {
        let metrics = Metrics::new("0.1.0").unwrap();
        let (mut one, mut other) = (meters(&metrics), meters(&metrics));
        let store = |value: &[u8]| {
            let mut store = Store::default();
            store.restore(b"key".to_vec(), Some(value.to_vec()));
            Arc::new(store)
        };
        let partition = |number| (0, Partition::new("orders", number));
        one.hold(&[(partition(0), store(b"a")), (partition(1), store(b"bc"))].into());
        other.hold(&[(partition(2), store(b"def"))].into());
        let told = || (values(&metrics, "fnhost_state_entries"), values(&metrics, "fnhost_state_bytes"));
        assert_eq!(told(), (vec![3.0], vec![15.0]));

        // A batch adds a pair to the first.
        let mut changed = Store::clone(&store(b"a"));
        let before = Size::of(&changed);
        changed.lay(vec![(b"new".to_vec(), Some(b"xy".to_vec()))], 0);
        changed.apply(None, 0);
        one.changed(0, before, Size::of(&changed));
        assert_eq!(told(), (vec![4.0], vec![20.0]));
        drop(one);
        assert_eq!(told(), (vec![1.0], vec![6.0]));
    }

    #[test]
    fn a_partition_is_at_its_first_event_before_a_batch_and_at_its_last_one_after() {
        let metrics = Metrics::new("0.1.0").unwrap();
        let [a, b] = [0, 1].map(|number| Partition::new("orders", number));
        for partition in [&a, &b] {
            metrics.lag("shop", partition, 1);
        }
        let mut meters = meters(&metrics);
        meters.own([&a, &b].into_iter());
        let year_ms = 1000 * 60 * 60 * 24 * 365;
        let ages = || -> Vec<f64> {
            let years = |seconds: f64| (seconds * 1000.0 / year_ms as f64).round();
            values(&metrics, "fnhost_lag_seconds").into_iter().map(years).collect()
        };
        let now_ms = u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
        let events: Vec<Event> = [(&a, 9), (&b, 8), (&b, 7), (&a, 6), (&b, 5)]
            .map(|(partition, years)| event(partition, now_ms - years * year_ms))
            .into();
        assert!(ages().is_empty());
        meters.begin(&events);
        assert_eq!(ages(), [9.0, 8.0]);
        // Of the batch all but the last event is done.
        meters.end(&events[..4]);
        assert_eq!(ages(), [6.0, 7.0]);
        meters.own([&b].into_iter());
        assert_eq!(ages(), [7.0]);
    }
}
