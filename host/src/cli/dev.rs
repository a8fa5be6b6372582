//! `fnhost dev`: apps on an embedded broker, rebuilt and swapped in while they run.
//!
//! Each app has a host of its own in this process; all share one broker, whose file is kept from one run to the next. A change
//! of a source rebuilds the app, and functions whose component is another one then handle their next batch with it. A change of
//! app.toml or of a schema starts the app's host anew. What does not build, or is no app any more, is said, and what ran goes
//! on running. Ctrl-C drains.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::runtime::Runtime;
use tokio::sync::watch as watch_channel;

use self::watch::{Change, Watcher};
use super::host::{Host, Loaded, Settings};
use super::run::Signals;
use super::{AdminListen, Asked, Failure, build, components, paths, run, show, talk, topics};
use crate::app::{App, manifest};
use crate::broker::Broker;
use crate::broker::embedded::{self, Embedded};
use crate::config::{Secret, Token};
use crate::worker::tap::Tap;

mod watch;

/// The broker's file, in the folder that is kept.
const BROKER: &str = "broker.redb";
/// Compiled components, in the folder that is kept.
const COMPILED: &str = "compiled";
/// Between two looks whether a host has failed.
const LOOK: Duration = Duration::from_millis(200);

/// Run apps while you write them: rebuild and swap in what changed
///
/// Builds the functions, runs them on an embedded broker that is kept in .fnhost/ between runs, and shows events as they flow.
/// A function whose source changed is rebuilt and handles the next batch with its new code. Ctrl-C ends it.
#[derive(Debug, clap::Args)]
pub(super) struct DevArgs {
    /// The apps: folders, or app.toml files. Each app after the first has the next ports
    #[arg(value_name = "APP", required = true)]
    apps: Vec<PathBuf>,
    /// Where the first app's routes are served; the next app has the next port
    #[arg(long, env = "FNHOST_HTTP", value_name = "ADDR", default_value = "127.0.0.1:8080", help_heading = "HTTP")]
    http: SocketAddr,
    #[command(flatten)]
    admin: AdminListen,
    /// Where the broker's file and compiled components are kept; .fnhost in the first app's folder when left out
    #[arg(long, env = "FNHOST_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
}

/// What all apps share.
struct Stage<'a> {
    args: &'a DevArgs,
    data: PathBuf,
    token: Option<Token>,
    broker: Arc<dyn Broker>,
    secret: Secret,
    runtime: Runtime,
    shown: Arc<dyn Tap>,
    /// Whether it is to end.
    end: watch_channel::Receiver<bool>,
}

/// One app, and its host while it has one.
struct Running {
    path: PathBuf,
    app: Option<App>,
    host: Option<Host>,
    http: SocketAddr,
    admin: SocketAddr,
    /// Whether what was saved last could not be run.
    is_behind: bool,
    /// Whether what says what the app is could not be read or started when it was saved last.
    is_unread: bool,
}

/// Runs until Ctrl-C.
pub(super) fn dev(args: &DevArgs) -> Result<(), Failure> {
    let token = args.admin.resolve()?;
    let apps: Vec<PathBuf> = args.apps.iter().map(|path| paths::app_folder(path)).collect();
    let data = match (&args.data, apps.first()) {
        (Some(data), _) => data.clone(),
        (None, Some(app)) => app.join(".fnhost"),
        (None, None) => PathBuf::from(".fnhost"),
    };
    let broker = Embedded::open(&data.join(BROKER), &embedded::Options::default()).map_err(|error| {
        let hint = error.hint();
        match error {
            // Here a folder can be named, not a file.
            embedded::OpenError::Io { .. } => {
                let failure = Failure::unwritten(error.into(), &data);
                failure.more("or keep it elsewhere: --data DIR")
            }
            _ => Failure::fault(error).hint(hint),
        }
    })?;
    let runtime = run::runtime().map_err(Failure::fault)?;
    let (printer, printing) = show::Printer::start().context("nothing can be shown").map_err(Failure::fault)?;
    let (ending, end) = watch_channel::channel(false);
    let stage = Stage { args, data, token, broker, secret: Secret::draw(), runtime, shown: Arc::new(printer), end };
    let (changes, changed) = sync_channel(watch::CHANGES_MAX);
    let mut watcher = Watcher::start(changes.clone()).map_err(Failure::fault)?;
    let mut signals = stage.runtime.block_on(async { Signals::listen() }).map_err(Failure::fault)?;
    stage.runtime.spawn(async move {
        signals.told_to_end().await;
        ending.send_replace(true);
        changes.send(Change::End).ok();
    });

    let mut all = Vec::new();
    for (number, path) in apps.into_iter().enumerate() {
        let mut running = stage.app(path, number);
        stage.start_anew(&mut running, &mut watcher, true)?;
        all.push(running);
    }
    let ended = stage.turns(&mut all, &mut watcher, &changed);
    talk("ending: the open batches are finished first");
    for running in all {
        if let Some(host) = running.host {
            stage.runtime.block_on(host.drain()).map_err(Failure::fault)?;
        }
    }
    stage.runtime.shutdown_timeout(Duration::from_secs(1));
    drop(stage.shown);
    printing.end();
    ended
}

impl Stage<'_> {
    fn app(&self, path: PathBuf, number: usize) -> Running {
        let nth = |address: SocketAddr| {
            let number = u16::try_from(number).unwrap_or_default();
            // Port 0 is a free one, whichever app it is.
            let port = if address.port() == 0 { 0 } else { address.port().saturating_add(number) };
            SocketAddr::new(address.ip(), port)
        };
        Running {
            path,
            app: None,
            host: None,
            http: nth(self.args.http),
            admin: nth(self.args.admin.admin),
            is_behind: false,
            is_unread: false,
        }
    }

    /// Takes one change after the other until told to end.
    fn turns(&self, all: &mut [Running], watcher: &mut Watcher, changed: &Receiver<Change>) -> Result<(), Failure> {
        loop {
            match changed.recv_timeout(LOOK) {
                Ok(Change::End) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok(Change::Files(first)) => {
                    let Some(files) = watch::settled(first, changed) else { return Ok(()) };
                    let files = watcher.news(files);
                    for running in all.iter_mut().filter(|running| running.is_touched(&files)) {
                        self.follow(running, watcher, &files);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            for running in all.iter_mut() {
                if let Some(error) = running.host.as_mut().and_then(Host::failure) {
                    let path = running.path.clone();
                    return Err(run::failure(error, &self.asked(&path, "")));
                }
            }
        }
    }

    /// What changed is built, and swapped in or started anew. Nothing that goes wrong ends what runs.
    fn follow(&self, running: &mut Running, watcher: &mut Watcher, files: &[PathBuf]) {
        let anew = running.host.is_none() || running.is_unread || files.iter().any(|file| watch::is_description(file));
        let done =
            if anew { self.start_anew(running, watcher, false).map(|()| true) } else { self.swap(running, watcher) };
        running.is_unread = anew && done.is_err();
        let was_behind = std::mem::replace(&mut running.is_behind, done.is_err());
        match done {
            Ok(false) if was_behind => talk("it builds again, and is what ran all the time"),
            Ok(_) => {}
            Err(failure) if failure.is_interruption() => {}
            Err(failure) => {
                failure.print(&mut io::stderr().lock());
                talk(match running.host {
                    Some(_) => "what ran before goes on running; waiting for the next change",
                    None => "nothing of it runs; waiting for the next change",
                });
            }
        }
    }

    /// Builds, and hands the functions that became other ones to their workers: whether any did.
    fn swap(&self, running: &mut Running, watcher: &mut Watcher) -> Result<bool, Failure> {
        let (Some(app), Some(host)) = (&running.app, &running.host) else { return Ok(false) };
        make(app, watcher)?;
        let (built, mut is_other) = (Instant::now(), false);
        for function in &app.functions {
            if let Some(digest) = host.swap(function)? {
                let took = built.elapsed().as_millis();
                is_other = true;
                talk(&format!(
                    "{}: {} handles the next batch, {took} ms after it was built",
                    function.name,
                    digest.short()
                ));
            }
        }
        Ok(is_other)
    }

    /// Reads and builds the app, and starts its host, in place of the one it may have. When `first`, what does not build is
    /// waited for.
    fn start_anew(&self, running: &mut Running, watcher: &mut Watcher, first: bool) -> Result<(), Failure> {
        let manifest = manifest::read(&running.path)?;
        let schemas = components::schemas(&manifest)?;
        watcher.follow(&manifest.app, &manifest.schemas).map_err(Failure::fault)?;
        if let Err(failure) = make(&manifest.app, watcher) {
            if failure.is_interruption() {
                // Its user was told to end too, and that is taken next.
                return Ok(());
            }
            if !first {
                return Err(failure);
            }
            failure.print(&mut io::stderr().lock());
            talk("waiting for a change that builds");
            return Ok(());
        }
        let (app, examples) = (manifest.app.clone(), manifest.schemas.join("examples"));
        let asked = self.asked(&running.path, &app.name);
        topics::make_all(&app, self.broker.as_ref()).map_err(|error| Failure::broker(error, &asked))?;
        let loaded = Loaded::load(manifest, Some(self.data.join(COMPILED)))?;
        // It has the addresses, and what comes after it can be started.
        if let Some(host) = running.host.take() {
            self.runtime.block_on(host.drain()).map_err(Failure::fault)?;
        }
        let settings = Settings {
            token: self.token.clone(),
            schemas,
            endpoint: self.data.join(BROKER).display().to_string(),
            http: running.http,
            admin: running.admin,
            instance: None,
            secret: self.secret.clone(),
            drain_within: Duration::from_secs(10),
            otlp: None,
            tap: Some(Arc::clone(&self.shown)),
            follows: false,
        };
        let begin = self.runtime.block_on(Host::start(settings, loaded, Arc::clone(&self.broker)));
        let mut host = begin.map_err(|error| run::failure(error, &asked))?;
        match self.runtime.block_on(self.ready(&mut host)) {
            Ok(true) => introduce(&app, &examples, &host),
            // It is drained with the others.
            Ok(false) => {}
            Err(error) => {
                // Dropped alone, its workers would go on.
                self.runtime.block_on(host.drain()).ok();
                return Err(run::failure(error, &asked));
            }
        }
        (running.app, running.host) = (Some(app), Some(host));
        Ok(())
    }

    /// Whether the host is ready; `false` when it is told to end before.
    async fn ready(&self, host: &mut Host) -> anyhow::Result<bool> {
        let mut end = self.end.clone();
        tokio::select! {
            ready = host.ready() => ready.map(|()| true),
            _ = end.wait_for(|end| *end) => Ok(false),
        }
    }

    fn asked<'a>(&'a self, path: &'a Path, app: &'a str) -> Asked<'a> {
        Asked { path, app, brokers: "the embedded broker", option: "--embedded .fnhost/broker.redb" }
    }
}

impl Running {
    /// Whether any of the files is the app's: within its folder, its functions' crates or its schemas. Of one that never ran, it is
    /// not known which are.
    fn is_touched(&self, files: &[PathBuf]) -> bool {
        let Some(app) = &self.app else { return !files.is_empty() };
        let folders: Vec<PathBuf> = watch::folders(app).map(|folder| folder.canonicalize().unwrap_or(folder)).collect();
        files.iter().any(|file| watch::is_description(file) || folders.iter().any(|folder| file.starts_with(folder)))
    }
}

/// Builds an app. What that writes is no change.
fn make(app: &App, watcher: &mut Watcher) -> Result<(), Failure> {
    let done = build::build_app(app, &mut io::sink());
    watcher.note_built(app);
    done
}

/// Where it is served, and what to try.
fn introduce(app: &App, examples: &Path, host: &Host) {
    talk(&format!(
        "{} runs: http://{} for its users, http://{} for you (/metrics, /functions)",
        app.name, host.http, host.admin
    ));
    for route in &app.routes {
        let examples = examples.join(&*route.body).join("valid");
        let first = std::fs::read_dir(examples).ok().and_then(|all| all.flatten().map(|entry| entry.path()).min());
        let body = first.map_or_else(|| "'{}'".to_owned(), |file| format!("@{}", paths::typed(&file).display()));
        talk(&format!("try: curl -i http://{}{} -H 'content-type: application/json' -d {body}", host.http, route.path));
    }
}
