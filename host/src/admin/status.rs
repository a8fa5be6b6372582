//! What the host's parts report about themselves, and what follows from it: live, ready, how far behind.
//!
//! Workers write through [`WorkerStatus`], the host through [`Status`]; the admin listener reads. Nothing here asks
//! anybody, so an answer is as old as the last report. Bounded by the manifest: one entry a worker, a function, a
//! partition.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::metrics::Health;
use crate::app::App;
use crate::broker::Progress;
use crate::deploy::book::Number;
use crate::event::{Digest, Partition};
use crate::sync::lock;

/// What tells the time since some moment, and never goes back.
pub type Uptime = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The time since this call.
pub fn uptime() -> Uptime {
    let since = Instant::now();
    Arc::new(move || since.elapsed())
}

/// How long a worker's loop may be silent and still be taken as alive. Longer than the longest step: a batch's
/// handlers and retries, then a commit whose outcome the broker is slow to tell.
pub const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Where a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It waits for its place in the group.
    Joining,
    /// It reads the state of what it was assigned.
    Restoring,
    /// The owners before it were further: it waits until this host has that deployment.
    Awaiting {
        /// Its number.
        deployment: Number,
    },
    /// It handles events, or has none to handle.
    Running,
    /// Its broker does not answer.
    Away,
    /// Its positions are held by a transaction that the broker does not end.
    Held,
    /// It has left and does not come back.
    Over,
}

/// What the host knows of itself. One a process, shared.
pub struct Status {
    app: String,
    functions: Vec<Known>,
    silence_max: Duration,
    uptime: Uptime,
    broker_reachable: AtomicBool,
    draining: AtomicBool,
    /// In the order of their registration.
    workers: Mutex<Vec<Arc<Worker>>>,
    versions: Mutex<BTreeMap<String, Digest>>,
    deployments: Mutex<Deployments>,
    /// By group. Replaced as a whole by each report.
    lag: Mutex<BTreeMap<String, BTreeMap<Partition, u64>>>,
}

/// A function as the manifest has it.
struct Known {
    name: String,
    group: String,
    input: Vec<Arc<str>>,
}

/// One worker's reports.
struct Worker {
    name: String,
    group: String,
    uptime: Uptime,
    /// In milliseconds of `uptime`.
    last_beat_ms: AtomicU64,
    held: Mutex<Held>,
}

struct Held {
    phase: Phase,
    partitions: BTreeSet<Partition>,
    stopped: BTreeMap<Partition, String>,
}

impl Status {
    /// A host that has not begun: the broker not heard yet, no workers.
    pub fn new(app: &App, silence_max: Duration, uptime: Uptime) -> Arc<Self> {
        let known = |f: &Arc<crate::app::Function>| Known {
            name: f.name.clone(),
            group: app.group_of(f),
            input: f.input.clone(),
        };
        Arc::new(Self {
            app: app.name.clone(),
            functions: app.functions.iter().map(known).collect(),
            silence_max,
            uptime,
            broker_reachable: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            workers: Mutex::default(),
            versions: Mutex::default(),
            deployments: Mutex::default(),
            lag: Mutex::default(),
        })
    }

    /// Registers a worker of a group (its full name), which is then expected to beat. All workers of the host are
    /// registered before the first one runs: readiness knows only of those.
    pub fn worker(&self, name: &str, group: &str) -> WorkerStatus {
        let worker = Arc::new(Worker {
            name: name.to_owned(),
            group: group.to_owned(),
            uptime: Arc::clone(&self.uptime),
            last_beat_ms: AtomicU64::new(millis((self.uptime)())),
            held: Mutex::new(Held { phase: Phase::Joining, partitions: BTreeSet::new(), stopped: BTreeMap::new() }),
        });
        let mut workers = lock(&self.workers);
        workers.retain(|other| other.name != worker.name);
        workers.push(Arc::clone(&worker));
        WorkerStatus(worker)
    }

    /// Notes whether the broker answered when it was asked.
    pub fn set_broker_reachable(&self, reachable: bool) {
        self.broker_reachable.store(reachable, Ordering::Relaxed);
    }

    /// Whether the broker answered when it was last asked.
    pub fn is_broker_reachable(&self) -> bool {
        self.broker_reachable.load(Ordering::Relaxed)
    }

    /// The host is about to end: not ready from now on, and workers may end.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Which version of a function is active.
    pub fn set_version(&self, function: &str, version: Digest) {
        lock(&self.versions).insert(function.to_owned(), version);
    }

    /// How far this host has come with the app's deployments.
    pub fn deployments(&self) -> Deployments {
        lock(&self.deployments).clone()
    }

    /// Sets how far this host has come with the app's deployments.
    pub fn set_deployments(&self, deployments: Deployments) {
        *lock(&self.deployments) = deployments;
    }

    /// How far a group (its full name) has come, in all the partitions that it reads.
    pub fn set_lag(&self, group: &str, progress: &[Progress]) {
        let lag = progress.iter().map(|p| (p.partition.clone(), p.lag())).collect();
        lock(&self.lag).insert(group.to_owned(), lag);
    }

    /// Why the process should be started anew; empty when it need not. Says nothing of the broker.
    pub fn dead(&self) -> Vec<Reason> {
        let draining = self.draining.load(Ordering::Relaxed);
        let now = (self.uptime)();
        let silent = |worker: &Arc<Worker>| {
            let silence = now.saturating_sub(Duration::from_millis(worker.last_beat_ms.load(Ordering::Relaxed)));
            let expected = !draining || lock(&worker.held).phase != Phase::Over;
            (expected && silence > self.silence_max)
                .then(|| worker.reason(format!("has been silent for {} s", silence.as_secs())))
        };
        lock(&self.workers).iter().filter_map(silent).collect()
    }

    /// Why no requests should be sent here; empty when they should.
    pub fn unready(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if self.draining.load(Ordering::Relaxed) {
            reasons.push(Reason::of_host("the host is draining"));
        }
        if !self.is_broker_reachable() {
            reasons.push(Reason::of_host("the broker is away"));
        }
        let workers = lock(&self.workers);
        if workers.is_empty() && !self.functions.is_empty() {
            reasons.push(Reason::of_host("no worker has begun"));
        }
        for worker in workers.iter() {
            let held = lock(&worker.held);
            match held.phase {
                Phase::Running => {}
                Phase::Joining => reasons.push(worker.reason("waits for its place in the group")),
                Phase::Restoring => reasons.push(worker.reason("restores state")),
                Phase::Awaiting { deployment } => {
                    reasons.push(
                        worker.reason(format!("waits for deployment {deployment}, which its partitions had before")),
                    );
                }
                Phase::Away => reasons.push(worker.reason("cannot reach the broker")),
                Phase::Held => reasons.push(worker.reason(
                    "waits for a transaction that Kafka does not end; kafka-transactions.sh find-hanging shows it, and abort ends it",
                )),
                Phase::Over => reasons.push(worker.reason("has ended")),
            }
            reasons.extend(held.stopped.iter().map(|(partition, why)| Reason {
                partition: Some(partition.to_string()),
                ..worker.reason(format!("stopped: {why}"))
            }));
        }
        reasons
    }

    /// The same in numbers.
    pub fn health(&self) -> Health {
        let mut partitions: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for worker in lock(&self.workers).iter() {
            let held = lock(&worker.held);
            let (owned, stopped) = partitions.entry(worker.group.clone()).or_default();
            *owned += held.partitions.len();
            *stopped += held.stopped.len();
        }
        let (live, ready) = (self.dead().is_empty(), self.unready().is_empty());
        Health { live, ready, broker_up: self.is_broker_reachable(), partitions }
    }

    /// What runs here.
    pub fn functions(&self) -> Functions {
        let workers = lock(&self.workers);
        let versions = lock(&self.versions);
        let lag = lock(&self.lag);
        let functions = self.functions.iter().map(|known| {
            let mut partitions = BTreeMap::new();
            let reads = |partition: &Partition| known.input.contains(&partition.topic);
            for (partition, &lag) in lag.get(&known.group).into_iter().flatten().filter(|(p, _)| reads(p)) {
                entry(&mut partitions, partition).lag = Some(lag);
            }
            for worker in workers.iter().filter(|worker| worker.group == known.group) {
                let held = lock(&worker.held);
                for partition in held.partitions.iter().filter(|p| reads(p)) {
                    entry(&mut partitions, partition).owned = true;
                }
                for (partition, why) in held.stopped.iter().filter(|(p, _)| reads(p)) {
                    entry(&mut partitions, partition).stopped = Some(why.clone());
                }
            }
            let partitions: Vec<_> = partitions.into_values().collect();
            FunctionView {
                function: known.name.clone(),
                version: versions.get(&known.name).map(Digest::to_string),
                group: known.group.clone(),
                input: known.input.iter().map(|topic| topic.to_string()).collect(),
                lag: partitions.iter().filter_map(|p| p.lag).fold(0, u64::saturating_add),
                partitions,
            }
        });
        Functions { app: self.app.clone(), functions: functions.collect(), deployments: self.deployments() }
    }
}

/// Why a host is not live or not ready.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Reason {
    /// Which worker, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Which partition, when it is one: `topic[number]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// What is the matter.
    pub reason: String,
}

impl Reason {
    fn of_host(reason: &str) -> Self {
        Self { worker: None, partition: None, reason: reason.to_owned() }
    }
}

/// What runs on this host, as `/functions` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Functions {
    /// The app's name.
    pub app: String,
    /// In the manifest's order.
    pub functions: Vec<FunctionView>,
    /// How far it has come with the app's deployments.
    #[serde(default)]
    pub deployments: Deployments,
}

/// How far a host has come with the app's deployments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployments {
    /// The newest one that is active here; 0 before the first.
    pub number: Number,
    /// Why the next one is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_up: Option<String>,
    /// Versions whose first events are being watched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_trial: Vec<OnTrial>,
}

/// A version whose first events are being watched on this host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OnTrial {
    /// Of which function.
    pub function: String,
    /// Which, `sha256:` and 64 digits.
    pub version: String,
    /// How many more it has to stand here.
    pub events_left: u64,
}

/// One function, as `/functions` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct FunctionView {
    /// Its name.
    pub function: String,
    /// The active version, `sha256:` and 64 digits; `None` before one is.
    pub version: Option<String>,
    /// Its consumer group's full name.
    pub group: String,
    /// The topics it reads.
    pub input: Vec<String>,
    /// The lags that are known, together: how far the whole group is behind, not this host alone.
    pub lag: u64,
    /// Those that this host owns, and those whose lag is known.
    pub partitions: Vec<PartitionView>,
}

/// One partition, as `/functions` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct PartitionView {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// Whether a worker of this host reads it.
    pub owned: bool,
    /// Offsets that lie before the group; `None` before it was asked for.
    pub lag: Option<u64>,
    /// Why it is not read on, when it is stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

fn entry<'a>(views: &'a mut BTreeMap<Partition, PartitionView>, partition: &Partition) -> &'a mut PartitionView {
    views.entry(partition.clone()).or_insert_with(|| PartitionView {
        topic: partition.topic.to_string(),
        partition: partition.number,
        owned: false,
        lag: None,
        stopped: None,
    })
}

impl Worker {
    fn reason(&self, reason: impl Into<String>) -> Reason {
        Reason { worker: Some(self.name.clone()), partition: None, reason: reason.into() }
    }
}

/// What one worker reports through. Cheap to clone.
#[derive(Clone)]
pub struct WorkerStatus(Arc<Worker>);

impl WorkerStatus {
    /// The loop went round. To be called at least every few seconds; costs one look at the clock.
    pub fn beat(&self) {
        self.0.last_beat_ms.store(millis((self.0.uptime)()), Ordering::Relaxed);
    }

    /// Where the worker is now.
    pub fn set_phase(&self, phase: Phase) {
        lock(&self.0.held).phase = phase;
    }

    /// What the worker owns now, all of it.
    pub fn set_partitions(&self, partitions: impl IntoIterator<Item = Partition>) {
        let partitions = partitions.into_iter().collect();
        lock(&self.0.held).partitions = partitions;
    }

    /// What the worker does not read on, all of it, and why.
    pub fn set_stopped(&self, stopped: BTreeMap<Partition, String>) {
        lock(&self.0.held).stopped = stopped;
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
