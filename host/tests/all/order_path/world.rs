//! A Kafka of the test's own with the app's topics on it, and the app built once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::kafka::{Kafka, OwnBroker, say};

/// The binary that is tested.
pub(crate) const FNHOST: &str = env!("CARGO_BIN_EXE_fnhost");

/// A broker of one test, with the topics of an app.
pub(crate) struct World {
    pub(crate) broker: OwnBroker,
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
        let world = Self { broker, app };
        world.apply_topics();
        Some(world)
    }

    pub(crate) fn kafka(&self) -> &Kafka {
        self.broker.kafka()
    }

    /// `fnhost topics apply`, as the README has it.
    pub(crate) fn apply_topics(&self) {
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
