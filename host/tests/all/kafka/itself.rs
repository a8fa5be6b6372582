//! The Kafka of the tests, tested itself: a tool that lies makes every other test worthless.

use std::collections::BTreeMap;
use std::time::Duration;

use fnhost::event::{Header, Partition, Record};

use super::{Isolation, Kafka, OwnBroker, count_by_value, eventually, kafka, unique};

fn record(topic: &str, key: &str, value: &str) -> Record {
    Record {
        topic: topic.into(),
        partition: None,
        key: Some(key.into()),
        value: Some(value.into()),
        headers: vec![Header { name: "kind".to_owned(), value: Some(b"sample".to_vec()) }],
    }
}

fn values(kafka: &Kafka, topic: &str, isolation: Isolation) -> Vec<String> {
    count_by_value(&kafka.read(&[topic], isolation)).into_keys().collect()
}

#[test]
fn readers_tell_committed_from_open_and_aborted() {
    let Some(kafka) = kafka() else { return };
    let topic = unique("isolation");
    kafka.create_topic(&topic, 3, &[]);
    kafka.write(&[record(&topic, "a", "plain")]);
    kafka.open(&[record(&topic, "b", "aborted")], Duration::from_secs(60)).abort();
    kafka.open(&[record(&topic, "c", "committed")], Duration::from_secs(60)).commit();
    let open = kafka.open(&[record(&topic, "d", "open")], Duration::from_secs(60));
    assert_eq!(values(kafka, &topic, Isolation::Uncommitted), ["aborted", "committed", "open", "plain"]);
    assert_eq!(values(kafka, &topic, Isolation::Committed), ["committed", "plain"]);
    open.commit();
    let read = kafka.read_until("the open one", &[&topic], Isolation::Committed, |events| events.len() == 3);
    assert_eq!(read[0].headers, record(&topic, "", "").headers);
}

#[test]
fn records_before_an_offset_can_be_deleted() {
    let Some(kafka) = kafka() else { return };
    let topic = unique("deleted");
    kafka.create_topic(&topic, 1, &[("retention.ms", "-1")]);
    kafka.write(&[record(&topic, "a", "first"), record(&topic, "a", "second")]);
    kafka.delete_before(&Partition::new(topic.as_str(), 0), 1);
    assert_eq!(values(kafka, &topic, Isolation::Committed), ["second"]);
}

#[test]
fn console_tools_write_and_read() {
    let Some(kafka) = kafka() else { return };
    let topic = unique("console");
    kafka.create_topic(&topic, 1, &[]);
    kafka.console_producer(&topic, &["k1|one", "k2|two"]);
    assert_eq!(kafka.console_consumer(&topic, 2, &["print.key=true"]), ["k1\tone", "k2\ttwo"]);
}

#[test]
fn operators_tools_show_transactions_and_groups() {
    let Some(kafka) = kafka() else { return };
    let topic = unique("operators");
    kafka.create_topic(&topic, 1, &[]);
    let open = kafka.open(&[record(&topic, "a", "open")], Duration::from_secs(60));
    // A broker that has much to do may not answer the tool in time.
    eventually("the tools show that a transaction is open", || {
        let is_open = |row: &BTreeMap<String, String>| row.get("TransactionState").is_some_and(|s| s == "Ongoing");
        kafka.transactions_list().iter().any(is_open).then_some(())
    });
    assert!(kafka.transactions_find_hanging(&topic).is_empty(), "it is not hanging, it is open");
    open.commit();

    let group = unique("group");
    let consumer: rdkafka::consumer::BaseConsumer = kafka.client().set("group.id", &group).create().unwrap();
    let mut position = rdkafka::TopicPartitionList::new();
    position.add_partition_offset(&topic, 0, rdkafka::Offset::Offset(1)).unwrap();
    rdkafka::consumer::Consumer::commit(&consumer, &position, rdkafka::consumer::CommitMode::Sync).unwrap();
    let rows = kafka.consumer_groups_describe(&group);
    // The record and the marker of its transaction.
    assert_eq!(
        (rows[0]["TOPIC"].as_str(), rows[0]["CURRENT-OFFSET"].as_str(), rows[0]["LOG-END-OFFSET"].as_str()),
        (topic.as_str(), "1", "2")
    );
}

#[test]
fn own_broker_keeps_its_data_over_a_kill() {
    let Some(mut own) = OwnBroker::start(&[("num.partitions", "2")]) else {
        return;
    };
    own.kafka().create_topic("kept", 2, &[]);
    own.kafka().write(&[record("kept", "a", "before")]);
    own.kill();
    assert!(!own.kafka().is_serving(Duration::from_millis(200)), "it was killed");
    own.start_again();
    own.kafka().write(&[record("kept", "a", "after")]);
    assert_eq!(values(own.kafka(), "kept", Isolation::Committed), ["after", "before"]);
}

#[test]
fn own_broker_leaves_neither_process_nor_files_when_dropped() {
    let Some(own) = OwnBroker::start(&[]) else { return };
    let (kafka, folder) = (own.kafka().clone(), own.folder().to_owned());
    assert!(folder.join("data").is_dir());
    drop(own);
    assert!(!folder.exists(), "{} is still there", folder.display());
    eventually("nobody serves", || (!kafka.is_serving(Duration::from_millis(200))).then_some(()));
}
