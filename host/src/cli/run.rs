//! `fnhost run`: puts the parts together, waits for the end, and takes them apart again.
//!
//! When asked to, it builds the components and makes the topics first, as the verbs `build` and `topics apply` do.
//! Components are loaded and both listeners bound before the broker is asked for anything, so a mistake shows at once.
//! Health is served from then on; workers begin when the broker has answered, can give the guarantee and has the app's topics
//! ([`watch`]). The host ends by SIGTERM or SIGINT, which drains: no more requests, the open batch finished, the group left,
//! exit 0 within the deadline. It ends with an error when a worker meets what somebody has to look at.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch as channel};

use self::watch::Watch;
use super::topics::TopicsArgs;
use super::{Asked, Failure, RunArgs, build, topics};
use crate::admin::metrics::Metrics;
use crate::admin::status::{self, Status};
use crate::app::schemas::Schemas;
use crate::app::{App, manifest};
use crate::broker::kafka::Kafka;
use crate::broker::{self, Broker, Member, Pulse};
use crate::config::Secret;
use crate::deploy::{Deploy, Versions};
use crate::event::Digest;
use crate::invocation::Handler;
use crate::sandbox::{self, Sandbox};
use crate::worker::plan::{self, BatchLimits, Plan};
use crate::worker::thread::{self, SystemClock};
use crate::worker::{self, Clock};
use crate::{admin, ingress};

mod watch;

/// How many bytes of events a host holds ahead of its workers, all together.
const PREFETCH_BYTES_MAX: usize = 16 << 20;

/// What a host is run with.
struct Settings {
    /// What to run.
    app: App,
    /// Its schemas.
    schemas: Schemas,
    /// `HOST:PORT`, comma-separated.
    brokers: String,
    /// Client properties that were passed through.
    properties: BTreeMap<String, String>,
    /// Where the app's routes are served.
    http: SocketAddr,
    /// Where operators are served.
    admin: SocketAddr,
    /// A name that outlives the process.
    instance: Option<String>,
    /// For the seeds of guests' random numbers.
    secret: Secret,
    /// Where compiled components are kept.
    cache: Option<PathBuf>,
    /// How long a drain may take.
    drain_within: Duration,
    /// What bounds a batch.
    batch: BatchLimits,
    /// How many bytes of events the host may hold ahead of its workers, all together.
    prefetch_bytes_max: usize,
}

/// A host that is up.
struct Host {
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

/// A function whose component is none.
#[derive(Debug, thiserror::Error)]
#[error("function `{function}` cannot be loaded")]
struct Unloadable {
    function: String,
    /// What mends it.
    hint: String,
    #[source]
    error: sandbox::LoadError,
}

/// Why a worker, or the watch over the broker, ended the host.
type Fatal = mpsc::Receiver<anyhow::Error>;

/// Runs an app until it is told to end.
///
/// # Errors
/// Whatever keeps it from starting, or ended it.
pub(super) fn run(args: RunArgs) -> Result<(), Failure> {
    let connection = args.kafka.resolve()?;
    let manifest = manifest::read(&args.app.path)?;
    let schemas = Schemas::load(&manifest.schemas)?;
    let app = manifest.app.name.clone();
    let asked = Asked { path: &args.app.path, app: &app, brokers: &connection.brokers };
    if args.build {
        build::build_app(&manifest.app, &mut io::stderr())?;
    }
    if args.apply_topics {
        topics::topics(&TopicsArgs::apply(args.app.clone(), args.kafka), &mut io::stderr())?;
    }
    let settings = Settings {
        app: manifest.app,
        schemas,
        brokers: connection.brokers.clone(),
        properties: connection.properties.as_map().clone(),
        http: args.http,
        admin: args.admin,
        instance: args.instance.map(|instance| instance.as_str().to_owned()),
        secret: Secret::resolve(args.secret_file.as_deref())?,
        cache: args.cache,
        drain_within: args.drain_time,
        batch: BatchLimits::default(),
        prefetch_bytes_max: PREFETCH_BYTES_MAX,
    };
    host(settings).map_err(|error| match error.downcast::<broker::Error>() {
        Ok(error) => Failure::broker(error, &asked),
        Err(error) => match error.downcast::<Unloadable>() {
            Ok(error) => {
                let hint = error.hint.clone();
                Failure::fault(error).hint(hint)
            }
            Err(error) => Failure::fault(error),
        },
    })
}

/// Runs a host until it is told to end.
///
/// # Errors
/// What kept it from starting, what a worker could not go on from, or a drain that took too long.
fn host(settings: Settings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("http")
        .enable_all()
        .build()
        .context("the HTTP threads cannot be started")?;
    let ended = runtime.block_on(serve(settings));
    // What hangs in a request must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION")).context("metrics cannot be set up")?;
    let status = Status::new(&settings.app, status::SILENCE_MAX, status::uptime());
    let deploy = Arc::new(Deploy::new(load(&settings, &status)?));
    let kafka = Kafka::connect(&settings.brokers, &settings.properties, &settings.app.name)?;
    let broker: Arc<dyn Broker> = Arc::new(kafka);

    let admin_listener = bind(settings.admin, "admin").await?;
    let http_listener = bind(settings.http, "http").await?;
    tracing::info!(
        app = settings.app.name, version = env!("CARGO_PKG_VERSION"), broker = settings.brokers,
        http = %http_listener.local_addr()?, admin = %admin_listener.local_addr()?, "fnhost",
    );

    let (end, ended) = channel::channel(false);
    let until = |mut ended: channel::Receiver<bool>| async move {
        // An error means that the sender is gone, which is an end too.
        drop(ended.wait_for(|ended| *ended).await);
    };
    let (admin_end, admin_ended) = channel::channel(false);
    let admin_server = tokio::spawn({
        let (router, until) = (admin::router(Arc::clone(&status), Arc::clone(&metrics)), until(admin_ended));
        async move { admin::serve(admin_listener, router, &admin::limits(), until, Duration::from_secs(1)).await }
    });
    let routes = ingress::Ingress::new(
        &settings.app,
        &settings.schemas,
        broker.publisher()?,
        Arc::clone(&metrics),
        ingress::Options::default(),
        Arc::new(std::time::SystemTime::now),
    )?;
    let http_server = tokio::spawn(ingress::serve(http_listener, routes, until(ended), settings.drain_within));

    let (fatal, mut fatals) = mpsc::channel(8);
    let mut host = start(&settings, &broker, &deploy, &metrics, &status, &fatal)?;
    let failure = wait(&mut fatals).await?;

    tracing::info!(within = ?settings.drain_within, "draining: no more requests, then the open batch");
    status.set_draining();
    let deadline = tokio::time::Instant::now() + settings.drain_within;
    end.send_replace(true);
    // Both at once: requests that wait for the broker must not take the workers' time to leave the group.
    host.stop.store(true, Ordering::Relaxed);
    let workers = std::mem::take(&mut host.workers);
    let joined = tokio::task::spawn_blocking(move || workers.into_iter().all(|worker| worker.join().is_ok()));
    let joined = tokio::time::timeout_at(deadline, joined).await;
    if tokio::time::timeout_at(deadline, http_server).await.is_err() {
        tracing::warn!("requests were cut off");
    }
    admin_end.send_replace(true);
    drop(tokio::time::timeout(Duration::from_secs(2), admin_server).await);
    if let Some(failure) = failure {
        return Err(failure);
    }
    match joined {
        Ok(Ok(true)) => {
            tracing::info!("drained");
            Ok(())
        }
        Ok(_) => anyhow::bail!("a worker panicked while draining; nothing is lost, its batch is handled again"),
        Err(_) => anyhow::bail!(
            "the drain took longer than {:?}; nothing is lost, what was open is handled again",
            settings.drain_within
        ),
    }
}

/// Waits for a signal, or for what ends the host.
async fn wait(fatals: &mut Fatal) -> anyhow::Result<Option<anyhow::Error>> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be listened for")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be listened for")?;
    Ok(tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        fatal = fatals.recv() => fatal,
    })
}

async fn bind(address: SocketAddr, which: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; is another host running? choose another with --{which} ADDR")
    })
}

/// Loads every function's component.
fn load(settings: &Settings, status: &Status) -> anyhow::Result<Versions> {
    let workers: usize = settings.app.groups().keys().map(|group| workers_of(&settings.app, group)).sum();
    let options = sandbox::Options { cache: settings.cache.clone(), instances_max: workers + 1, ..Default::default() };
    let sandbox = Sandbox::new(&options)?;
    let mut versions = Versions::new();
    let root = settings.app.root.display();
    for function in &settings.app.functions {
        let file = settings.app.component_file(function);
        let version = sandbox.load_file(&file).map_err(|error| {
            let hint = match (&error, error.hint()) {
                (sandbox::LoadError::NotThere { .. }, _) => format!("run with --build, or fnhost build {root}"),
                (_, Some(hint)) => hint.to_owned(),
                (_, None) => format!("fnhost check {root}"),
            };
            Unloadable { function: function.name.clone(), hint, error }
        })?;
        let digest: Digest = version.digest();
        tracing::info!(function = function.name, version = digest.short(), "loaded");
        status.set_version(&function.name, digest);
        versions.insert(function.name.clone(), Arc::new(version));
    }
    Ok(versions)
}

fn workers_of(app: &App, group: &str) -> usize {
    app.workers.get(group).copied().unwrap_or(1).max(1)
}

/// Starts the watch over the broker, and by it the workers.
fn start(
    settings: &Settings,
    broker: &Arc<dyn Broker>,
    deploy: &Arc<Deploy>,
    metrics: &Arc<Metrics>,
    status: &Arc<Status>,
    fatal: &mpsc::Sender<anyhow::Error>,
) -> anyhow::Result<Host> {
    let stop = Arc::new(AtomicBool::new(false));
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
            limits: settings.batch,
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
            };
            let member = Member {
                group: group.clone(),
                name: name.clone(),
                stable: settings.instance.is_some(),
                topics: plan.topics(),
                poll_interval_max: poll_interval(&plan),
                events_max: settings.batch.events_max,
                bytes_max: settings.batch.bytes_max,
                prefetch_bytes_max: settings.prefetch_bytes_max / total.max(1),
                pulse: Pulse::new(move || shown.beat()),
            };
            let (stop, begun, fatal) = (Arc::clone(&stop), Arc::clone(&begun), fatal.clone());
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
                    Ok(Err(error)) => report(&fatal, error.into()),
                    Err(_) => report(&fatal, anyhow::anyhow!("worker {} panicked; nothing is lost", member.name)),
                }
            });
            workers.push(thread.context("a worker's thread cannot be started")?);
        }
    }
    let watch = Watch {
        broker: Arc::clone(broker),
        app: settings.app.clone(),
        endpoint: settings.brokers.clone(),
        metrics: Arc::clone(metrics),
        status: Arc::clone(status),
        stop: Arc::clone(&stop),
        begun,
    };
    let fatal = fatal.clone();
    let watching = std::thread::Builder::new().name("watch".to_owned()).spawn(move || {
        if let Err(error) = watch.run() {
            report(&fatal, error.into());
        }
    });
    // It is not waited for: it may sit in a question to a broker that is away.
    drop(watching.context("the watch over the broker cannot be started")?);
    Ok(Host { stop, workers })
}

/// The longest a worker may stay silent before its group gives its partitions away: twice a batch's time and its slowest
/// event, and at least what librdkafka has as its default.
fn poll_interval(plan: &Plan) -> Duration {
    let worst = plan.limits.time_max.saturating_add(plan.event_time_max());
    worst.saturating_mul(2).max(Duration::from_secs(300))
}

/// Ends the host. The first report is the one that counts.
fn report(fatal: &mpsc::Sender<anyhow::Error>, error: anyhow::Error) {
    if let Err(error) = fatal.try_send(error) {
        tracing::debug!(%error, "the host is ending already");
    }
}
