//! `fnhost demo`: a dozen sample orders through the reference application, each event shown as it flows.
//!
//! Builds the functions, starts a host on a temporary embedded broker (or on the Kafka that `--brokers` names), places orders
//! over HTTP and watches until all that must come of them has come. Then a table, and exit 0 only if it is what it must be. It
//! leaves nothing behind but the functions that were built, and on a Kafka the app's topics.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::runtime::Runtime;

use self::orders::{Fate, Placed, Sample};
use self::tally::Tally;
use super::host::{Host, Loaded, Settings};
use super::run::Signals;
use super::{Asked, Connection, Exit, Failure, KafkaArgs, build, components, paths, run, show, talk, topics};
use crate::app::manifest;
use crate::broker::Broker;
use crate::broker::embedded::{self, Embedded};
use crate::config::Secret;
use crate::worker::tap::{Passed, Tap};

mod orders;
mod tally;

/// Where the reference application lies in fnhost's repository.
const APP: &str = "functions/fulfilment";
/// How long nothing may happen while something is still to come.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// How long what is left of a request, or of an interruption, is waited for.
const END_WITHIN: Duration = Duration::from_secs(1);
/// What waits to be shown at most: more than a demo has.
const SHOWN_MAX: usize = 4096;

/// Show orders flowing: everything in one process, nothing to install
///
/// Runs the reference application on a temporary broker, places a dozen sample orders and shows each event. Exits with 0 when
/// everything came out as it must. With --brokers it runs on a Kafka, where no other host of the app may run meanwhile.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// The app: functions/fulfilment of fnhost's repository, or a copy of it. Looked for from here upwards when left out
    #[arg(value_name = "APP", env = "FNHOST_APP")]
    app: Option<PathBuf>,
    #[command(flatten)]
    kafka: KafkaArgs,
}

/// What is shown, in the order in which it happened.
enum Seen {
    Placed(Placed),
    Passed(Vec<Passed>),
}

/// Hands on what is committed.
struct Shown(SyncSender<Seen>);

impl Tap for Shown {
    fn passed(&self, events: Vec<Passed>) {
        // Nobody looks on any more when this fails.
        drop(self.0.try_send(Seen::Passed(events)));
    }
}

/// Runs the demo.
pub(super) fn demo(args: &DemoArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let runtime = run::runtime().map_err(Failure::fault)?;
    // Before there is anything to be left behind.
    let signals = runtime.block_on(async { Signals::listen() }).map_err(Failure::fault)?;
    let folder = tempfile::Builder::new().prefix("fnhost-demo-").tempdir();
    let folder = folder.context("no temporary folder can be made").map_err(Failure::fault)?;
    let ending = runtime.spawn(end_at_once(signals, folder.path().to_owned()));
    let ended = flow(args, out, &runtime, folder.path());
    if ended.as_ref().is_err_and(Failure::is_interruption) {
        // A child was told before this process was.
        drop(runtime.block_on(async { tokio::time::timeout(END_WITHIN, ending).await }));
    }
    runtime.shutdown_timeout(END_WITHIN);
    ended
}

/// Waits for Ctrl-C and ends the process: there is nothing to finish, and nothing to be left behind.
async fn end_at_once(mut signals: Signals, folder: PathBuf) {
    signals.told_to_end().await;
    talk("interrupted, before everything was seen");
    // A child that compiles may write until it has ended too.
    while folder.exists() && std::fs::remove_dir_all(&folder).is_err() {
        tokio::task::yield_now().await;
    }
    std::process::exit(Exit::Interrupted as i32);
}

/// Runs it to its end. What is compiled goes into `folder`.
fn flow(args: &DemoArgs, out: &mut dyn Write, runtime: &Runtime, folder: &Path) -> Result<(), Failure> {
    let begun = Instant::now();
    let path = app(args.app.as_deref())?;
    let manifest = manifest::read(&path)?;
    let schemas = components::schemas(&manifest)?;
    talk(&format!("building the functions of {} (the first time takes a minute)", path.display()));
    build::build_app(&manifest.app, &mut io::stderr())?;

    let connection = args.kafka.resolve()?;
    let endpoint = connection.as_ref().map_or_else(|| "a temporary embedded broker".to_owned(), Connection::endpoint);
    let option = connection.as_ref().map(Connection::option).unwrap_or_default();
    let name = manifest.app.name.clone();
    let asked = Asked { path: &path, app: &name, brokers: &endpoint, option: &option };
    let failed = |error| Failure::broker(error, &asked);
    let broker: Arc<dyn Broker> = match &connection {
        Some(connection) => connection.connect(&asked)?,
        None => Embedded::temporary(&embedded::Options::default()).map_err(Failure::fault)?,
    };
    topics::make_all(&manifest.app, broker.as_ref()).map_err(failed)?;

    let (shown, seen) = sync_channel(SHOWN_MAX);
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let loaded = Loaded::load(manifest, Some(folder.join("compiled")))?;
    let settings = Settings {
        token: None,
        schemas,
        endpoint: endpoint.clone(),
        http: any,
        admin: any,
        instance: None,
        secret: Secret::draw(),
        drain_within: Duration::from_secs(10),
        otlp: None,
        tap: Some(Arc::new(Shown(shown.clone()))),
        // Nothing was ever deployed on a temporary broker.
        follows: connection.is_some(),
    };
    let failed = |error| run::failure(error, &asked);
    let mut host = runtime.block_on(Host::start(settings, loaded, broker)).map_err(failed)?;
    runtime.block_on(host.ready()).map_err(failed)?;
    talk(&format!(
        "ready on {endpoint} after {:.1} s, http://{} and http://{}; a dozen orders are placed",
        begun.elapsed().as_secs_f64(),
        host.http,
        host.admin
    ));

    let samples = orders::samples();
    let placing = std::thread::spawn({
        let (url, samples) = (format!("http://{}/orders", host.http), samples.clone());
        move || {
            samples.iter().try_for_each(|sample| orders::place(&url, sample).map(|p| drop(shown.send(Seen::Placed(p)))))
        }
    });
    let tally = watch(&seen, &samples, out)?;
    let placed = placing.join().map_err(|_| Failure::internal(anyhow::anyhow!("placing orders panicked")))?;
    placed.map_err(Failure::fault)?;
    let drained = runtime.block_on(host.drain());
    drained.map_err(Failure::fault)?;

    writeln!(out)?;
    tally.table(out)?;
    let missing = tally.unmet(&samples);
    if missing.is_empty() {
        talk(&format!("everything came out as it must, {:.1} s in all", begun.elapsed().as_secs_f64()));
        return Ok(());
    }
    missing.iter().for_each(|line| talk(&format!("not as it must be: {line}")));
    Err(Failure::fault(anyhow::anyhow!("the demo did not come out as it must")))
}

/// The app's folder.
fn app(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = asked {
        return Ok(path.to_owned());
    }
    let here = std::env::current_dir().context("the current folder cannot be told").map_err(Failure::fault)?;
    let found = here.ancestors().map(|folder| folder.join(APP)).find(|app| app.join(manifest::FILE).is_file());
    found.map(|app| paths::typed(&app)).ok_or_else(|| {
        let error = anyhow::anyhow!("{APP} is in none of the folders from {} upwards", here.display());
        Failure::fault(error)
            .hint("run it in fnhost's repository, or name the app: fnhost demo PATH/functions/fulfilment")
    })
}

/// Shows what happens until all that must come has come, or nothing comes any more.
fn watch(seen: &Receiver<Seen>, samples: &[Sample], out: &mut dyn Write) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    let fates: BTreeMap<&str, Fate> = samples.iter().map(|sample| (sample.id.as_str(), sample.fate)).collect();
    while !tally.is_complete(samples) {
        match seen.recv_timeout(SILENCE_MAX) {
            Ok(Seen::Placed(placed)) => {
                let detail = placed.detail.as_deref().unwrap_or_default();
                show::line(out, "POST /orders", &placed.id, "(HTTP)", &format!("{} {detail}", placed.status))?;
                tally.placed(placed);
            }
            Ok(Seen::Passed(events)) => {
                for event in events {
                    let id = String::from_utf8_lossy(event.key.as_deref().unwrap_or_default()).into_owned();
                    // On a Kafka there may be others' events.
                    if fates.contains_key(id.as_str()) {
                        show::passed(out, &event)?;
                        tally.passed(&id, &event);
                    }
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(tally)
}
