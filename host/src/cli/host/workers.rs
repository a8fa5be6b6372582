//! A host's workers, and the watch that has them begin.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc;

use super::Settings;
use super::watch::Watch;
use crate::admin::metrics::Metrics;
use crate::admin::status::Status;
use crate::app::App;
use crate::broker::{Broker, Error, Member, Pulse};
use crate::deploy::Deploy;
use crate::deploy::follow::Follower;
use crate::spans::Spans;
use crate::worker::plan::{self, BatchLimits, Plan};
use crate::worker::thread::{self, SystemClock};
use crate::worker::{self, Clock};

/// How many bytes of events a host holds ahead of its workers, all together.
const PREFETCH_BYTES_MAX: usize = 16 << 20;

/// How many workers all groups have together.
pub(super) fn workers_in(app: &App) -> usize {
    app.groups().keys().map(|group| workers_of(app, group)).sum()
}

fn workers_of(app: &App, group: &str) -> usize {
    app.workers.get(group).copied().unwrap_or(1).max(1)
}

/// What a thread of the watch does until it is told to stop.
type Work = fn(&Watch) -> Result<(), Error>;

/// What workers are started with.
pub(super) struct Starting<'a> {
    pub(super) settings: &'a Settings,
    pub(super) app: &'a App,
    pub(super) broker: &'a Arc<dyn Broker>,
    pub(super) deploy: &'a Arc<Deploy>,
    pub(super) follower: Option<&'a Arc<Follower>>,
    pub(super) metrics: &'a Arc<Metrics>,
    pub(super) spans: Option<&'a Arc<Spans>>,
    pub(super) status: &'a Arc<Status>,
    /// Ends them.
    pub(super) stop: &'a Arc<AtomicBool>,
    /// Told what ends them otherwise.
    pub(super) failed: &'a mpsc::Sender<anyhow::Error>,
}

impl Starting<'_> {
    /// Starts the watch over the broker, and by it the workers.
    pub(super) fn start(&self) -> anyhow::Result<Vec<JoinHandle<()>>> {
        let Self { settings, app, broker, deploy, follower, metrics, spans, status, stop, failed } = *self;
        let limits = BatchLimits::default();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let instance = settings.instance.clone().unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
        let groups = app.groups();
        let total = workers_in(app);
        let begun = Arc::new(AtomicBool::new(false));
        let mut workers = Vec::new();
        for (group, functions) in &groups {
            let parts = plan::Parts {
                secret: settings.secret.bytes(),
                instance: &instance,
                schema: &|name| settings.schemas.get(name),
                metrics: &|name| metrics.function(name),
                limits,
            };
            let plan = Arc::new(Plan::new(app, group, functions, &parts).recorded_by(spans.cloned()));
            for number in 0..workers_of(app, group) {
                let name = format!("{group}.{instance}.{number}");
                let shown = status.worker(&name, group);
                let parts = worker::Parts {
                    broker: Arc::clone(broker),
                    plan: Arc::clone(&plan),
                    deploy: Arc::clone(deploy),
                    clock: Arc::clone(&clock),
                    metrics: Arc::clone(metrics),
                    status: shown.clone(),
                    tap: settings.tap.clone(),
                };
                let member = Member {
                    group: group.clone(),
                    name: name.clone(),
                    stable: settings.instance.is_some(),
                    topics: plan.topics(),
                    poll_interval_max: poll_interval(&plan),
                    events_max: limits.events_max,
                    bytes_max: limits.bytes_max,
                    prefetch_bytes_max: PREFETCH_BYTES_MAX / total.max(1),
                    pulse: Pulse::new(move || shown.beat()),
                };
                let (stop, begun, failed) = (Arc::clone(stop), Arc::clone(&begun), failed.clone());
                let leave_within = settings.drain_within;
                let thread = std::thread::Builder::new().name(name.clone()).spawn(move || {
                    while !begun.load(Ordering::Relaxed) {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        parts.status.beat();
                        std::thread::park_timeout(Duration::from_millis(50));
                    }
                    let run = std::panic::AssertUnwindSafe(|| thread::run(parts, &member, &stop, leave_within));
                    match std::panic::catch_unwind(run) {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => report(&failed, error.into()),
                        Err(_) => report(&failed, anyhow::anyhow!("worker {} panicked; nothing is lost", member.name)),
                    }
                });
                workers.push(thread.context("a worker's thread cannot be started")?);
            }
        }
        let watch = Arc::new(Watch {
            broker: Arc::clone(broker),
            app: app.clone(),
            endpoint: settings.endpoint.clone(),
            metrics: Arc::clone(metrics),
            status: Arc::clone(status),
            stop: Arc::clone(stop),
            begun,
            follower: follower.map(Arc::clone),
        });
        let failed = failed.clone();
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let works: [(&str, Work); 4] = [
            ("lag", Watch::measure_lag),
            ("deployments", Watch::follow),
            ("schedules", Watch::tick),
            ("watch", Watch::run),
        ];
        for (name, work) in works {
            let (watch, failed) = (Arc::clone(&watch), failed.clone());
            let thread = named(name).spawn(move || {
                match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&watch))) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => report(&failed, error.into()),
                    Err(_) => report(&failed, anyhow::anyhow!("the thread `{name}` panicked; nothing is lost")),
                }
            });
            // It is not waited for: it may sit in a question to a broker that is away.
            drop(thread.context("the watch over the broker cannot be started")?);
        }
        Ok(workers)
    }
}

/// The longest a worker may stay silent before its group gives its partitions away: twice a batch's time and its slowest
/// event, and at least what librdkafka has as its default.
fn poll_interval(plan: &Plan) -> Duration {
    let worst = plan.limits.time_max.saturating_add(plan.event_time_max());
    worst.saturating_mul(2).max(Duration::from_secs(300))
}

/// Ends the host. The first report is the one that counts.
fn report(failed: &mpsc::Sender<anyhow::Error>, error: anyhow::Error) {
    if let Err(error) = failed.try_send(error) {
        tracing::debug!(%error, "the host is ending already");
    }
}
