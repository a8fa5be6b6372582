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
