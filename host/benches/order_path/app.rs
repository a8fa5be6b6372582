//! The application that is measured, and a broker with its topics on it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fnhost::app::schemas::Schemas;
use fnhost::app::{App, manifest};
use fnhost::broker::kafka::Kafka as Broker;
use fnhost::broker::{Broker as _, TopicChange};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

use crate::kafka::{Kafka, OwnBroker, block_on, eventually, kafka, say};
use crate::measure::Pid;

/// The binary that is measured.
pub(crate) const FNHOST: &str = env!("CARGO_BIN_EXE_fnhost");

/// A broker, and the application built.
pub(crate) struct Stage {
    own: Option<OwnBroker>,
    kafka: Kafka,
    /// The application's folder.
    folder: PathBuf,
}

impl Stage {
    /// Builds the application and starts a broker, or finds the one that is named. `None`, said loudly, without Kafka.
    pub(crate) fn new() -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("functions/fulfilment");
        say("building functions/fulfilment");
        let built = Command::new(FNHOST).arg("build").arg(&folder).status().unwrap();
        assert!(built.success(), "functions/fulfilment cannot be built");
        if std::env::var_os("FNHOST_TEST_BROKERS").is_some() {
            return Some(Self { own: None, kafka: kafka()?.clone(), folder });
        }
        let own = OwnBroker::start(&[])?;
        Some(Self { kafka: own.kafka().clone(), own: Some(own), folder })
    }

    pub(crate) fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// The broker's process, when it was started here.
    pub(crate) fn broker(&self) -> Option<Pid> {
        let pid = fs::read_to_string(self.own.as_ref()?.folder().join("pid")).unwrap();
        Some(Pid::of(pid.trim()))
    }

    /// The application under a name of its own, so that its group and its state are new.
    pub(crate) fn app(&self, name: &str) -> (App, Schemas) {
        let manifest = manifest::read(&self.folder).unwrap();
        let schemas = Schemas::load(&manifest.schemas).unwrap();
        (App { name: name.to_owned(), ..manifest.app }, schemas)
    }

    /// Gives the application empty topics.
    pub(crate) fn lay_out(&self, app: &App) {
        let changelogs = app.changelogs();
        let names: Vec<&str> =
            app.topics.keys().map(AsRef::as_ref).chain(changelogs.keys().map(String::as_str)).collect();
        self.clear(&names);
        let broker = Broker::connect(&self.kafka.brokers, &BTreeMap::new(), &app.name).unwrap();
        let create = |name: &str, partitions: i32, key: &str, value: String| TopicChange::Create {
            name: name.to_owned(),
            partitions,
            replication: None,
            config: BTreeMap::from([(key.to_owned(), value)]),
        };
        let topics = app
            .topics
            .iter()
            .map(|(name, spec)| create(name, spec.partitions, "max.message.bytes", spec.message_bytes_max.to_string()));
        let changelogs = changelogs
            .iter()
            .map(|(name, input)| create(name, app.topics[input].partitions, "cleanup.policy", "compact".to_owned()));
        for create in topics.chain(changelogs) {
            eventually("a topic is created", || broker.apply(std::slice::from_ref(&create)).ok());
        }
        eventually("the topics can be used", || self.kafka.is_serving(Duration::from_secs(1)).then_some(()));
    }

    /// The same for a process: a folder in `within`, which differs from the application's in the name alone.
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
        let named = manifest.replacen("name = \"fulfilment\"", &format!("name = \"{name}\""), 1);
        fs::write(copy.join("app.toml"), named).unwrap();
        copy
    }

    /// Deletes an application's changelogs.
    pub(crate) fn clear_state(&self, app: &App) {
        let changelogs = app.changelogs();
        self.clear(&changelogs.keys().map(String::as_str).collect::<Vec<_>>());
    }

    /// Deletes topics, if they are there.
    fn clear(&self, names: &[&str]) {
        let admin: AdminClient<DefaultClientContext> = self.kafka.client().create().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
        // One that is not there is as good as deleted.
        drop(block_on(admin.delete_topics(names, &options)).unwrap());
    }
}
