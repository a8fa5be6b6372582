//! A consumer without a group, as a customer of a topic would be one.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::Kafka;

/// Reads what is committed to `topics`, from their beginnings, and has asked the broker for it when this returns.
pub(crate) fn reader(kafka: &Kafka, topics: &[&str]) -> BaseConsumer {
    let consumer: BaseConsumer = kafka
        .client()
        .set("group.id", "bench.reader")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        // As the host's clients: one that forgets its brokers may never come back.
        .set("metadata.recovery.strategy", "none")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    for partition in topics.iter().flat_map(|topic| kafka.partitions(topic)) {
        assignment.add_partition_offset(&partition.topic, partition.number, Offset::Beginning).unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let early = consumer.poll(Duration::from_millis(500));
    assert!(early.is_none(), "there is something on {topics:?} already: {early:?}");
    consumer
}
