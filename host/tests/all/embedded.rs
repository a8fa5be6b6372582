//! The embedded broker where it differs from others: its file, and that it is killed, cut short, full and kept small.
//!
//! What it has in common with Kafka is in [`conformance`](crate::conformance).

mod files;
mod kills;
pub(crate) mod raw;
mod upkeep;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fnhost::broker::embedded::{Embedded, Options};
use fnhost::broker::{Broker, From, Member, Pulse, Replayed, TopicChange};
use fnhost::event::{Event, Offset, Partition};
use tempfile::TempDir;

use crate::kafka::eventually;

/// A folder with a file in it, or room for one.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("broker.redb")
    }

    fn open(&self) -> Arc<Embedded> {
        self.open_with(&Options::default())
    }

    fn open_with(&self, options: &Options) -> Arc<Embedded> {
        Embedded::open(&self.path(), options).unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// A file with a topic `t` and some records, closed well.
    fn closed(records: usize) -> Self {
        let place = Self::new();
        let broker = place.open();
        create(&broker, "t", 1, &[]);
        let values: Vec<String> = (0..records).map(|i| format!("{i:0>500}")).collect();
        publish(&broker, "t", &values);
        place
    }
}

fn create(broker: &Embedded, topic: &str, partitions: i32, config: &[(&str, &str)]) {
    let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    broker.apply(&[TopicChange::Create { name: topic.to_owned(), partitions, replication: None, config }]).unwrap();
}

/// Publishes values without keys to partition 0, together.
fn publish(broker: &Embedded, topic: &str, values: &[String]) {
    let topic: Arc<str> = topic.into();
    let records: Vec<_> = values.iter().map(|value| crate::conformance::record_to(&topic, 0, value)).collect();
    publish_records(broker, records);
}

fn publish_records(broker: &Embedded, records: Vec<fnhost::event::Record>) {
    let publisher = broker.publisher().unwrap();
    crate::kafka::block_on(async {
        let promises: Vec<_> = records.into_iter().map(|record| publisher.publish(record)).collect();
        for promise in promises {
            promise.await.unwrap();
        }
    });
}

/// All of a partition, and the offset after its end.
fn replay(broker: &Embedded, topic: &str) -> (Vec<Event>, Offset) {
    let mut replay = broker.replay(&Partition::new(topic, 0), 0).unwrap();
    let mut events = Vec::new();
    let next = eventually("a replay's end", || match replay.next(Duration::ZERO).unwrap() {
        Replayed::Records(mut records) => {
            events.append(&mut records);
            None
        }
        Replayed::Waiting => None,
        Replayed::Done { next } => Some(next),
    });
    (events, next)
}

fn member(group: &str, topics: &[&str]) -> Member {
    Member {
        group: group.to_owned(),
        name: crate::kafka::unique("member"),
        stable: false,
        topics: topics.iter().map(|topic| ((*topic).into(), From::Earliest)).collect::<BTreeMap<_, _>>(),
        poll_interval_max: Duration::from_secs(60),
        events_max: 100,
        bytes_max: 1 << 20,
        prefetch_bytes_max: 1 << 20,
        pulse: Pulse::default(),
    }
}

/// What a person is told who opens a file that cannot be opened.
fn told(path: &Path) -> (String, String) {
    let error = Embedded::open(path, &Options::default()).err().unwrap_or_else(|| panic!("{} opens", path.display()));
    (error.to_string(), error.hint())
}
