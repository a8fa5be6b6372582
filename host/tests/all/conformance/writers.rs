//! Writers without a membership: the one of its name, and the one for what comes in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fnhost::broker::{Error, PublishError};
use fnhost::event::{Partition, Record};

use super::{World, record, record_to, values};
use crate::kafka::{block_on, eventually};

pub(super) fn an_exclusive_writer_writes_and_says_where_its_records_end(world: &World) {
    let topic = world.topic("deployments", 2);
    let mut writer = world.broker.exclusive(&world.name("writer")).unwrap();
    let written =
        writer.write(&[record_to(&topic, 0, "a"), record_to(&topic, 1, "b"), record_to(&topic, 0, "c")]).unwrap();
    let at = |number| Partition::new(Arc::clone(&topic), number);
    assert_eq!(written.ends, BTreeMap::from([(at(0), 2), (at(1), 1)]));
    writer.write(&[record_to(&topic, 1, "d")]).unwrap();
    assert_eq!(world.visible_values(&topic), ["a", "c", "b", "d"]);
}

pub(super) fn a_second_exclusive_writer_fences_the_first(world: &World) {
    let topic = world.topic("deployments", 1);
    let name = world.name("writer");
    let mut first = world.broker.exclusive(&name).unwrap();
    first.write(&[record_to(&topic, 0, "first")]).unwrap();
    let mut second = world.second_process().exclusive(&name).unwrap();
    let fenced = first.write(&[record_to(&topic, 0, "too late")]);
    assert!(matches!(&fenced, Err(Error::Fenced { .. })), "{fenced:?}");
    second.write(&[record_to(&topic, 0, "second")]).unwrap();
    // It does not come back to life, nor does it harm the second one.
    let fenced = first.write(&[record_to(&topic, 0, "too late")]);
    assert!(matches!(&fenced, Err(Error::Fenced { .. })), "{fenced:?}");
    second.write(&[record_to(&topic, 0, "third")]).unwrap();
    assert_eq!(world.visible_values(&topic), ["first", "second", "third"]);
}

pub(super) fn exclusive_writers_of_other_names_do_not_fence(world: &World) {
    let topic = world.topic("deployments", 1);
    let mut first = world.broker.exclusive(&world.name("writer")).unwrap();
    let mut second = world.broker.exclusive(&world.name("writer")).unwrap();
    first.write(&[record_to(&topic, 0, "1")]).unwrap();
    second.write(&[record_to(&topic, 0, "2")]).unwrap();
    first.write(&[record_to(&topic, 0, "3")]).unwrap();
    assert_eq!(world.visible_values(&topic), ["1", "2", "3"]);
}

pub(super) fn an_exclusive_write_is_all_or_nothing(world: &World) {
    let topic = world.topic_with("deployments", 1, &[("max.message.bytes", "10000")]);
    let mut writer = world.broker.exclusive(&world.name("writer")).unwrap();
    let refused = writer.write(&[record_to(&topic, 0, "a"), record_to(&topic, 0, &"x".repeat(20_000))]);
    assert!(matches!(&refused, Err(Error::Refused { .. })), "{refused:?}");
    assert_eq!(world.visible_values(&topic), [""; 0]);
    writer.write(&[record_to(&topic, 0, "b")]).unwrap();
    assert_eq!(world.visible_values(&topic), ["b"]);
}

pub(super) fn a_publisher_says_where_the_record_lies(world: &World) {
    let topic = world.topic("orders", 3);
    for key in ["a", "b", "c", "d", "e"] {
        let stored = world.publish(record(&topic, key, key)).unwrap();
        let visible = world.visible(&topic);
        let there =
            visible.iter().find(|e| (e.partition.number, e.offset) == (stored.partition, stored.offset)).unwrap();
        assert_eq!(values(std::slice::from_ref(there)), [key]);
    }
}

pub(super) fn a_publisher_takes_many_records_at_once(world: &World) {
    let topic = world.topic("orders", 3);
    let publisher = world.broker.publisher().unwrap();
    let stored = block_on(async {
        let publish = |i: i32| tokio::spawn(publisher.publish(record(&topic, &i.to_string(), "order")));
        let mut stored = Vec::new();
        for task in (0..1000).map(publish).collect::<Vec<_>>() {
            stored.push(task.await.unwrap().unwrap());
        }
        stored
    });
    let places: BTreeSet<_> = stored.iter().map(|stored| (stored.partition, stored.offset)).collect();
    let visible = world.visible(&topic);
    assert_eq!(places, visible.iter().map(|event| (event.partition.number, event.offset)).collect());
    assert_eq!(visible.len(), 1000);
}

pub(super) fn a_publisher_refuses_what_is_too_large(world: &World) {
    let topic = world.topic_with("orders", 1, &[("max.message.bytes", "10000")]);
    let refused = world.publish(record(&topic, "a", &"x".repeat(20_000)));
    assert!(matches!(&refused, Err(PublishError::Refused { too_large: true, .. })), "{refused:?}");
    world.publish(record(&topic, "b", "small")).unwrap();
    assert_eq!(world.visible_values(&topic), ["small"]);
}

pub(super) fn a_publisher_refuses_a_null_key_on_a_compacted_topic_and_stores_the_others(world: &World) {
    let topic = world.topic_with("accounts", 1, &[("cleanup.policy", "compact")]);
    let publisher = world.broker.publisher().unwrap();
    let fates = block_on(async {
        // At once, so that they may travel together; a bad one must not take good ones down.
        let records = (0..30).map(|i: i32| Record {
            key: (i % 10 != 7).then(|| i.to_string().into_bytes()),
            ..record_to(&topic, 0, &i.to_string())
        });
        let tasks: Vec<_> = records.map(|record| tokio::spawn(publisher.publish(record))).collect();
        let mut fates = Vec::new();
        for task in tasks {
            fates.push(task.await.unwrap());
        }
        fates
    });
    for (i, fate) in fates.iter().enumerate() {
        if i % 10 == 7 {
            assert!(matches!(fate, Err(PublishError::Refused { too_large: false, .. })), "{i}: {fate:?}");
        } else {
            assert!(fate.is_ok(), "{i}: {fate:?}");
        }
    }
    assert_eq!(world.visible(&topic).len(), 27);
}

pub(super) fn a_record_for_a_topic_that_is_not_there_is_known_not_to_be_stored(world: &World) {
    let refused = world.publish(record(&world.name("missing").into(), "a", "a"));
    let is_known = matches!(&refused, Err(PublishError::Refused { too_large: false, .. } | PublishError::Away { .. }));
    assert!(is_known, "{refused:?}");
}

pub(super) fn a_publisher_hears_its_broker(world: &World) {
    let topic = world.topic("orders", 1);
    let publisher = world.broker.publisher().unwrap();
    block_on(publisher.publish(record(&topic, "a", "a"))).unwrap();
    eventually("it was heard", || publisher.is_reachable().then_some(()));
}
