//! The application that is measured, and a Kafka.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fnhost::app::schemas::Schemas;
use fnhost::app::{App, manifest};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

use crate::kafka::{Kafka, OwnBroker, block_on, kafka, say};
use crate::measure::Pid;

/// What begins the part of the manifest that only counts.
const COUNTS: &str = "# KPIs. Their functions";

/// The binary that is measured.
pub(crate) const FNHOST: &str = env!("CARGO_BIN_EXE_fnhost");

/// The application built, and a Kafka if one is wanted.
pub(crate) struct Stage {
    own: Option<OwnBroker>,
    kafka: Option<Kafka>,
    /// The application's folder.
    folder: PathBuf,
}

impl Stage {
    /// Builds the application and starts a Kafka, or finds the one that is named. `None`, said loudly, when it is wanted and
    /// there is none.
    pub(crate) fn new(wants_kafka: bool) -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("functions/fulfilment");
        say("building functions/fulfilment");
        let built = Command::new(FNHOST).arg("build").arg(&folder).status().unwrap();
        assert!(built.success(), "functions/fulfilment cannot be built");
        if !wants_kafka {
            return Some(Self { own: None, kafka: None, folder });
        }
        if std::env::var_os("FNHOST_TEST_BROKERS").is_some() {
            return Some(Self { own: None, kafka: Some(kafka()?.clone()), folder });
        }
        let own = OwnBroker::start(&[])?;
        Some(Self { kafka: Some(own.kafka().clone()), own: Some(own), folder })
    }

    /// # Panics
    /// When none was wanted.
    pub(crate) fn kafka(&self) -> &Kafka {
        self.kafka.as_ref().unwrap()
    }

    /// Kafka's process, when it was started here.
    pub(crate) fn broker(&self) -> Option<Pid> {
        let pid = fs::read_to_string(self.own.as_ref()?.folder().join("pid")).unwrap();
        Some(Pid::of(pid.trim()))
    }

    /// The order path under a name of its own, so that its group and its state are new: the application without what only counts.
    pub(crate) fn app(&self, name: &str) -> (App, Schemas) {
        let manifest = manifest::read(&self.folder).unwrap();
        let schemas = Schemas::load(&manifest.schemas).unwrap();
        let mut functions = manifest.app.functions;
        functions.retain(|function| function.group.is_none());
        (App { name: name.to_owned(), functions, schedules: Vec::new(), ..manifest.app }, schemas)
    }

    /// The file of a function's component.
    pub(crate) fn component(&self, function: &str) -> PathBuf {
        self.folder.join("build").join(function).with_extension("wasm")
    }

    /// The same for a process: a folder in `within`.
    pub(crate) fn copy(&self, name: &str, within: &Path) -> PathBuf {
        let (apps, schemas) = (within.join("functions"), self.folder.join("../../schemas"));
        let copy = apps.join("copy");
        fs::create_dir_all(&copy).unwrap();
        symlink(schemas, within.join("schemas")).unwrap();
        for entry in fs::read_dir(&self.folder).unwrap() {
            let entry = entry.unwrap();
            symlink(entry.path(), copy.join(entry.file_name())).unwrap();
        }
        let manifest = fs::read_to_string(self.folder.join("app.toml")).unwrap();
        fs::remove_file(copy.join("app.toml")).unwrap();
        let (order_path, _) = manifest.split_once(COUNTS).unwrap();
        let named = order_path.replacen("name = \"fulfilment\"", &format!("name = \"{name}\""), 1);
        fs::write(copy.join("app.toml"), named).unwrap();
        copy
    }

    /// Deletes topics, if they are there.
    pub(crate) fn clear(&self, names: &[&str]) {
        let admin: AdminClient<DefaultClientContext> = self.kafka().client().create().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
        // One that is not there is as good as deleted.
        drop(block_on(admin.delete_topics(names, &options)).unwrap());
    }
}
