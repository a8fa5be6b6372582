//! What the host counts and times. The one module that names metrics.
//!
//! | metric | labels | what |
//! |---|---|---|
//! | `fnhost_events_total` | function, verdict | events that came to a verdict: `applied`, or an error event's class |
//! | `fnhost_invocation_seconds` | function | time of one invocation, a fresh instance included |
//! | `fnhost_retries_total` | function | tries that were asked for beyond the first |
//! | `fnhost_transactions_total` | result | commits: `committed`, or why not |
//! | `fnhost_transaction_seconds` | | time of one commit, whatever its result |
//! | `fnhost_batch_events`, `fnhost_batch_bytes` | | what one batch held when it closed |
//! | `fnhost_restored_records_total` | | changelog records read to restore state |
//! | `fnhost_restore_seconds` | | time to restore one partition |
//! | `fnhost_lag_records` | group, topic, partition | offsets that lie before a group |
//! | `fnhost_ingress_requests_total` | route, status | requests answered; 499 is a client that left |
//! | `fnhost_ingress_request_seconds` | route | time of one request, its body included |
//! | `fnhost_build_info` | version | always 1 |
//! | `process_resident_memory_bytes` | | resident memory, on Linux |
//!
//! Label values come from the manifest and from enums, never from what an event or a client says. A rename breaks
//! dashboards and alerts. What is called for every event goes through [`FunctionMetrics`], which looks nothing up.

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder as _, Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use crate::event::{Class, Partition};

/// An invocation in a fresh instance costs some 6 µs plus the function's own work, and 250 ms is where it ends unless
/// told otherwise: fine steps below a millisecond, where regressions of the sandbox show.
const INVOCATION_SECONDS: &[f64] =
    &[5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Five round trips: a millisecond or two in one data centre, 100 ms when a client stalls, seconds when a broker is
/// elected anew, and the time-outs above.
const TRANSACTION_SECONDS: &[f64] =
    &[1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// One is an idle worker's batch; thousands are one that catches up.
const BATCH_EVENTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4];

/// From a small event to 64 MiB, by factors of four.
const BATCH_BYTES: &[f64] =
    &[1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0];

/// A tail of a changelog takes milliseconds, a whole one minutes.
const RESTORE_SECONDS: &[f64] = &[1e-2, 5e-2, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];

/// A stored event takes a round trip and the producer's linger; 30 s is where a publish ends unless told otherwise.
const REQUEST_SECONDS: &[f64] = &[1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its effects were applied.
    Applied,
    /// An error event took its place.
    Failed(Class),
}

/// What became of a commit: [`crate::broker::CommitError`]'s cases, and the good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionResult {
    /// Everything is visible.
    Committed,
    /// It was undone and is handed in again.
    Again,
    /// The group had moved on.
    Stale,
    /// The broker refused a record.
    Refused,
    /// The membership ended.
    Over,
}

impl TransactionResult {
    const ALL: [Self; 5] = [Self::Committed, Self::Again, Self::Stale, Self::Refused, Self::Over];

    fn name(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Again => "again",
            Self::Stale => "stale",
            Self::Refused => "refused",
            Self::Over => "over",
        }
    }
}

/// Every metric of one host. Any thread may call any of it; nothing blocks but [`Metrics::render`].
pub struct Metrics {
    registry: Registry,
    events: IntCounterVec,
    invocation: HistogramVec,
    retries: IntCounterVec,
    transactions: IntCounterVec,
    transaction: Histogram,
    batch_events: Histogram,
    batch_bytes: Histogram,
    restored: IntCounter,
    restore: Histogram,
    lag: IntGaugeVec,
    requests: IntCounterVec,
    request: HistogramVec,
    memory: IntGauge,
}

impl Metrics {
    /// Metrics at zero, of a host of this version.
    ///
    /// # Errors
    /// When two metrics have one name, which is a mistake in this file.
    pub fn new(version: &str) -> Result<Arc<Self>, Error> {
        let registry = Registry::new();
        let new = Register(&registry);
        let build = new.gauges("fnhost_build_info", "The host's version; always 1", &["version"])?;
        build.with_label_values(&[version]).set(1);
        let metrics = Self {
            events: new.counters(
                "fnhost_events_total",
                "Events that came to a verdict: applied, or the class of their error event",
                &["function", "verdict"],
            )?,
            invocation: new.histograms(
                "fnhost_invocation_seconds",
                "Time of one invocation, its fresh instance included",
                &["function"],
                INVOCATION_SECONDS,
            )?,
            retries: new.counters(
                "fnhost_retries_total",
                "Tries that functions asked for beyond the first",
                &["function"],
            )?,
            transactions: new.counters("fnhost_transactions_total", "Commits by result", &["result"])?,
            transaction: new.histogram(
                "fnhost_transaction_seconds",
                "Time of one commit, whatever its result",
                TRANSACTION_SECONDS,
            )?,
            batch_events: new.histogram("fnhost_batch_events", "Events of one batch", BATCH_EVENTS)?,
            batch_bytes: new.histogram("fnhost_batch_bytes", "Bytes of one batch's events", BATCH_BYTES)?,
            restored: new.counter("fnhost_restored_records_total", "Changelog records read to restore state")?,
            restore: new.histogram("fnhost_restore_seconds", "Time to restore one partition", RESTORE_SECONDS)?,
            lag: new.gauges(
                "fnhost_lag_records",
                "Offsets that lie before a group, transaction markers included",
                &["group", "topic", "partition"],
            )?,
            requests: new.counters(
                "fnhost_ingress_requests_total",
                "Requests answered; status 499 is a client that left",
                &["route", "status"],
            )?,
            request: new.histograms(
                "fnhost_ingress_request_seconds",
                "Time of one request, its body included",
                &["route"],
                REQUEST_SECONDS,
            )?,
            memory: new.gauge("process_resident_memory_bytes", "Resident memory; 0 where it is not known")?,
            registry,
        };
        for result in TransactionResult::ALL {
            // Seen as zero from the start, so that the first one shows as an increase.
            metrics.transactions.with_label_values(&[result.name()]).inc_by(0);
        }
        Ok(Arc::new(metrics))
    }

    /// What counts for one function. To be asked for once, not for every event.
    pub fn function(&self, name: &str) -> FunctionMetrics {
        let verdict = |verdict: &str| self.events.with_label_values(&[name, verdict]);
        FunctionMetrics {
            applied: verdict("applied"),
            failed: Class::ALL.map(|class| (class, verdict(class.name()))),
            invocation: self.invocation.with_label_values(&[name]),
            retries: self.retries.with_label_values(&[name]),
        }
    }

    /// A commit was tried.
    pub fn transaction(&self, took: Duration, result: TransactionResult) {
        self.transactions.with_label_values(&[result.name()]).inc();
        self.transaction.observe(took.as_secs_f64());
    }

    /// A batch closed.
    pub fn batch(&self, events: usize, bytes: usize) {
        self.batch_events.observe(events as f64);
        self.batch_bytes.observe(bytes as f64);
    }

    /// A partition's state was restored.
    pub fn restored(&self, records: usize, took: Duration) {
        self.restored.inc_by(records as u64);
        self.restore.observe(took.as_secs_f64());
    }

    /// How far a group is behind in a partition.
    pub fn lag(&self, group: &str, partition: &Partition, lag: u64) {
        let number = partition.number.to_string();
        let lag = i64::try_from(lag).unwrap_or(i64::MAX);
        self.lag.with_label_values(&[group, &partition.topic, &number]).set(lag);
    }

    /// Another host tells this lag from now on.
    pub fn forget_lag(&self, group: &str, partition: &Partition) {
        let number = partition.number.to_string();
        // An error says that there was none.
        drop(self.lag.remove_label_values(&[group, &partition.topic, &number]));
    }

    /// A request was answered. `route` comes from the manifest, never from the request.
    pub fn ingress(&self, route: &str, status: u16, took: Duration) {
        self.requests.with_label_values(&[route, &status.to_string()]).inc();
        self.request.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        self.memory.set(resident_bytes().unwrap_or(0));
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be rendered");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

/// What counts for one function: cheap to clone, and to call for every event.
#[derive(Clone)]
pub struct FunctionMetrics {
    applied: IntCounter,
    failed: [(Class, IntCounter); Class::ALL.len()],
    invocation: Histogram,
    retries: IntCounter,
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

    /// An invocation ended, in whatever way.
    pub fn invocation(&self, took: Duration) {
        self.invocation.observe(took.as_secs_f64());
    }

    /// The function asked to be tried again, and will be.
    pub fn retry(&self) {
        self.retries.inc();
    }
}

/// Makes metrics and registers them.
struct Register<'a>(&'a Registry);

impl Register<'_> {
    fn add<C: Collector + Clone + 'static>(&self, metric: C) -> Result<C, Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error> {
        self.add(IntCounter::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, Error> {
        self.add(IntGauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, Error> {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<HistogramVec, Error> {
        self.add(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?)
    }
}

/// `VmRSS`, which the kernel tells in kB.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests;
