//! A Kafka of the test's own with the app's topics on it, and the app built once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::kafka::{Kafka, OwnBroker, PATIENCE, block_on, eventually, kafka, say};

/// The binary that is tested.
pub(crate) const FNHOST: &str = env!("CARGO_BIN_EXE_fnhost");

/// A broker with the topics of an app.
pub(crate) struct World {
    /// The broker, when it belongs to this test.
    pub(crate) broker: Option<OwnBroker>,
    kafka: Kafka,
    pub(crate) app: PathBuf,
}

impl World {
    /// The order path on a new broker, or `None`, said loudly, when there is no Kafka.
    pub(crate) fn new() -> Option<Self> {
        Self::of(fulfilment())
    }

    /// An app on a new broker.
    pub(crate) fn of(app: PathBuf) -> Option<Self> {
        let broker = OwnBroker::start(&[])?;
        let world = Self { kafka: broker.kafka().clone(), broker: Some(broker), app };
        world.apply_topics();
        Some(world)
    }

    /// An app with a name of its own on the broker that tests share.
    pub(crate) fn shared(app: PathBuf) -> Option<Self> {
        let world = Self { broker: None, kafka: kafka()?.clone(), app };
        world.apply_topics();
        Some(world)
    }

    /// The same broker with another app, whose topics are made too.
    pub(crate) fn with(&self, app: PathBuf) -> Self {
        let world = Self { broker: None, kafka: self.kafka.clone(), app };
        world.apply_topics();
        world
    }

    /// An app on a new broker that has none of its topics.
    pub(crate) fn bare(app: PathBuf) -> Option<Self> {
        let broker = OwnBroker::start(&[])?;
        Some(Self { kafka: broker.kafka().clone(), broker: Some(broker), app })
    }

    /// An app whose Kafka is not there.
    pub(crate) fn away(app: PathBuf) -> Self {
        Self { broker: None, kafka: Kafka { brokers: "127.0.0.1:1".to_owned() }, app }
    }

    pub(crate) fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// Kills the broker of this test, as `kill -9` does.
    pub(crate) fn kill_broker(&mut self) {
        self.broker.as_mut().unwrap().kill();
    }

    /// Starts the broker of this test again.
    pub(crate) fn start_broker_again(&mut self) {
        self.broker.as_mut().unwrap().start_again();
    }

    /// Sends the broker of this test a signal, such as `STOP`.
    pub(crate) fn signal_broker(&self, name: &str) {
        self.broker.as_ref().unwrap().signal(name);
    }

    /// How far a group is behind in each topic, by Kafka's own word. A partition that it has no position in counts whole.
    pub(crate) fn lags(&self, group: &str) -> BTreeMap<String, u64> {
        let mut lags: BTreeMap<String, u64> = BTreeMap::new();
        for row in self.kafka().consumer_groups_describe(group) {
            let number = |column: &str| row.get(column).and_then(|cell| cell.parse::<u64>().ok());
            let lag = number("LAG").or_else(|| number("LOG-END-OFFSET")).unwrap_or(0);
            *lags.entry(row["TOPIC"].clone()).or_default() += lag;
        }
        lags
    }

    /// Waits until a group has read everything in `topics` topics.
    ///
    /// # Panics
    /// After [`PATIENCE`], with what the group has not read.
    pub(crate) fn nothing_is_left(&self, group: &str, topics: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lags = self.lags(group);
            if lags.len() == topics && lags.values().all(|lag| *lag == 0) {
                return;
            }
            let rows = || self.kafka().consumer_groups_describe(group);
            assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain, {group} is still behind: {:#?}", rows());
        }
    }

    /// Gives a topic these settings, and no others beside the broker's. Returns when the broker shows them.
    pub(crate) fn configure(&self, topic: &str, settings: &[(&str, &str)]) {
        use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
        let admin: AdminClient<_> = self.kafka().client().create().unwrap();
        let change = settings.iter().fold(AlterConfig::new(ResourceSpecifier::Topic(topic)), |c, (k, v)| c.set(k, v));
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        for changed in block_on(admin.alter_configs([&change], &options)).unwrap() {
            changed.unwrap();
        }
        eventually("a topic has its new settings", || {
            let asked = [ResourceSpecifier::Topic(topic)];
            let shown = block_on(admin.describe_configs(&asked, &options)).unwrap().remove(0).unwrap();
            let has = |(key, value): &(&str, &str)| shown.get(key).is_some_and(|e| e.value.as_deref() == Some(*value));
            settings.iter().all(has).then_some(())
        });
    }

    /// `fnhost topics apply`, as the README has it.
    pub(crate) fn apply_topics(&self) {
        // Two at once may both find a topic missing that they share, and the second one to make it fails.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        run(Command::new(FNHOST).args(["topics", "apply"]).arg(&self.app).args(["--brokers", &self.kafka().brokers]));
    }
}

/// The folder of the reference application, its components built.
pub(crate) fn fulfilment() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let app = workspace().join("functions/fulfilment");
            say("building functions/fulfilment");
            run(Command::new(FNHOST).arg("build").arg(&app));
            app
        })
        .clone()
}

/// A variant of the reference application in `folder`: `changes` are made to its manifest, each to what must be there.
pub(crate) fn fulfilment_with(folder: &Path, changes: &[(&str, &str)]) -> PathBuf {
    let original = fulfilment();
    let mut text = std::fs::read_to_string(original.join("app.toml")).unwrap();
    let schemas = workspace().join("schemas").display().to_string();
    let mut change = |from: &str, to: &str| {
        assert!(text.contains(from), "there is no `{from}` in the manifest");
        text = text.replace(from, to);
    };
    change("\"../../schemas\"", &format!("{schemas:?}"));
    for function in ["inventory", "warehouse", "shipper", "notification", "measure", "kpi"] {
        let file = original.join("build").join(function).with_extension("wasm").display().to_string();
        change(&format!("source = {function:?}"), &format!("source = {file:?}"));
    }
    for (from, to) in changes {
        change(from, to);
    }
    std::fs::write(folder.join("app.toml"), text).unwrap();
    folder.to_owned()
}

pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Runs a command to its end and gives what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} ended with {}:\n{out}{err}", output.status);
    out.into_owned()
}

/// Runs the binary to its end: exit code, stdout and stderr.
///
/// # Panics
/// When it has not ended after [`PATIENCE`].
pub(crate) fn fnhost(arguments: &[&str]) -> (i32, String, String) {
    let child =
        Command::new(FNHOST).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap();
    let pid = child.id().to_string();
    let output = bounded(&pid, || child.wait_with_output().unwrap());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Waits for a process in `wait`; kills it when that takes longer than [`PATIENCE`].
pub(crate) fn bounded<T>(pid: &str, wait: impl FnOnce() -> T) -> T {
    let (done, waited) = channel::<()>();
    let pid = pid.to_owned();
    let guard = std::thread::spawn(move || {
        if waited.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            say(&format!("process {pid} does not end, killing it"));
            Command::new("kill").args(["-9", &pid]).status().unwrap();
        }
    });
    let value = wait();
    drop(done);
    guard.join().unwrap();
    value
}

/// Lets the system run for a while: load, not an answer, is what is wanted.
pub(crate) fn pause(time: Duration) {
    pause_until(Instant::now() + time);
}

/// Lets the system run until then.
pub(crate) fn pause_until(until: Instant) {
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}
