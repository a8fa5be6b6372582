//! A host: everything of an app put together over a broker; started, watched and ended. `run`, `dev` and `demo` use it.
//!
//! Components are loaded and both listeners bound before the broker is asked for anything, so a mistake shows at once.
//! Health is served from then on; workers begin when the broker has answered, can give the guarantee and has the app's topics
//! ([`watch`]). A host drains when it is told to: no more requests, the open batch finished, the group left, all within a
//! deadline. It fails when a worker meets what somebody has to look at.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch as channel};
use tokio::task;

use self::watch::Watch;
use super::compile;
use crate::admin::events::Events;
use crate::admin::metrics::Metrics;
use crate::admin::status::{self, Status};
use crate::app::schemas::Schemas;
use crate::app::{App, Function};
use crate::broker::{Broker, Member, Pulse};
use crate::config::Secret;
use crate::deploy::{Deploy, Versions};
use crate::event::Digest;
use crate::invocation::Handler;
use crate::sandbox::{self, Sandbox, Version};
use crate::worker::plan::{self, BatchLimits, Plan};
use crate::worker::tap::Tap;
use crate::worker::thread::{self, SystemClock};
use crate::worker::{self, Clock};
use crate::{admin, ingress};

mod watch;

/// How many bytes of events a host holds ahead of its workers, all together.
const PREFETCH_BYTES_MAX: usize = 16 << 20;
/// Between two looks whether the host is ready.
const READY_LOOK: Duration = Duration::from_millis(10);
/// How long the admin listener may take to end, after everything else.
const ADMIN_END: Duration = Duration::from_secs(2);

/// What a host is started with.
pub(super) struct Settings {
    /// What to run.
    pub(super) app: App,
    /// Its schemas.
    pub(super) schemas: Schemas,
    /// Where the broker is, for people.
    pub(super) endpoint: String,
    /// Where the app's routes are served.
    pub(super) http: SocketAddr,
    /// Where operators are served.
    pub(super) admin: SocketAddr,
    /// A name that outlives the process.
    pub(super) instance: Option<String>,
    /// For the seeds of guests' random numbers.
    pub(super) secret: Secret,
    /// Where compiled components are kept.
    pub(super) cache: Option<PathBuf>,
    /// How long a drain may take.
    pub(super) drain_within: Duration,
    /// Told of what is committed, if anybody looks on.
    pub(super) tap: Option<Arc<dyn Tap>>,
}

/// A host that is up.
pub(super) struct Host {
    /// Where the app's routes are served.
    pub(super) http: SocketAddr,
    /// Where operators are served.
    pub(super) admin: SocketAddr,
    drain_within: Duration,
    app: App,
    cache: Option<PathBuf>,
    sandbox: Arc<Sandbox>,
    deploy: Arc<Deploy>,
    status: Arc<Status>,
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
    failures: mpsc::Receiver<anyhow::Error>,
    http_end: channel::Sender<bool>,
    http_server: task::JoinHandle<ingress::Drained>,
    admin_end: channel::Sender<bool>,
    admin_server: task::JoinHandle<ingress::Drained>,
}

/// A function whose component is none.
#[derive(Debug, thiserror::Error)]
#[error("function `{function}` cannot be loaded")]
pub(super) struct Unloadable {
    function: String,
    /// What mends it.
    pub(super) hint: String,
    #[source]
    error: sandbox::LoadError,
}

/// A listener that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("nothing can be served on {address}")]
pub(super) struct Unbound {
    address: SocketAddr,
    option: &'static str,
    #[source]
    error: io::Error,
}

impl Unbound {
    /// What mends it.
    pub(super) fn hint(&self) -> String {
        let Self { address, option, error } = self;
        let other = |port| format!("{option} {}", SocketAddr::new(address.ip(), port));
        match error.kind() {
            io::ErrorKind::AddrInUse => {
                let free = other(address.port().checked_add(100).unwrap_or_default());
                format!("end what listens there, perhaps another fnhost, or choose another address: {free}")
            }
            io::ErrorKind::PermissionDenied => {
                format!("ports below 1024 are not for everybody; choose another: {}", other(8080))
            }
            _ => format!("choose an address of this machine, such as {option} 127.0.0.1:{}", address.port()),
        }
    }
}

impl Host {
    /// Starts a host. It waits for the broker by itself.
    ///
    /// # Errors
    /// [`Unloadable`], [`Unbound`], or [`Interrupted`](super::failure::Interrupted).
    pub(super) async fn start(settings: Settings, broker: Arc<dyn Broker>) -> anyhow::Result<Self> {
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION")).context("metrics cannot be set up")?;
        let status = Status::new(&settings.app, status::SILENCE_MAX, status::uptime());
        let (sandbox, versions) = load(&settings, &status)?;
        let deploy = Arc::new(Deploy::new(versions));

        let admin_listener = bind(settings.admin, "--admin").await?;
        let http_listener = bind(settings.http, "--http").await?;
        let (http, admin) = (http_listener.local_addr()?, admin_listener.local_addr()?);
        tracing::info!(
            app = settings.app.name, version = env!("CARGO_PKG_VERSION"), broker = settings.endpoint,
            %http, %admin, "fnhost",
        );

        let publisher = broker.publisher()?;
        let events = Events::new(&settings.app, Arc::clone(&broker), Arc::clone(&publisher), Arc::clone(&status));
        let (admin_end, admin_ended) = channel::channel(false);
        let admin_server = task::spawn({
            let router = admin::router(Arc::clone(&status), Arc::clone(&metrics), events);
            let until = set(admin_ended);
            async move { admin::serve(admin_listener, router, &admin::limits(), until, Duration::from_secs(1)).await }
        });
        let routes = ingress::Ingress::new(
            &settings.app,
            &settings.schemas,
            publisher,
            Arc::clone(&metrics),
            ingress::Options::default(),
            Arc::new(std::time::SystemTime::now),
        )?;
        let (http_end, http_ended) = channel::channel(false);
        let http_server = task::spawn(ingress::serve(http_listener, routes, set(http_ended), settings.drain_within));

        let (failed, failures) = mpsc::channel(8);
        let stop = Arc::new(AtomicBool::new(false));
        let workers = start_workers(&settings, &broker, &deploy, &metrics, &status, &stop, &failed)?;
        let drain_within = settings.drain_within;
        Ok(Self {
            http,
            admin,
            drain_within,
            app: settings.app,
            cache: settings.cache,
            sandbox,
            deploy,
            status,
            stop,
            workers,
            failures,
            http_end,
            http_server,
            admin_end,
            admin_server,
        })
    }

    /// Waits until the host is ready: every worker runs.
    ///
    /// # Errors
    /// What ended it, or what is not ready after `within`.
    pub(super) async fn ready(&mut self, within: Duration) -> anyhow::Result<()> {
        let until = tokio::time::Instant::now() + within;
        loop {
            let reasons = self.status.unready();
            if reasons.is_empty() {
                return Ok(());
            }
            if tokio::time::Instant::now() >= until {
                anyhow::bail!("the host is not ready after {within:?}: {}", serde_json::to_string(&reasons)?);
            }
            if let Ok(failure) = tokio::time::timeout(READY_LOOK, self.failed()).await {
                return Err(failure);
            }
        }
    }

    /// Waits until something ends the host that is not its user.
    pub(super) async fn failed(&mut self) -> anyhow::Error {
        match self.failures.recv().await {
            Some(failure) => failure,
            // Every worker has ended, and none said why.
            None => anyhow::anyhow!("every worker has ended"),
        }
    }

    /// What ended the host, if anything did yet.
    pub(super) fn failure(&mut self) -> Option<anyhow::Error> {
        self.failures.try_recv().ok()
    }

    /// Has a function's workers handle their next batch with what its component file is now. `None` when that is what they do.
    ///
    /// # Errors
    /// [`Unloadable`]: the old version stays.
    pub(super) fn swap(&self, function: &Function) -> anyhow::Result<Option<Digest>> {
        let file = self.app.component_file(function);
        if let Some(cache) = &self.cache
            && self.sandbox.must_compile(&file)
        {
            compile::ahead(cache, &[file])?;
        }
        let version = load_one(&self.sandbox, &self.app, function)?;
        let digest = version.digest();
        if self.deploy.digests().get(&function.name) == Some(&digest) {
            return Ok(None);
        }
        self.deploy.activate(&function.name, Arc::new(version));
        self.status.set_version(&function.name, digest);
        Ok(Some(digest))
    }

    /// Ends the host: no more requests, the open batch finished, the group left.
    ///
    /// # Errors
    /// A drain that took too long, or a worker that panicked meanwhile.
    pub(super) async fn drain(self) -> anyhow::Result<()> {
        tracing::info!(within = ?self.drain_within, "draining: no more requests, then the open batch");
        self.status.set_draining();
        let deadline = tokio::time::Instant::now() + self.drain_within;
        self.http_end.send_replace(true);
        // Both at once: requests that wait for the broker must not take the workers' time to leave the group.
        self.stop.store(true, Ordering::Relaxed);
        let workers = self.workers;
        let joined = task::spawn_blocking(move || workers.into_iter().all(|worker| worker.join().is_ok()));
        let joined = tokio::time::timeout_at(deadline, joined).await;
        if tokio::time::timeout_at(deadline, self.http_server).await.is_err() {
            tracing::warn!("requests were cut off");
        }
        self.admin_end.send_replace(true);
        drop(tokio::time::timeout(ADMIN_END, self.admin_server).await);
        match joined {
            Ok(Ok(true)) => {
                tracing::info!("drained");
                Ok(())
            }
            Ok(_) => anyhow::bail!("a worker panicked while draining; nothing is lost, its batch is handled again"),
            Err(_) => anyhow::bail!(
                "the drain took longer than {:?}; nothing is lost, what was open is handled again",
                self.drain_within
            ),
        }
    }
}

/// Waits until it is set.
async fn set(mut flag: channel::Receiver<bool>) {
    // An error means that the sender is gone, which is an end too.
    drop(flag.wait_for(|set| *set).await);
}

async fn bind(address: SocketAddr, option: &'static str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| Unbound { address, option, error }.into())
}

/// Loads every function's component.
fn load(settings: &Settings, status: &Status) -> anyhow::Result<(Arc<Sandbox>, Versions)> {
    let workers: usize = settings.app.groups().keys().map(|group| workers_of(&settings.app, group)).sum();
    // Without a folder to keep it in, what is compiled lasts until it is loaded.
    let (_temporary, cache) = match &settings.cache {
        Some(folder) => (None, folder.clone()),
        None => {
            let folder = tempfile::tempdir().context("no folder for compiled components can be made")?;
            let path = folder.path().to_owned();
            (Some(folder), path)
        }
    };
    let options = sandbox::Options { cache: Some(cache.clone()), instances_max: workers + 1, ..Default::default() };
    let sandbox = Sandbox::new(&options)?;
    let files = settings.app.functions.iter().map(|function| settings.app.component_file(function));
    let files: Vec<PathBuf> = files.filter(|file| sandbox.must_compile(file)).collect();
    compile::ahead(&cache, &files)?;
    let mut versions = Versions::new();
    for function in &settings.app.functions {
        let version = load_one(&sandbox, &settings.app, function)?;
        let digest: Digest = version.digest();
        tracing::info!(function = function.name, version = digest.short(), "loaded");
        status.set_version(&function.name, digest);
        versions.insert(function.name.clone(), Arc::new(version));
    }
    Ok((sandbox, versions))
}

fn load_one(sandbox: &Arc<Sandbox>, app: &App, function: &Function) -> Result<Version, Unloadable> {
    sandbox.load_file(&app.component_file(function)).map_err(|error| {
        let root = app.root.display();
        let hint = match (&error, error.hint()) {
            (sandbox::LoadError::NotThere { .. }, _) => format!("run with --build, or fnhost build {root}"),
            (_, Some(hint)) => hint.to_owned(),
            (_, None) => format!("fnhost check {root}"),
        };
        Unloadable { function: function.name.clone(), hint, error }
    })
}

fn workers_of(app: &App, group: &str) -> usize {
    app.workers.get(group).copied().unwrap_or(1).max(1)
}

/// Starts the watch over the broker, and by it the workers.
fn start_workers(
    settings: &Settings,
    broker: &Arc<dyn Broker>,
    deploy: &Arc<Deploy>,
    metrics: &Arc<Metrics>,
    status: &Arc<Status>,
    stop: &Arc<AtomicBool>,
    failed: &mpsc::Sender<anyhow::Error>,
) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let limits = BatchLimits::default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let instance = settings.instance.clone().unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
    let groups = settings.app.groups();
    let total: usize = groups.keys().map(|group| workers_of(&settings.app, group)).sum();
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
        let plan = Arc::new(Plan::new(&settings.app, group, functions, &parts));
        for number in 0..workers_of(&settings.app, group) {
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
        app: settings.app.clone(),
        endpoint: settings.endpoint.clone(),
        metrics: Arc::clone(metrics),
        status: Arc::clone(status),
        stop: Arc::clone(stop),
        begun,
    });
    let failed = failed.clone();
    let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let measuring = named("lag").spawn({
        let watch = Arc::clone(&watch);
        move || watch.measure_lag()
    });
    let watching = named("watch").spawn(move || {
        if let Err(error) = watch.run() {
            report(&failed, error.into());
        }
    });
    // They are not waited for: they may sit in a question to a broker that is away.
    for started in [measuring, watching] {
        drop(started.context("the watch over the broker cannot be started")?);
    }
    Ok(workers)
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
