//! The broker of a run, with the application's topics on it and nothing in them.
//!
//! Kafka and the embedded broker keep their data on the same disk. Kafka answers when its page cache has a record; the
//! embedded broker when the disk has it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fnhost::app::App;
use fnhost::broker::embedded::{Embedded, Options};
use fnhost::broker::kafka::Kafka;
use fnhost::broker::{Broker, Replayed, TopicChange};
use fnhost::deploy;
use fnhost::event::{Event, Header, Partition, Record};
use fnhost::schedule;
use tempfile::TempDir;

use crate::app::Stage;
use crate::kafka::{Isolation, PATIENCE, eventually};
use crate::measure::Pid;
use crate::orders::Backlog;

/// How many records are written at once.
const RECORDS: usize = 1000;

/// Which broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    Kafka,
    Embedded,
}

/// A broker with empty topics.
pub(crate) struct Ground<'a> {
    stage: &'a Stage,
    app: &'a App,
    /// Where the embedded broker's file lies. Whoever opens it has it alone.
    folder: Option<TempDir>,
}

impl<'a> Ground<'a> {
    /// Gives the application empty topics.
    pub(crate) fn lay_out(stage: &'a Stage, on: On, app: &'a App) -> Self {
        let folder = (on == On::Embedded).then(|| tempfile::tempdir().unwrap());
        let ground = Self { stage, app, folder };
        let changelogs = app.changelogs();
        if on == On::Kafka {
            let topics = app.topics.keys().map(AsRef::as_ref);
            stage.clear(&topics.chain(changelogs.keys().map(String::as_str)).collect::<Vec<_>>());
        }
        let broker = ground.broker();
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
        let compacted = |name: &str, partitions: i32| create(name, partitions, "cleanup.policy", "compact".to_owned());
        let changelogs = changelogs.iter().map(|(name, input)| compacted(name, app.topics[input].partitions));
        let deployments = compacted(&app.deployments_topic(), deploy::record::PARTITIONS);
        let schedules = app.schedules_topic().map(|name| compacted(&name, schedule::record::PARTITIONS));
        for create in topics.chain(changelogs).chain([deployments]).chain(schedules) {
            eventually("a topic is created", || broker.apply(std::slice::from_ref(&create)).ok());
        }
        if on == On::Kafka {
            let kafka = stage.kafka();
            eventually("the topics can be used", || kafka.is_serving(Duration::from_secs(1)).then_some(()));
        }
        ground
    }

    /// The broker. Of an embedded one there is one at a time, for the file is locked.
    pub(crate) fn broker(&self) -> Arc<dyn Broker> {
        match self.file() {
            Some(file) => Embedded::open(&file, &Options::default()).unwrap(),
            None => {
                let brokers = &self.stage.kafka().brokers;
                Arc::new(Kafka::connect(brokers, &BTreeMap::new(), &self.app.name).unwrap())
            }
        }
    }

    /// The broker's process, when it is one of its own and was started here.
    pub(crate) fn pid(&self) -> Option<Pid> {
        if self.folder.is_some() { None } else { self.stage.broker() }
    }

    /// What tells `fnhost run` of it.
    pub(crate) fn option(&self) -> [String; 2] {
        match self.file() {
            Some(file) => ["--embedded".to_owned(), file.to_str().unwrap().to_owned()],
            None => ["--brokers".to_owned(), self.stage.kafka().brokers.clone()],
        }
    }

    /// Writes a backlog to `order-received`.
    pub(crate) fn write(&self, backlog: Backlog) {
        if self.folder.is_none() {
            return backlog.write(self.stage.kafka());
        }
        let value = b"application/cloudevents+json; charset=UTF-8".to_vec();
        let content_type = Header { name: "content-type".to_owned(), value: Some(value) };
        let records: Vec<Record> = backlog
            .events_of_orders()
            .map(|(key, value)| Record {
                topic: "order-received".into(),
                partition: None,
                key: Some(key.into_bytes()),
                value: Some(value.into_bytes()),
                headers: vec![content_type.clone()],
            })
            .collect();
        let broker = self.broker();
        let mut writer = broker.exclusive("bench").unwrap();
        for records in records.chunks(RECORDS) {
            writer.write(records).unwrap();
        }
    }

    /// All that is committed to `notification`: of Kafka by a consumer of its own, of the file by the embedded broker, for no
    /// other can read it.
    pub(crate) fn notifications(&self) -> Vec<Event> {
        if self.folder.is_none() {
            return self.stage.kafka().read(&["notification"], Isolation::Committed);
        }
        let broker = self.broker();
        let partitions = broker.topics(&["notification"]).unwrap().remove(0).partitions;
        let mut events = Vec::new();
        for number in 0..partitions {
            let mut replay = broker.replay(&Partition::new("notification", number), 0).unwrap();
            loop {
                match replay.next(PATIENCE).unwrap() {
                    Replayed::Records(records) => events.extend(records),
                    Replayed::Waiting => {}
                    Replayed::Done { .. } => break,
                }
            }
        }
        events
    }

    /// Deletes the state from a Kafka that goes on. An embedded broker's file goes with this.
    pub(crate) fn clear(self) {
        if self.folder.is_none() {
            let changelogs = self.app.changelogs();
            self.stage.clear(&changelogs.keys().map(String::as_str).collect::<Vec<_>>());
        }
    }

    fn file(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.path().join("broker.redb"))
    }
}
