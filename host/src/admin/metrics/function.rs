//! What counts for one function, and for each of its versions.
//!
//! Two versions of a function are shown: the active one, and the one before, so that what it did is still there for the
//! next scrape and beside its successor. The one before that goes when a third comes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus::{Error, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::{Register, Verdict, list};
use crate::deploy::shadow::{Compared, Counts, Difference};
use crate::event::{Class, Digest};
use crate::sync::lock;

/// How many versions of one function are shown.
const VERSIONS_MAX: usize = 2;

/// What counts for all functions.
pub(super) struct Functions {
    events: IntCounterVec,
    latency: HistogramVec,
    invocation: HistogramVec,
    retries: IntCounterVec,
    swaps: IntCounterVec,
    shadows: IntCounterVec,
    entries: IntGaugeVec,
    bytes: IntGaugeVec,
    known: Mutex<BTreeMap<String, FunctionMetrics>>,
}

impl Functions {
    pub(super) fn new(new: &Register<'_>) -> Result<Self, Error> {
        Ok(Self {
            events: new.counters(&list::EVENTS)?,
            latency: new.histograms(&list::EVENT_LATENCY)?,
            invocation: new.histograms(&list::INVOCATION)?,
            retries: new.counters(&list::RETRIES)?,
            swaps: new.counters(&list::SWAPS)?,
            shadows: new.counters(&list::SHADOW_EVENTS)?,
            entries: new.gauges(&list::STATE_ENTRIES)?,
            bytes: new.gauges(&list::STATE_BYTES)?,
            known: Mutex::default(),
        })
    }

    pub(super) fn of(&self, name: &str) -> FunctionMetrics {
        let mut known = lock(&self.known);
        if let Some(metrics) = known.get(name) {
            return metrics.clone();
        }
        let verdict = |verdict: &str| self.events.with_label_values(&[name, verdict]);
        let metrics = FunctionMetrics {
            applied: verdict("applied"),
            failed: Class::ALL.map(|class| (class, verdict(class.name()))),
            latency: self.latency.with_label_values(&[name]),
            retries: self.retries.with_label_values(&[name]),
            swaps: self.swaps.with_label_values(&[name]),
            shadows: self.shadows.clone(),
            name: name.into(),
            entries: self.entries.with_label_values(&[name]),
            bytes: self.bytes.with_label_values(&[name]),
            versions: Arc::new(Mutex::new(Versions {
                function: name.to_owned(),
                all: self.invocation.clone(),
                active: None,
                shown: Vec::new(),
            })),
        };
        known.insert(name.to_owned(), metrics.clone());
        metrics
    }
}

/// What counts for one function: cheap to clone, and to call for every event.
#[derive(Clone)]
pub struct FunctionMetrics {
    applied: IntCounter,
    failed: [(Class, IntCounter); Class::ALL.len()],
    latency: Histogram,
    retries: IntCounter,
    swaps: IntCounter,
    /// Of all functions: what there is of this one is made when it has a candidate.
    shadows: IntCounterVec,
    name: Arc<str>,
    entries: IntGauge,
    bytes: IntGauge,
    versions: Arc<Mutex<Versions>>,
}

impl FunctionMetrics {
    /// An event came to a verdict, and its transaction was committed.
    pub fn event(&self, verdict: Verdict) {
        match verdict {
            Verdict::Applied => self.applied.inc(),
            Verdict::Failed(class) => {
                if let Some((_, counter)) = self.failed.iter().find(|(known, _)| *known == class) {
                    counter.inc();
                }
            }
        }
    }

    /// An event's verdict was committed this long after its record's timestamp.
    pub fn latency(&self, since: Duration) {
        self.latency.observe(since.as_secs_f64());
    }

    /// The function asked to be tried again, and will be.
    pub fn retry(&self) {
        self.retries.inc();
    }

    /// A candidate was beside the function's active version for a batch.
    pub fn shadowed(&self, counts: &Counts) {
        let count = |result: &str, count: u64| self.shadows.with_label_values(&[&*self.name, result]).inc_by(count);
        let of = |difference| {
            let is = |compared: &&Compared| compared.example.as_ref().map(|example| example.difference) == difference;
            counts.compared.iter().filter(is).count() as u64
        };
        count("same", of(None));
        Difference::ALL.into_iter().for_each(|difference| count(difference.name(), of(Some(difference))));
        count("passed-over", counts.passed_over);
        count("cut-short", counts.cut_short);
    }

    /// A worker's state of this function has grown by so many pairs and bytes, or shrunk.
    pub fn state(&self, entries: i64, bytes: i64) {
        self.entries.add(entries);
        self.bytes.add(bytes);
    }

    /// Where the invocations of a version are timed. To be asked for once a batch.
    pub fn invocations(&self, version: Digest) -> Invocations {
        Invocations(lock(&self.versions).show(version))
    }

    /// This version is the active one from now on.
    pub(super) fn activated(&self, version: Digest) {
        let mut versions = lock(&self.versions);
        drop(versions.show(version));
        if versions.active.replace(version).is_some_and(|before| before != version) {
            self.swaps.inc();
        }
    }
}

/// Times the invocations of one version.
#[derive(Clone)]
pub struct Invocations(Histogram);

impl Invocations {
    /// An invocation ended, in whatever way.
    pub fn took(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }
}

/// One function's versions.
struct Versions {
    function: String,
    all: HistogramVec,
    active: Option<Digest>,
    /// At most [`VERSIONS_MAX`], the latest last.
    shown: Vec<(Digest, Histogram)>,
}

impl Versions {
    /// The histogram of a version, which is made when there is none; then the oldest one goes.
    fn show(&mut self, version: Digest) -> Histogram {
        let found = self.shown.iter().find(|(shown, _)| *shown == version);
        if let Some((_, histogram)) = found {
            return histogram.clone();
        }
        while self.shown.len() >= VERSIONS_MAX {
            // An active one stays, whatever else a worker still has in hand.
            let oldest = self.shown.iter().position(|(shown, _)| Some(*shown) != self.active).unwrap_or_default();
            let (gone, _) = self.shown.remove(oldest);
            if !self.shown.iter().any(|(shown, _)| shown.short() == gone.short()) && gone.short() != version.short() {
                // An error says that there was none.
                drop(self.all.remove_label_values(&[self.function.as_str(), &gone.short()]));
            }
        }
        let histogram = self.all.with_label_values(&[self.function.as_str(), &version.short()]);
        self.shown.push((version, histogram.clone()));
        histogram
    }
}
