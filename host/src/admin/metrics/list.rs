//! Every metric: its name, kind, labels and meaning. What is registered, and the README's table, are made from this list.
//!
//! Label values come from the manifest, from versions that are active, and from enums; never from what an event or a client
//! says. A rename breaks dashboards and alerts. Where OpenTelemetry's semantic conventions have a counterpart, it is named:
//! same meaning and unit, other attributes.

use self::Kind::{Counter, Gauge, Histogram};

/// What is counted or measured under one name.
#[derive(Debug)]
pub struct Metric {
    /// As Prometheus has it, with the unit at its end.
    pub name: &'static str,
    /// What it is made of.
    pub kind: Kind,
    /// In the order that values are given in.
    pub labels: &'static [&'static str],
    /// OpenTelemetry's name for it, if it has one.
    pub counterpart: Option<&'static str>,
    /// What it tells, for people.
    pub help: &'static str,
}

/// What a metric is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// It only grows, and is 0 after a start.
    Counter,
    /// It is what it is now.
    Gauge,
    /// How many were at most how large: these are the steps.
    Histogram(&'static [f64]),
}

impl Kind {
    /// Prometheus' word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

impl Metric {
    /// The names of its series: a histogram has three.
    pub fn series(&self) -> Vec<String> {
        match self.kind {
            Histogram(_) => ["_bucket", "_sum", "_count"].map(|end| format!("{}{end}", self.name)).into(),
            _ => vec![self.name.to_owned()],
        }
    }
}

/// An invocation in a fresh instance costs some 6 µs plus the function's own work, and 250 ms is where it ends unless
/// told otherwise: fine steps below a millisecond, where regressions of the sandbox show.
const INVOCATION_SECONDS: &[f64] =
    &[5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Some milliseconds when nothing is in the way, hours behind a stopped partition.
const LATENCY_SECONDS: &[f64] =
    &[1e-3, 2e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0];

/// Five round trips: a millisecond or two in one data centre, 100 ms when a client stalls, seconds when a broker is
/// elected anew, and the time-outs above.
const TRANSACTION_SECONDS: &[f64] =
    &[1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// A part is one round trip, or the handlers of a batch.
const PART_SECONDS: &[f64] = &[1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0];

/// One is an idle worker's batch; thousands are one that catches up.
const BATCH_EVENTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4];

/// From a small event to 64 MiB, by factors of four.
const BATCH_BYTES: &[f64] =
    &[1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0];

/// A tail of a changelog takes milliseconds, a whole one minutes.
const RESTORE_SECONDS: &[f64] = &[1e-2, 5e-2, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];

/// A stored event takes a round trip and the producer's linger; 30 s is where a publish ends unless told otherwise.
const REQUEST_SECONDS: &[f64] = &[1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

macro_rules! metrics {
    ($($constant:ident = $name:literal, $kind:expr, [$($label:literal),*], $counterpart:expr, $help:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $help, ".")]
            pub const $constant: Metric =
                Metric { name: $name, kind: $kind, labels: &[$($label),*], counterpart: $counterpart, help: $help };
        )*

        /// All of them, in the README's order.
        pub const ALL: &[&Metric] = &[$(&$constant),*];
    };
}

metrics! {
    READY = "fnhost_ready", Gauge, [], None,
        "1 while `/readyz` answers 200: all workers run, nothing is stopped, the broker is there";
    LIVE = "fnhost_live", Gauge, [], None,
        "1 while `/livez` answers 200: every worker's loop goes round";
    BROKER_UP = "fnhost_broker_up", Gauge, [], None,
        "1 when the broker answered the last time it was asked, which is every second";
    BROKER_ERRORS = "fnhost_broker_errors_total", Counter, ["error"], None,
        "Calls to the broker that failed, by class, of workers and of the watch over it; while it is away each try counts";
    PARTITIONS = "fnhost_partitions", Gauge, ["group", "state"], None,
        "Partitions that this host has: `owned`, and of these `stopped`, because their error event was refused";

    EVENTS = "fnhost_events_total", Counter, ["function", "verdict"], Some("messaging.client.consumed.messages"),
        "Events whose verdict is committed: `applied`, or the class of their error event; one for each function that reads them";
    EVENT_LATENCY = "fnhost_event_latency_seconds", Histogram(LATENCY_SECONDS), ["function"], None,
        "From the timestamp of an event's record to the commit of its verdict: one hop, waits included; needs clocks that agree";
    INVOCATION = "fnhost_invocation_seconds", Histogram(INVOCATION_SECONDS), ["function", "version"],
        Some("messaging.process.duration"),
        "Time of one invocation, its fresh instance included, by the first 7 digits of the version: the active one and the one before";
    RETRIES = "fnhost_retries_total", Counter, ["function"], None,
        "Tries that functions asked for beyond the first";
    SWAPS = "fnhost_swaps_total", Counter, ["function"], None,
        "Versions that took another's place while the host ran";
    DEPLOYMENT = "fnhost_deployment_number", Gauge, [], None,
        "The newest deployment that is active here; 0 before the first. Hosts of an app that differ for long do not follow";
    HELD_UP = "fnhost_deployment_held_up", Gauge, [], None,
        "1 while something keeps this host from the next deployment; `fnhost status` says what";
    SHADOW_EVENTS = "fnhost_shadow_events_total", Counter, ["function", "result"], None,
        "Events beside which a candidate was: `same`, the first thing that differs (`verdict`, `outputs`, `state`), or `passed-over` and `cut-short`";
    STATE_ENTRIES = "fnhost_state_entries", Gauge, ["function"], None,
        "Pairs of committed state in memory, those of partitions that were given away within the last hour included";
    STATE_BYTES = "fnhost_state_bytes", Gauge, ["function"], None,
        "Bytes of these keys and values, without what holding them costs";

    LAG_RECORDS = "fnhost_lag_records", Gauge, ["group", "topic", "partition"], None,
        "Offsets that lie before a group, transaction markers included: of all partitions, on every host, measured every 5 s";
    LAG_SECONDS = "fnhost_lag_seconds", Gauge, ["group", "topic", "partition"], None,
        "0 without lag; else the age of the event that a partition of this host is at: the oldest in hand, or the last that is done; none before the first";

    TRANSACTIONS = "fnhost_transactions_total", Counter, ["result"], None,
        "Commits by result: `committed`, or `again`, `stale`, `refused` and `over`";
    TRANSACTION = "fnhost_transaction_seconds", Histogram(TRANSACTION_SECONDS), [], None,
        "Time of one commit, whatever its result";
    TRANSACTION_PART = "fnhost_transaction_part_seconds", Histogram(PART_SECONDS), ["part"],
        Some("messaging.client.operation.duration"),
        "Where a batch's time goes: `handle` and `build`, and of a commit on Kafka `begin`, `offsets`, `deliver` and `commit`";
    BATCH_COUNT = "fnhost_batch_events", Histogram(BATCH_EVENTS), [], None,
        "Events of one batch when it closed";
    BATCH_SIZE = "fnhost_batch_bytes", Histogram(BATCH_BYTES), [], None,
        "Bytes of one batch's events when it closed";
    RESTORED_RECORDS = "fnhost_restored_records_total", Counter, [], None,
        "Changelog records read to restore state";
    RESTORE = "fnhost_restore_seconds", Histogram(RESTORE_SECONDS), [], None,
        "Time to restore the state of all partitions of one assignment";

    INGRESS_REQUESTS = "fnhost_ingress_requests_total", Counter, ["route", "status"], None,
        "Requests answered; status 499 is a client that left";
    INGRESS_REQUEST = "fnhost_ingress_request_seconds", Histogram(REQUEST_SECONDS), ["route"],
        Some("http.server.request.duration"),
        "Time of one request, its body included";

    SCHEDULE_TICKS = "fnhost_schedule_ticks_total", Counter, ["schedule"], None,
        "Slots of a schedule that this host wrote the ticks of; of all hosts together one a slot";
    SCHEDULE_SLOT = "fnhost_schedule_slot_timestamp_seconds", Gauge, ["schedule"], None,
        "When the newest slot that has its ticks began, in seconds since the Unix epoch, as far as this host knows";
    SCHEDULE_EVERY = "fnhost_schedule_every_seconds", Gauge, ["schedule"], None,
        "How long a slot of a schedule is";
    SPANS = "fnhost_spans_total", Counter, ["result"], Some("otel.sdk.exporter.span.exported"),
        "Spans of traces: `exported`, `failed` when the collector did not take them, `dropped` when too many waited for it";

    BUILD_INFO = "fnhost_build_info", Gauge, ["version", "rustc", "target", "wasmtime"], None,
        "Always 1: which fnhost this is, and what it was built with";
    START_TIME = "process_start_time_seconds", Gauge, [], None,
        "When the host started, in seconds since the Unix epoch";
    CPU = "process_cpu_seconds_total", Counter, [], Some("process.cpu.time"),
        "Processor time of the host, all threads";
    MEMORY = "process_resident_memory_bytes", Gauge, [], Some("process.memory.usage"),
        "Resident memory; 0 where it is not known, which is elsewhere than on Linux";
}
