//! How far groups are behind, in offsets and in seconds.
//!
//! Offsets are measured for all partitions of a group, whoever has them. Seconds are told by the host that has a partition,
//! because only it knows at which event it is, and are reckoned when they are asked for: they grow while nothing moves.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use prometheus::{Error, GaugeVec, IntGaugeVec};

use super::{Register, list};
use crate::event::Partition;
use crate::sync::lock;

/// A group and a partition that it reads.
type Key = (String, Partition);

/// The lags of all groups.
pub(super) struct Lags {
    records: IntGaugeVec,
    seconds: GaugeVec,
    /// As they were last measured.
    measured: Mutex<BTreeMap<Key, u64>>,
    places: Arc<Mutex<BTreeMap<Key, Arc<AtomicU64>>>>,
}

impl Lags {
    pub(super) fn new(new: &Register<'_>) -> Result<Self, Error> {
        Ok(Self {
            records: new.gauges(&list::LAG_RECORDS)?,
            seconds: new.seconds_gauges(&list::LAG_SECONDS)?,
            measured: Mutex::default(),
            places: Arc::default(),
        })
    }

    pub(super) fn measured(&self, group: &str, partition: &Partition, lag: u64) {
        let number = partition.number.to_string();
        let gauge = self.records.with_label_values(&[group, &partition.topic, &number]);
        gauge.set(i64::try_from(lag).unwrap_or(i64::MAX));
        lock(&self.measured).insert((group.to_owned(), partition.clone()), lag);
    }

    pub(super) fn forget(&self, group: &str, partition: &Partition) {
        let number = partition.number.to_string();
        // An error says that there was none.
        drop(self.records.remove_label_values(&[group, &partition.topic, &number]));
        lock(&self.measured).remove(&(group.to_owned(), partition.clone()));
    }

    pub(super) fn place(&self, group: &str, partition: &Partition) -> Place {
        let key = (group.to_owned(), partition.clone());
        let at_ms = Arc::new(AtomicU64::new(0));
        lock(&self.places).insert(key.clone(), Arc::clone(&at_ms));
        Place { key, at_ms, places: Arc::clone(&self.places), seconds: self.seconds.clone() }
    }

    /// Reckons the seconds as of `now_ms`.
    pub(super) fn look(&self, now_ms: u64) {
        let measured = lock(&self.measured);
        for ((group, partition), at_ms) in lock(&self.places).iter() {
            let Some(lag) = measured.get(&(group.clone(), partition.clone())) else { continue };
            let seconds = match (*lag, at_ms.load(Ordering::Relaxed)) {
                (0, _) => 0.0,
                // Nobody knows yet how old the event is that it is at.
                (_, 0) => continue,
                (_, at_ms) => now_ms.saturating_sub(at_ms) as f64 / 1000.0,
            };
            let number = partition.number.to_string();
            self.seconds.with_label_values(&[group.as_str(), &partition.topic, &number]).set(seconds);
        }
    }
}

/// Where a group is in one partition, as the worker that has it tells. Its lag in seconds goes with it.
pub struct Place {
    key: Key,
    /// The timestamp; 0 before the first.
    at_ms: Arc<AtomicU64>,
    places: Arc<Mutex<BTreeMap<Key, Arc<AtomicU64>>>>,
    seconds: GaugeVec,
}

impl Place {
    /// The partition is at an event with this timestamp: it is the oldest in hand, or the last that is done.
    pub fn at(&self, timestamp_ms: Option<u64>) {
        if let Some(at_ms) = timestamp_ms {
            self.at_ms.store(at_ms, Ordering::Relaxed);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = lock(&self.places);
        // Another worker of this host may have the partition by now.
        if places.get(&self.key).is_some_and(|at_ms| Arc::ptr_eq(at_ms, &self.at_ms)) {
            places.remove(&self.key);
            let (group, partition) = &self.key;
            // An error says that there was none.
            let number = partition.number.to_string();
            drop(self.seconds.remove_label_values(&[group.as_str(), &partition.topic, &number]));
        }
    }
}
