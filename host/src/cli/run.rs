//! `fnhost run`: an app on Kafka, until it is told to end.
//!
//! With `--build` and `--apply-topics` it does first what `build` and `topics apply` do. SIGTERM or SIGINT drains the
//! [`Host`], which then ends with exit 0 when it was through within the deadline.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::Interrupted;
use super::host::{Host, Loaded, Settings, Unbound};
use super::topics::Inputs;
use super::{Asked, Failure, RunArgs, build, components, paths, topics};
use crate::app::manifest;
use crate::broker::{self, Broker};
use crate::config::Secret;

/// Runs an app until it is told to end.
///
/// # Errors
/// Whatever keeps it from starting, or ended it.
pub(super) fn run(args: RunArgs) -> Result<(), Failure> {
    let connection = args.broker.resolve()?;
    let token = args.admin.resolve()?;
    let otlp = args.traces.resolve()?;
    let manifest = manifest::read(&args.app.path)?;
    let schemas = components::schemas(&manifest)?;
    let app = manifest.app.name.clone();
    let (endpoint, option) = (connection.endpoint(), connection.option());
    let asked = Asked { path: &args.app.path, app: &app, brokers: &endpoint, option: &option };
    if args.build {
        build::build_app(&manifest.app, &mut io::stderr())?;
    }
    if let Some(cache) = &args.cache {
        // What is wrong with it is said where it is used.
        paths::make_parent(cache);
    }
    let loaded = Loaded::load(manifest, args.cache)?;
    let broker = connection.connect(&asked)?;
    if args.apply_topics {
        topics::apply(loaded.app(), broker.as_ref(), Inputs::Keep, &asked, &mut io::stderr())?;
    }
    let settings = Settings {
        token,
        schemas,
        endpoint: endpoint.clone(),
        http: args.http,
        admin: args.admin.admin,
        instance: args.instance.map(|instance| instance.as_str().to_owned()),
        secret: Secret::resolve(args.secret_file.as_deref())?,
        drain_within: args.drain_time,
        otlp,
        tap: None,
        follows: true,
    };
    let runtime = runtime().map_err(Failure::fault)?;
    let ended = runtime.block_on(serve(settings, loaded, broker));
    // What hangs in a request must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended.map_err(|error| failure(error, &asked))
}

/// The threads of both listeners.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("http")
        .enable_all()
        .build()
        .context("the HTTP threads cannot be started")
}

/// Why a host could not start, or ended, with what mends it.
pub(super) fn failure(error: anyhow::Error, asked: &Asked<'_>) -> Failure {
    if error.is::<Interrupted>() {
        return Failure::interrupted();
    }
    if let Some(hint) = error.downcast_ref::<Unbound>().map(Unbound::hint) {
        return Failure::fault(error).hint(hint);
    }
    match error.downcast::<broker::Error>() {
        Ok(error) => Failure::broker(error, asked),
        Err(error) => Failure::fault(error),
    }
}

async fn serve(settings: Settings, loaded: Loaded, broker: Arc<dyn Broker>) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let mut host = Host::start(settings, loaded, broker).await?;
    let failure = tokio::select! {
        () = signals.told_to_end() => None,
        failure = host.failed() => Some(failure),
    };
    let drained = host.drain().await;
    failure.map_or(drained, Err)
}

/// SIGTERM and SIGINT, which no longer end the process by themselves.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on. Within a runtime.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be listened for")?;
        let interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be listened for")?;
        Ok(Self { terminate, interrupt })
    }

    /// Waits for one of both.
    pub(super) async fn told_to_end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
