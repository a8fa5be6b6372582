//! A host: everything of an app put together over a broker; started, watched and ended. `run`, `dev` and `demo` use it.
//!
//! Components are loaded and both listeners bound before the broker is asked for anything, so a mistake shows at once.
//! Health is served from then on; workers begin when the broker has answered, can give the guarantee and has the app's topics
//! ([`watch`]). A host drains when it is told to: no more requests, the open batch finished, the group left, all within a
//! deadline. It fails when a worker meets what somebody has to look at.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch as channel};
use tokio::task;

use self::seen::Seen;
use self::workers::Starting;
use super::Failure;
use crate::admin::deployments::{Deployments, Stage};
use crate::admin::events::Events;
use crate::admin::metrics::Metrics;
use crate::admin::status::{self, Status};
use crate::app::Function;
use crate::app::schemas::Schemas;
use crate::broker::Broker;
use crate::config::{Otlp, Secret, Token};
use crate::deploy::Deploy;
use crate::deploy::follow::{Follower, Loader, Nudge};
use crate::deploy::ledger::Ledger;
use crate::event::Digest;
use crate::spans::{self, Spans};
use crate::worker::tap::Tap;
use crate::{admin, ingress};

mod loaded;
mod seen;
mod watch;
mod workers;

pub(super) use loaded::Loaded;

/// How long a host may take until it is ready, where somebody waits for it.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks whether the host is ready.
const READY_LOOK: Duration = Duration::from_millis(10);
/// How long the admin listener may take to end, after everything else.
const ADMIN_END: Duration = Duration::from_secs(2);

/// What a host is started with.
pub(super) struct Settings {
    /// The app's schemas.
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
    /// How long a drain may take.
    pub(super) drain_within: Duration,
    /// What operators have to show, if anything.
    pub(super) token: Option<Token>,
    /// Where spans go, if anywhere.
    pub(super) otlp: Option<Otlp>,
    /// Told of what is committed, if anybody looks on.
    pub(super) tap: Option<Arc<dyn Tap>>,
    /// Whether what was deployed takes the place of what was loaded. Otherwise it is for [`Host::swap`].
    pub(super) follows: bool,
}

/// A host that is up.
pub(super) struct Host {
    /// Where the app's routes are served.
    pub(super) http: SocketAddr,
    /// Where operators are served.
    pub(super) admin: SocketAddr,
    drain_within: Duration,
    loaded: Arc<Loaded>,
    deploy: Arc<Deploy>,
    status: Arc<Status>,
    metrics: Arc<Metrics>,
    spans: Option<Arc<Spans>>,
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
    failures: mpsc::Receiver<anyhow::Error>,
    http_end: channel::Sender<bool>,
    http_server: task::JoinHandle<ingress::Drained>,
    admin_end: channel::Sender<bool>,
    admin_server: task::JoinHandle<ingress::Drained>,
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
    /// Starts a host of what was loaded. It waits for the broker by itself.
    ///
    /// # Errors
    /// [`Unbound`].
    pub(super) async fn start(settings: Settings, loaded: Loaded, broker: Arc<dyn Broker>) -> anyhow::Result<Self> {
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION")).context("metrics cannot be set up")?;
        let status = Status::new(loaded.app(), status::SILENCE_MAX, status::uptime());
        let loaded = Arc::new(loaded);
        let deploy = Arc::new(Deploy::new(loaded.versions().clone()));
        for (function, digest) in deploy.digests() {
            status.set_version(&function, digest);
            metrics.activated(&function, digest);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let ledger = Arc::new(Ledger::new(Arc::clone(&broker), loaded.app().deployments_topic().into()));
        let nudge = Arc::new(Nudge::default());
        let functions: BTreeSet<String> = loaded.app().functions.iter().map(|function| function.name.clone()).collect();
        let follower = settings.follows.then(|| {
            loaded.keep_own();
            Arc::new(Follower {
                ledger: Arc::clone(&ledger),
                deploy: Arc::clone(&deploy),
                loader: Arc::clone(&loaded) as Arc<dyn Loader>,
                witness: Arc::new(Seen::new(Arc::clone(&status), Arc::clone(&metrics))),
                functions: functions.clone(),
                stop: Arc::clone(&stop),
                nudge: Arc::clone(&nudge),
            })
        });

        let admin_listener = bind(settings.admin, "--admin").await?;
        let http_listener = bind(settings.http, "--http").await?;
        let (http, admin) = (http_listener.local_addr()?, admin_listener.local_addr()?);
        tracing::info!(
            app = loaded.app().name, version = env!("CARGO_PKG_VERSION"), broker = settings.endpoint,
            %http, %admin, "fnhost",
        );

        let start = |otlp| Spans::start(otlp, &loaded.app().name, settings.instance.as_deref(), &metrics);
        let spans = settings.otlp.as_ref().map(start).transpose().context("spans cannot be exported")?;

        let publisher = broker.publisher()?;
        let events = Events::new(loaded.app(), Arc::clone(&broker), Arc::clone(&publisher), Arc::clone(&status));
        let deployments = Arc::new(Deployments {
            functions,
            ledger,
            deploy: Arc::clone(&deploy),
            stage: Arc::clone(&loaded) as Arc<dyn Stage>,
            nudge,
            status: Arc::clone(&status),
            slot: Semaphore::new(1),
            follows: settings.follows,
        });
        let (admin_end, admin_ended) = channel::channel(false);
        let admin_server = task::spawn({
            let router =
                admin::router(Arc::clone(&status), Arc::clone(&metrics), events, deployments, settings.token.clone());
            let until = set(admin_ended);
            async move { admin::serve(admin_listener, router, &admin::limits(), until, Duration::from_secs(1)).await }
        });
        let routes = ingress::Ingress::new(
            loaded.app(),
            &settings.schemas,
            publisher,
            Arc::clone(&metrics),
            spans.clone(),
            ingress::Options::default(),
            Arc::new(std::time::SystemTime::now),
        )?;
        let (http_end, http_ended) = channel::channel(false);
        let http_server = task::spawn(ingress::serve(http_listener, routes, set(http_ended), settings.drain_within));

        let (failed, failures) = mpsc::channel(8);
        let workers = Starting {
            follower: follower.as_ref(),
            settings: &settings,
            app: loaded.app(),
            broker: &broker,
            deploy: &deploy,
            metrics: &metrics,
            spans: spans.as_ref(),
            status: &status,
            stop: &stop,
            failed: &failed,
        };
        let workers = workers.start()?;
        let drain_within = settings.drain_within;
        Ok(Self {
            http,
            admin,
            drain_within,
            loaded,
            deploy,
            status,
            metrics,
            spans,
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
    /// What ended it, or what is not ready after [`READY_WITHIN`].
    pub(super) async fn ready(&mut self) -> anyhow::Result<()> {
        let until = tokio::time::Instant::now() + READY_WITHIN;
        loop {
            let reasons = self.status.unready();
            if reasons.is_empty() {
                return Ok(());
            }
            if tokio::time::Instant::now() >= until {
                anyhow::bail!("the host is not ready after {READY_WITHIN:?}: {}", serde_json::to_string(&reasons)?);
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
    /// A component that is none: the old version stays.
    pub(super) fn swap(&self, function: &Arc<Function>) -> Result<Option<Digest>, Failure> {
        let active = self.deploy.digests().get(&function.name).copied();
        let Some(version) = self.loaded.newer(function, active)? else { return Ok(None) };
        let digest = version.digest();
        self.deploy.activate(&function.name, version);
        self.status.set_version(&function.name, digest);
        self.metrics.activated(&function.name, digest);
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
        if let Some(spans) = self.spans {
            // It ends by itself, whatever the collector does.
            drop(task::spawn_blocking(move || spans.flush(spans::FLUSH)).await);
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
