//! A case's world: an app with names of its own on a broker that it shares.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use fnhost::broker::{Broker, From, Member, Progress, PublishError, Publisher, Pulse, Stored, TopicChange};
use fnhost::event::{Event, Offset, Partition, Record};

use super::{Fixture, Joined, Open, until};
use crate::kafka::{block_on, eventually, unique};

/// An app on a broker, and what its operators and clients do.
pub(crate) struct World {
    /// The process that the case is about.
    pub(crate) broker: Arc<dyn Broker>,
    app: String,
    fixture: Box<dyn Fixture>,
    publisher: Arc<dyn Publisher>,
}

impl World {
    /// An app that nobody has heard of.
    pub(crate) fn new(fixture: Box<dyn Fixture>) -> Self {
        let app = unique("app");
        let broker = fixture.process(&app);
        let publisher = broker.publisher().unwrap();
        Self { broker, app, fixture, publisher }
    }

    /// Another process of the same app.
    pub(crate) fn second_process(&self) -> Arc<dyn Broker> {
        self.fixture.process(&self.app)
    }

    /// A name within the app.
    pub(crate) fn name(&self, stem: &str) -> String {
        format!("{}.{}", self.app, unique(stem))
    }

    /// A topic with the broker's defaults.
    pub(crate) fn topic(&self, stem: &str, partitions: i32) -> Arc<str> {
        self.topic_with(stem, partitions, &[])
    }

    /// A topic with `config`.
    pub(crate) fn topic_with(&self, stem: &str, partitions: i32, config: &[(&str, &str)]) -> Arc<str> {
        let name = self.name(stem);
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let create = TopicChange::Create { name: name.clone(), partitions, replication: None, config };
        self.broker.apply(&[create]).unwrap();
        eventually("a topic that was created can be used", || {
            let topics = self.broker.topics(&[&name]).unwrap();
            topics.iter().any(|topic| topic.partitions == partitions).then_some(())
        });
        name.into()
    }

    /// What takes a place in a group of its own, without a stable name, and reads from the oldest record.
    pub(crate) fn member(&self, topics: &[&Arc<str>]) -> Member {
        Member {
            group: self.name("group"),
            name: self.name("member"),
            stable: false,
            topics: topics.iter().map(|&topic| (Arc::clone(topic), From::Earliest)).collect(),
            poll_interval_max: Duration::from_secs(60),
            events_max: 500,
            bytes_max: 1 << 20,
            prefetch_bytes_max: 4 << 20,
            pulse: Pulse::default(),
        }
    }

    /// The same place again, or one beside it when `like` has no stable name.
    pub(crate) fn another(&self, like: &Member) -> Member {
        Member { name: self.name("member"), ..like.clone() }
    }

    /// Takes the place.
    pub(crate) fn join(&self, member: &Member) -> Joined {
        Joined::new(self.broker.as_ref(), member)
    }

    /// Takes the place and waits until all partitions are there.
    pub(crate) fn join_and_own(&self, member: &Member, partitions: usize) -> Joined {
        let mut joined = self.join(member);
        until("a member owns every partition", &mut [&mut joined], |joined| joined[0].owned.len() == partitions);
        joined
    }

    /// A member with one event in its hands, which it may commit anything with.
    pub(crate) fn member_with_an_event(&self) -> Joined {
        let input = self.topic("input", 1);
        self.publish_values(&input, 0, &["event"]);
        let mut joined = self.join(&self.member(&[&input]));
        until("its event", &mut [&mut joined], |joined| joined[0].events.len() == 1);
        joined
    }

    /// Publishes one record, and waits for its fate.
    pub(crate) fn publish(&self, record: Record) -> Result<Stored, PublishError> {
        block_on(self.publisher.publish(record))
    }

    /// Publishes values to a partition, each after the other, without keys.
    pub(crate) fn publish_values(&self, topic: &Arc<str>, partition: i32, values: &[&str]) {
        block_on(async {
            for value in values {
                self.publisher.publish(record_to(topic, partition, value)).await.unwrap();
            }
        });
    }

    /// All that readers of a topic may see now, by partition and offset.
    pub(crate) fn visible(&self, topic: &str) -> Vec<Event> {
        self.fixture.visible(topic)
    }

    /// The visible values of a topic, by partition and offset.
    pub(crate) fn visible_values(&self, topic: &str) -> Vec<String> {
        values(&self.visible(topic))
    }

    /// See [`Fixture::open`].
    pub(crate) fn open(&self, records: &[Record]) -> Option<Box<dyn Open>> {
        let open = self.fixture.open(records);
        if open.is_none() {
            does_not_apply("no transaction is ever seen open");
        }
        open
    }

    /// See [`Fixture::delete_before`].
    pub(crate) fn delete_before(&self, partition: &Partition, offset: Offset) -> bool {
        let is_deleted = self.fixture.delete_before(partition, offset);
        if !is_deleted {
            does_not_apply("nothing is ever deleted");
        }
        is_deleted
    }

    /// The group's progress in a topic, by partition.
    pub(crate) fn progress(&self, group: &str, topic: &str) -> BTreeMap<i32, Progress> {
        let progress = self.broker.progress(group, &[topic]).unwrap();
        progress.into_iter().map(|progress| (progress.partition.number, progress)).collect()
    }

    /// The group's position in a partition.
    pub(crate) fn position(&self, group: &str, partition: &Partition) -> Option<Offset> {
        self.progress(group, &partition.topic)[&partition.number].position
    }
}

/// Says that a case, or the rest of it, is not about this broker. The test harness gives threads the names of their cases.
fn does_not_apply(why: &str) {
    let thread = std::thread::current();
    let case = thread.name().unwrap_or("a case");
    // Past the test harness, as `kafka::say`. Who cannot hear it loses nothing but comfort.
    writeln!(std::io::stderr(), "conformance: DOES NOT APPLY HERE, AND COUNTS AS PASSED: {case}: {why}").ok();
}

/// A record with a key and a value.
pub(crate) fn record(topic: &Arc<str>, key: &str, value: &str) -> Record {
    Record {
        topic: Arc::clone(topic),
        partition: None,
        key: Some(key.into()),
        value: Some(value.into()),
        headers: Vec::new(),
    }
}

/// A record without a key, to a partition.
pub(crate) fn record_to(topic: &Arc<str>, partition: i32, value: &str) -> Record {
    Record { partition: Some(partition), key: None, ..record(topic, "", value) }
}

/// The events' values, as text.
pub(crate) fn values(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| String::from_utf8(event.value.clone().unwrap_or_default()).unwrap()).collect()
}
