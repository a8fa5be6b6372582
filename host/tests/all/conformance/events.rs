//! What is written comes back as it was, in order, and no faster than asked for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fnhost::broker::{Error, Member, Replayed};
use fnhost::event::{Event, Header, Partition, Record};

use super::partitioner::partition_of;
use super::{Joined, World, record, record_to, until, values};
use crate::kafka::eventually;

/// Writes the records in every way there is, each way to a topic of its own, and gives what was read of each way by a
/// member. What a replay reads is compared on the fly.
fn written_every_way(world: &World, config: &[(&str, &str)], records: &[Record]) -> Vec<Vec<Event>> {
    let ways: [fn(&World, Vec<Record>); 3] = [
        |world, records| {
            for record in records {
                world.publish(record).unwrap();
            }
        },
        |world, records| {
            world.broker.exclusive(&world.name("writer")).unwrap().write(&records).unwrap();
        },
        |world, records| drop(world.member_with_an_event().commit(records)),
    ];
    let write = |way: fn(&World, Vec<Record>)| {
        let topic = world.topic_with("written", 7, config);
        way(world, records.iter().map(|record| Record { topic: Arc::clone(&topic), ..record.clone() }).collect());
        let mut member = world.member(&[&topic]);
        member.prefetch_bytes_max = 16 << 20;
        let mut joined = world.join(&member);
        until("all that was written", &mut [&mut joined], |joined| joined[0].events.len() == records.len());
        compare_with_replays(world, &topic, &joined);
        joined.events
    };
    ways.into_iter().map(write).collect()
}

fn compare_with_replays(world: &World, topic: &Arc<str>, joined: &Joined) {
    for partition in joined.owned.keys() {
        let mut replay = world.broker.replay(partition, 0).unwrap();
        let mut replayed = Vec::new();
        eventually("a replay's end", || match replay.next(Duration::from_secs(1)).unwrap() {
            Replayed::Records(mut records) => {
                replayed.append(&mut records);
                None
            }
            Replayed::Waiting => None,
            Replayed::Done { .. } => Some(()),
        });
        let polled: Vec<_> = joined.events.iter().filter(|event| event.partition == *partition).cloned().collect();
        assert_eq!(replayed, polled, "{topic}: a replay and a member read the same");
    }
}

/// What came back of a record, to compare with it.
fn back(event: &Event, topic: &Arc<str>) -> Record {
    Record {
        topic: Arc::clone(topic),
        partition: None,
        key: event.key.clone(),
        value: event.value.clone(),
        headers: event.headers.clone(),
    }
}

fn come_back(world: &World, config: &[(&str, &str)], records: &[Record]) {
    for events in written_every_way(world, config, records) {
        let came: Vec<_> = events.iter().map(|event| back(event, &records[0].topic)).collect();
        for record in records {
            assert!(came.contains(record), "{record:?} is not in {came:?}");
        }
        assert!(events.iter().all(|event| event.timestamp_ms.is_some_and(|ms| ms > 1_700_000_000_000)));
    }
}

pub(super) fn keys_values_and_headers_come_back_as_they_were(world: &World) {
    let mut text = record(&"any".into(), "key", "value");
    text.headers = vec![Header { name: "kind".to_owned(), value: Some(b"sample".to_vec()) }];
    let bytes = Record { key: Some(vec![0, 255, 128]), value: Some((0..=255).collect()), ..text.clone() };
    come_back(world, &[], &[text, bytes]);
}

pub(super) fn null_is_not_empty(world: &World) {
    let plain = record(&"any".into(), "", "");
    come_back(
        world,
        &[],
        &[
            plain.clone(),
            Record { key: None, ..plain.clone() },
            Record { value: None, ..plain.clone() },
            Record { key: None, value: None, ..plain },
        ],
    );
}

pub(super) fn headers_keep_their_order_their_duplicates_and_their_nulls(world: &World) {
    let header = |name: &str, value: Option<&[u8]>| Header { name: name.to_owned(), value: value.map(<[u8]>::to_vec) };
    let headers = vec![
        header("z", Some(b"1")),
        header("a", None),
        header("z", Some(b"2")),
        header("a", Some(b"")),
        header("", Some(b"no name")),
        header("z", None),
        header("ünï", Some(&[0, 255])),
    ];
    come_back(world, &[], &[Record { headers, ..record(&"any".into(), "key", "value") }]);
}

pub(super) fn large_values_come_back(world: &World) {
    let value: Vec<u8> = (0..2_500_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let large = Record { value: Some(value), ..record(&"any".into(), "large", "") };
    come_back(world, &[("max.message.bytes", "3000000")], &[large, record(&"any".into(), "small", "value")]);
}

pub(super) fn events_of_a_partition_come_in_order(world: &World) {
    let topic = world.topic("ordered", 3);
    let numbers: Vec<_> = (0..200).map(|i| i.to_string()).collect();
    let numbers: Vec<_> = numbers.iter().map(String::as_str).collect();
    for partition in 0..3 {
        world.publish_values(&topic, partition, &numbers);
    }
    let mut joined = world.join(&world.member(&[&topic]));
    until("all events", &mut [&mut joined], |joined| joined[0].events.len() == 600);
    for partition in 0..3 {
        let of_it: Vec<_> = joined.events.iter().filter(|event| event.partition.number == partition).cloned().collect();
        assert_eq!(values(&of_it), numbers);
    }
}

pub(super) fn keys_go_to_the_partition_that_java_picks(world: &World) {
    let keys = ["", "21", "foobar", "a-little-bit-long-string", "a-little-bit-longer-string", "abc", "ü", "8f14e45f"];
    let records: Vec<_> = keys.iter().map(|key| record(&"any".into(), key, key)).collect();
    for (way, events) in written_every_way(world, &[], &records).into_iter().enumerate() {
        for event in events {
            let key = event.key.unwrap();
            let picked = partition_of(&key, 7);
            assert_eq!(event.partition.number, picked, "key {:?}, way {way}", String::from_utf8_lossy(&key));
        }
    }
}

pub(super) fn a_named_partition_is_where_the_record_goes(world: &World) {
    let records: Vec<_> =
        (0..7).map(|i| Record { partition: Some(i), ..record(&"any".into(), "one key", &i.to_string()) }).collect();
    for events in written_every_way(world, &[], &records) {
        for event in events {
            let wanted = String::from_utf8(event.value.unwrap()).unwrap();
            assert_eq!(event.partition.number.to_string(), wanted);
        }
    }
}

pub(super) fn polls_are_bounded_in_events(world: &World) {
    let topic = world.topic("input", 2);
    for partition in 0..2 {
        world.publish_values(&topic, partition, &["event"; 20]);
    }
    // That no poll brings more is checked at every poll.
    let mut joined = world.join(&Member { events_max: 3, ..world.member(&[&topic]) });
    until("all events", &mut [&mut joined], |joined| joined[0].events.len() == 40);
}

pub(super) fn polls_are_bounded_in_bytes(world: &World) {
    let topic = world.topic("input", 1);
    let (small, large) = ("x".repeat(400), "x".repeat(5000));
    world.publish_values(&topic, 0, &[&small, &small, &small, &large, &small, &large, &large, &small, &small]);
    let mut joined = world.join(&Member { bytes_max: 1000, ..world.member(&[&topic]) });
    until("all events", &mut [&mut joined], |joined| joined[0].events.len() == 9);
}

pub(super) fn an_assigned_partition_gives_nothing_until_it_is_resumed(world: &World) {
    let topic = world.topic("input", 2);
    world.publish_values(&topic, 0, &["waiting"]);
    world.publish_values(&topic, 1, &["waiting"]);
    let mut joined = world.join(&world.member(&[&topic]));
    joined.resumes = false;
    until("its partitions", &mut [&mut joined], |joined| joined[0].owned.len() == 2);
    // An event of a partition that is not resumed fails the poll that brings it.
    joined.turn_until_quiet();
    joined.resume(&[Partition::new(Arc::clone(&topic), 1)]);
    until("one event", &mut [&mut joined], |joined| joined[0].events.len() == 1);
    joined.turn_until_quiet();
    joined.resume(&[Partition::new(topic, 0)]);
    until("the other event", &mut [&mut joined], |joined| joined[0].events.len() == 2);
}

pub(super) fn a_paused_partition_gives_nothing_and_goes_on_where_it_was(world: &World) {
    let topic = world.topic("input", 2);
    let numbers: Vec<_> = (0..40).map(|i| i.to_string()).collect();
    let numbers: Vec<_> = numbers.iter().map(String::as_str).collect();
    for partition in 0..2 {
        world.publish_values(&topic, partition, &numbers);
    }
    let first = Partition::new(Arc::clone(&topic), 0);
    let mut joined = world.join(&Member { events_max: 5, ..world.member(&[&topic]) });
    let of = |joined: &Joined, number: i32| -> Vec<Event> {
        joined.events.iter().filter(|event| event.partition.number == number).cloned().collect()
    };
    until("some events", &mut [&mut joined], |joined| !of(joined[0], 0).is_empty());
    // More of it lie in the client already. Twice, because the second time must not begin where the first did.
    for _ in 0..2 {
        joined.pause(std::slice::from_ref(&first));
        joined.turn_until_quiet();
        joined.resume(std::slice::from_ref(&first));
        joined.turn();
    }
    until("all events", &mut [&mut joined], |joined| joined[0].events.len() == 80);
    assert_eq!(values(&of(&joined, 0)), numbers);
    assert_eq!(values(&of(&joined, 1)), numbers);
}

pub(super) fn what_is_not_owned_can_be_neither_paused_nor_resumed(world: &World) {
    let topic = world.topic("input", 1);
    let mut joined = world.join_and_own(&world.member(&[&topic]), 1);
    let stranger = [Partition::new(topic, 7)];
    assert!(matches!(joined.membership().pause(&stranger), Err(Error::Bug { .. })));
    assert!(matches!(joined.membership().resume(&stranger), Err(Error::Bug { .. })));
}

pub(super) fn an_open_transaction_is_invisible_and_seen_when_it_commits(world: &World) {
    let topic = world.topic("input", 1);
    world.publish_values(&topic, 0, &["before"]);
    let Some(open) = world.open(&[record_to(&topic, 0, "within")]) else {
        return;
    };
    let mut joined = world.join(&world.member(&[&topic]));
    until("what lies before it", &mut [&mut joined], |joined| !joined[0].events.is_empty());
    joined.turn_until_quiet();
    assert_eq!(values(&joined.events), ["before"]);
    open.commit();
    until("what it wrote", &mut [&mut joined], |joined| joined[0].events.len() == 2);
    assert_eq!(values(&joined.events), ["before", "within"]);
}

pub(super) fn an_aborted_transaction_is_never_seen(world: &World) {
    let topic = world.topic("input", 2);
    let Some(open) = world.open(&[record_to(&topic, 0, "aborted"), record_to(&topic, 1, "aborted")]) else {
        return;
    };
    world.publish_values(&topic, 0, &["after"]);
    let mut joined = world.join_and_own(&world.member(&[&topic]), 2);
    joined.turn_until_quiet();
    open.abort();
    world.publish_values(&topic, 1, &["after"]);
    until("what came after it", &mut [&mut joined], |joined| joined[0].events.len() == 2);
    let seen: BTreeSet<_> = values(&joined.events).into_iter().collect();
    assert_eq!(seen, BTreeSet::from(["after".to_owned()]));
}
