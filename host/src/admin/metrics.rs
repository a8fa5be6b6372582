//! What the host counts and times. The one module that names metrics: what there is stands in [`list`], and the README's
//! table is made from it.
//!
//! What is called for every event goes through [`FunctionMetrics`] and [`Invocations`], which look nothing up. What belongs
//! to an owner, a partition's place or a worker's state, goes when its owner does ([`Place`]). Bounded by the manifest, and
//! by two versions of each function.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prometheus::core::Collector;
use prometheus::{
    Encoder as _, Error, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use self::function::Functions;
use self::lag::Lags;
use self::list::{Kind, Metric};
use self::process::Process;
use crate::broker;
use crate::deploy::book::Number;
use crate::event::{Class, Digest, Partition};
use crate::worker::error_event::epoch_ms;

mod function;
mod lag;
pub mod list;
mod process;

pub use self::function::{FunctionMetrics, Invocations};
pub use self::lag::Place;

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

/// What became of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanResult {
    /// The collector has them.
    Exported,
    /// The collector did not take them.
    Failed,
    /// Too many waited for it.
    Dropped,
}

impl SpanResult {
    const ALL: [Self; 3] = [Self::Exported, Self::Failed, Self::Dropped];

    fn name(self) -> &'static str {
        match self {
            Self::Exported => "exported",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// A part of the time of a batch and its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Handlers, and waits before retries.
    Handle,
    /// Outputs, error events and changes become records.
    Build,
    /// The transaction begins and its records are queued; the first one of a producer makes it.
    Begin,
    /// The positions are sent and taken. Records are on their way meanwhile.
    Offsets,
    /// What is not delivered yet is waited for.
    Deliver,
    /// The commit is asked for and answered.
    Commit,
}

impl Part {
    const ALL: [Self; 6] = [Self::Handle, Self::Build, Self::Begin, Self::Offsets, Self::Deliver, Self::Commit];

    fn name(self) -> &'static str {
        match self {
            Self::Handle => "handle",
            Self::Build => "build",
            Self::Begin => "begin",
            Self::Offsets => "offsets",
            Self::Deliver => "deliver",
            Self::Commit => "commit",
        }
    }
}

/// How the host is at the moment of a scrape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Every worker's loop goes round.
    pub live: bool,
    /// All workers run, nothing is stopped, the broker is there.
    pub ready: bool,
    /// The broker answered when it was last asked.
    pub broker_up: bool,
    /// Of each group: the partitions that are owned here, and how many of these are stopped.
    pub partitions: BTreeMap<String, (usize, usize)>,
}

/// Every metric of one host. Any thread may call any of it; nothing blocks but [`Metrics::render`].
pub struct Metrics {
    registry: Registry,
    functions: Functions,
    transactions: IntCounterVec,
    transaction: Histogram,
    parts: [(Part, Histogram); Part::ALL.len()],
    batch_events: Histogram,
    batch_bytes: Histogram,
    restored: IntCounter,
    restore: Histogram,
    lags: Lags,
    requests: IntCounterVec,
    request: HistogramVec,
    spans: IntCounterVec,
    ready: IntGauge,
    live: IntGauge,
    broker_up: IntGauge,
    broker_errors: IntCounterVec,
    partitions: IntGaugeVec,
    deployment: IntGauge,
    held_up: IntGauge,
    ticks: IntCounterVec,
    slots: IntGaugeVec,
    every: IntGaugeVec,
    process: Process,
}

impl Metrics {
    /// Metrics at zero, of a host of this version.
    ///
    /// # Errors
    /// When two metrics have one name, which is a mistake in [`list`].
    pub fn new(version: &str) -> Result<Arc<Self>, Error> {
        let registry = Registry::new();
        let new = Register(&registry);
        let build = [version, env!("BUILT_WITH_RUSTC"), env!("BUILT_FOR"), env!("BUILT_WITH_WASMTIME")];
        new.gauges(&list::BUILD_INFO)?.with_label_values(&build).set(1);
        let parts = new.histograms(&list::TRANSACTION_PART)?;
        let metrics = Self {
            functions: Functions::new(&new)?,
            transactions: new.counters(&list::TRANSACTIONS)?,
            transaction: new.histogram(&list::TRANSACTION)?,
            parts: Part::ALL.map(|part| (part, parts.with_label_values(&[part.name()]))),
            batch_events: new.histogram(&list::BATCH_COUNT)?,
            batch_bytes: new.histogram(&list::BATCH_SIZE)?,
            restored: new.counter(&list::RESTORED_RECORDS)?,
            restore: new.histogram(&list::RESTORE)?,
            lags: Lags::new(&new)?,
            requests: new.counters(&list::INGRESS_REQUESTS)?,
            request: new.histograms(&list::INGRESS_REQUEST)?,
            spans: new.counters(&list::SPANS)?,
            ready: new.gauge(&list::READY)?,
            live: new.gauge(&list::LIVE)?,
            broker_up: new.gauge(&list::BROKER_UP)?,
            broker_errors: new.counters(&list::BROKER_ERRORS)?,
            partitions: new.gauges(&list::PARTITIONS)?,
            deployment: new.gauge(&list::DEPLOYMENT)?,
            held_up: new.gauge(&list::HELD_UP)?,
            ticks: new.counters(&list::SCHEDULE_TICKS)?,
            slots: new.gauges(&list::SCHEDULE_SLOT)?,
            every: new.gauges(&list::SCHEDULE_EVERY)?,
            process: Process::new(&new)?,
            registry,
        };
        // Seen as zero from the start, so that the first one shows as an increase.
        for result in TransactionResult::ALL {
            metrics.transactions.with_label_values(&[result.name()]).inc_by(0);
        }
        for result in SpanResult::ALL {
            metrics.spans(result, 0);
        }
        for name in broker::Error::NAMES {
            metrics.broker_errors.with_label_values(&[name]).inc_by(0);
        }
        Ok(Arc::new(metrics))
    }

    /// What counts for one function. To be asked for once, not for every event.
    pub fn function(&self, name: &str) -> FunctionMetrics {
        self.functions.of(name)
    }

    /// This version of a function is the active one from now on.
    pub fn activated(&self, function: &str, version: Digest) {
        self.functions.of(function).activated(version);
    }

    /// A commit was tried.
    pub fn transaction(&self, took: Duration, result: TransactionResult) {
        self.transactions.with_label_values(&[result.name()]).inc();
        self.transaction.observe(took.as_secs_f64());
    }

    /// What a part of a batch's transaction took.
    pub fn part(&self, part: Part, took: Duration) {
        if let Some((_, histogram)) = self.parts.iter().find(|(known, _)| *known == part) {
            histogram.observe(took.as_secs_f64());
        }
    }

    /// A batch closed.
    pub fn batch(&self, events: usize, bytes: usize) {
        self.batch_events.observe(events as f64);
        self.batch_bytes.observe(bytes as f64);
    }

    /// The state of an assignment's partitions was restored.
    pub fn restored(&self, records: usize, took: Duration) {
        self.restored.inc_by(records as u64);
        self.restore.observe(took.as_secs_f64());
    }

    /// How far a group is behind in a partition.
    pub fn lag(&self, group: &str, partition: &Partition, lag: u64) {
        self.lags.measured(group, partition, lag);
    }

    /// Another host tells this lag from now on.
    pub fn forget_lag(&self, group: &str, partition: &Partition) {
        self.lags.forget(group, partition);
    }

    /// Where a group is in a partition that is owned from now on, until what is returned is dropped.
    pub fn place(&self, group: &str, partition: &Partition) -> Place {
        self.lags.place(group, partition)
    }

    /// The broker did not do what it was asked for.
    pub fn broker_error(&self, error: &broker::Error) {
        self.broker_errors.with_label_values(&[error.name()]).inc();
    }

    /// A request was answered. `route` comes from the manifest, never from the request.
    pub fn ingress(&self, route: &str, status: u16, took: Duration) {
        self.requests.with_label_values(&[route, &status.to_string()]).inc();
        self.request.with_label_values(&[route]).observe(took.as_secs_f64());
    }

    /// This deployment is reached, and something keeps the host from the next one or not.
    pub fn deployment(&self, number: Number, is_held_up: bool) {
        self.deployment.set(i64::try_from(number).unwrap_or(i64::MAX));
        self.held_up.set(is_held_up.into());
    }

    /// There is a schedule of this name, with slots of this length.
    pub fn schedule(&self, schedule: &str, every: Duration) {
        self.every.with_label_values(&[schedule]).set(i64::try_from(every.as_secs()).unwrap_or(i64::MAX));
        self.ticks.with_label_values(&[schedule]).inc_by(0);
    }

    /// This host wrote the ticks of so many slots.
    pub fn ticked(&self, schedule: &str, slots: u64) {
        self.ticks.with_label_values(&[schedule]).inc_by(slots);
    }

    /// The newest slot that has its ticks began at this time, in milliseconds since the Unix epoch.
    pub fn reached(&self, schedule: &str, slot_ms: u64) {
        let seconds = i64::try_from(slot_ms / 1000).unwrap_or(i64::MAX);
        self.slots.with_label_values(&[schedule]).set(seconds);
    }

    /// This became of spans.
    pub fn spans(&self, result: SpanResult, count: usize) {
        self.spans.with_label_values(&[result.name()]).inc_by(count as u64);
    }

    /// How the host is now, for the next [`Metrics::render`].
    pub fn health(&self, health: &Health) {
        self.ready.set(health.ready.into());
        self.live.set(health.live.into());
        self.broker_up.set(health.broker_up.into());
        for (group, (owned, stopped)) in &health.partitions {
            for (state, count) in [("owned", owned), ("stopped", stopped)] {
                self.partitions.with_label_values(&[group, state]).set(i64::try_from(*count).unwrap_or(i64::MAX));
            }
        }
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        self.render_at(epoch_ms(SystemTime::now()))
    }

    fn render_at(&self, now_ms: u64) -> String {
        self.process.look();
        self.lags.look(now_ms);
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be rendered");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

/// Makes metrics of the list and registers them.
struct Register<'a>(&'a Registry);

impl Register<'_> {
    fn add<C: Collector + Clone + 'static>(&self, metric: C) -> Result<C, Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, of: &Metric) -> Result<IntCounter, Error> {
        self.add(IntCounter::new(of.name, of.help)?)
    }

    fn counters(&self, of: &Metric) -> Result<IntCounterVec, Error> {
        self.add(IntCounterVec::new(Opts::new(of.name, of.help), of.labels)?)
    }

    fn seconds_counter(&self, of: &Metric) -> Result<prometheus::Counter, Error> {
        self.add(prometheus::Counter::new(of.name, of.help)?)
    }

    fn gauge(&self, of: &Metric) -> Result<IntGauge, Error> {
        self.add(IntGauge::new(of.name, of.help)?)
    }

    fn gauges(&self, of: &Metric) -> Result<IntGaugeVec, Error> {
        self.add(IntGaugeVec::new(Opts::new(of.name, of.help), of.labels)?)
    }

    fn seconds_gauge(&self, of: &Metric) -> Result<Gauge, Error> {
        self.add(Gauge::new(of.name, of.help)?)
    }

    fn seconds_gauges(&self, of: &Metric) -> Result<GaugeVec, Error> {
        self.add(GaugeVec::new(Opts::new(of.name, of.help), of.labels)?)
    }

    fn histogram(&self, of: &Metric) -> Result<Histogram, Error> {
        self.add(Histogram::with_opts(options(of))?)
    }

    fn histograms(&self, of: &Metric) -> Result<HistogramVec, Error> {
        self.add(HistogramVec::new(options(of), of.labels)?)
    }
}

fn options(of: &Metric) -> HistogramOpts {
    let steps = if let Kind::Histogram(steps) = of.kind { steps } else { &[] };
    HistogramOpts::new(of.name, of.help).buckets(steps.to_vec())
}

#[cfg(test)]
mod tests;
