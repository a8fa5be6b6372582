//! Topics and records, past the product: over rdkafka directly.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fnhost::event::{Event, Header, Offset, Partition, Record};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::{Offset as Start, TopicPartitionList};

use super::{Kafka, PATIENCE, block_on, eventually, unique};

/// What a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Nothing aborted, nothing behind a transaction that is open.
    Committed,
    /// Everything.
    Uncommitted,
}

impl Kafka {
    /// A client's configuration with nothing but where the broker is.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.brokers);
        client
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().unwrap()
    }

    /// Whether it answers within `wait`, and every partition it knows of has a leader.
    pub(crate) fn is_serving(&self, wait: Duration) -> bool {
        let client: BaseConsumer = self.client().create().unwrap();
        client.fetch_metadata(None, wait).is_ok_and(|metadata| {
            let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            !metadata.brokers().is_empty() && partitions.all(|partition| partition.leader() >= 0)
        })
    }

    /// Creates a topic and returns when it can be used.
    ///
    /// # Panics
    /// When the broker does not create it.
    pub(crate) fn create_topic(&self, name: &str, partitions: i32, config: &[(&str, &str)]) {
        let new =
            config.iter().fold(NewTopic::new(name, partitions, TopicReplication::Fixed(1)), |topic, (key, value)| {
                topic.set(key, value)
            });
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        for created in block_on(self.admin().create_topics([&new], &options)).unwrap() {
            created.unwrap();
        }
        eventually("a topic that was created can be used", || {
            (self.partitions(name).len() == partitions as usize).then_some(())
        });
    }

    /// Deletes the records before `offset`, as retention does.
    pub(crate) fn delete_before(&self, partition: &Partition, offset: Offset) {
        let mut until = TopicPartitionList::new();
        until.add_partition_offset(&partition.topic, partition.number, Start::Offset(offset)).unwrap();
        let deleted = block_on(self.admin().delete_records(&until, &AdminOptions::new())).unwrap();
        deleted.elements().iter().for_each(|partition| partition.error().unwrap());
    }

    /// The partitions of a topic that have a leader.
    pub(crate) fn partitions(&self, topic: &str) -> Vec<Partition> {
        let client: BaseConsumer = self.client().create().unwrap();
        let metadata = client.fetch_metadata(Some(topic), PATIENCE).unwrap();
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        partitions.filter(|p| p.leader() >= 0).map(|p| Partition::new(topic, p.id())).collect()
    }

    /// Everything that lies in the topics now, by topic, partition and offset.
    pub(crate) fn read(&self, topics: &[&str], isolation: Isolation) -> Vec<Event> {
        let mut readers: Vec<_> = topics.iter().map(|topic| Reader::new(self, topic, isolation)).collect();
        for reader in &mut readers {
            eventually("reading a topic to its end", || reader.read_to_end().then_some(()));
        }
        readers.into_iter().flat_map(|reader| reader.events.into_values()).collect()
    }

    /// Everything from the topics' beginnings, once `until` says that it is enough.
    ///
    /// # Panics
    /// After [`PATIENCE`], naming `what` was awaited.
    pub(crate) fn read_until(
        &self,
        what: &str,
        topics: &[&str],
        isolation: Isolation,
        until: impl Fn(&[Event]) -> bool,
    ) -> Vec<Event> {
        let mut readers: Vec<_> = topics.iter().map(|topic| Reader::new(self, topic, isolation)).collect();
        eventually(what, || {
            for reader in &mut readers {
                reader.read_to_end();
            }
            let events: Vec<_> = readers.iter().flat_map(|reader| reader.events.values().cloned()).collect();
            until(&events).then_some(events)
        })
    }

    /// Writes records, each on its own, and returns when the broker has them.
    pub(crate) fn write(&self, records: &[Record]) {
        let producer: ThreadedProducer<_> = self.client().set("enable.idempotence", "true").create().unwrap();
        send(&producer, records);
    }

    /// Writes records in a transaction that stays open until it is ended, or `timeout` has passed.
    pub(crate) fn open(&self, records: &[Record], timeout: Duration) -> Open {
        let producer: ThreadedProducer<_> = self
            .client()
            .set("transactional.id", unique("open"))
            .set("transaction.timeout.ms", timeout.as_millis().to_string())
            .create()
            .unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        send(&producer, records);
        Open { client: self.client(), producer }
    }
}

/// A transaction whose records the broker has, and whose end is not decided.
pub(crate) struct Open {
    client: ClientConfig,
    producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext>,
}

impl Open {
    /// Puts positions of a group into it, which nobody can read until it ends.
    pub(crate) fn hold(&self, group: &str, positions: &[(&str, i32, Offset)]) {
        let mut list = TopicPartitionList::new();
        for (topic, partition, next) in positions {
            list.add_partition_offset(topic, *partition, Start::Offset(*next)).unwrap();
        }
        let member: BaseConsumer = self.client.clone().set("group.id", group).create().unwrap();
        let member = member.group_metadata().unwrap();
        self.producer.send_offsets_to_transaction(&list, &member, PATIENCE).unwrap();
    }

    /// Makes its records visible.
    pub(crate) fn commit(self) {
        self.producer.commit_transaction(PATIENCE).unwrap();
    }

    /// Makes sure that they never are.
    pub(crate) fn abort(self) {
        self.producer.abort_transaction(PATIENCE).unwrap();
    }
}

/// How often each value occurs, as text.
pub(crate) fn count_by_value(events: &[Event]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for event in events {
        let value = String::from_utf8_lossy(event.value.as_deref().unwrap_or_default());
        *counts.entry(value.into_owned()).or_default() += 1;
    }
    counts
}

/// Sends and waits until the broker has all of it.
fn send(producer: &ThreadedProducer<rdkafka::producer::DefaultProducerContext>, records: &[Record]) {
    for record in records {
        let mut message = BaseRecord::<[u8], [u8]>::to(&record.topic);
        message.key = record.key.as_deref();
        message.payload = record.value.as_deref();
        message.partition = record.partition;
        message.headers = (!record.headers.is_empty()).then(|| {
            record.headers.iter().fold(OwnedHeaders::new(), |headers, header| {
                headers.insert(rdkafka::message::Header { key: &header.name, value: header.value.as_deref() })
            })
        });
        loop {
            match producer.send(message) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    message = back;
                    producer.flush(PATIENCE).unwrap();
                }
                Err((error, _)) => panic!("cannot write to {}: {error}", record.topic),
            }
        }
    }
    producer.flush(PATIENCE).unwrap();
}

/// Reads a topic from its beginning, over and over to its end.
struct Reader {
    consumer: BaseConsumer,
    partitions: usize,
    at_end: BTreeSet<i32>,
    events: BTreeMap<(i32, Offset), Event>,
}

impl Reader {
    fn new(kafka: &Kafka, topic: &str, isolation: Isolation) -> Self {
        let consumer: BaseConsumer = kafka
            .client()
            .set("group.id", unique("reader"))
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            // An end is told when a fetch finds nothing, so fetches that find nothing must be short.
            .set("fetch.wait.max.ms", "10")
            .set(
                "isolation.level",
                if isolation == Isolation::Committed { "read_committed" } else { "read_uncommitted" },
            )
            .create()
            .unwrap();
        let partitions = kafka.partitions(topic);
        assert!(!partitions.is_empty(), "topic {topic} is not there");
        let mut assignment = TopicPartitionList::new();
        for partition in &partitions {
            assignment.add_partition_offset(topic, partition.number, Start::Beginning).unwrap();
        }
        consumer.assign(&assignment).unwrap();
        Self { consumer, partitions: partitions.len(), at_end: BTreeSet::new(), events: BTreeMap::new() }
    }

    /// Reads on until every partition is at its end, but no longer than a moment without a record.
    fn read_to_end(&mut self) -> bool {
        loop {
            match self.consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => {
                    self.at_end.remove(&message.partition());
                    let before = self.events.insert((message.partition(), message.offset()), event(&message));
                    assert!(before.is_none(), "read twice: {before:?}");
                }
                Some(Err(KafkaError::PartitionEOF(number))) => _ = self.at_end.insert(number),
                Some(Err(error)) => panic!("cannot read: {error}"),
                None => return self.at_end.len() == self.partitions,
            }
            if self.at_end.len() == self.partitions {
                return true;
            }
        }
    }
}

fn event(message: &BorrowedMessage<'_>) -> Event {
    let headers = message.headers().map(|headers| {
        let own = |header: rdkafka::message::Header<'_, &[u8]>| Header {
            name: header.key.to_owned(),
            value: header.value.map(<[u8]>::to_vec),
        };
        headers.iter().map(own).collect()
    });
    Event {
        partition: Partition::new(message.topic(), message.partition()),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().and_then(|ms| u64::try_from(ms).ok()),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
    }
}
