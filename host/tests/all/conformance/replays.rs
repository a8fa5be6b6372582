//! Reading a changelog back.

use std::sync::Arc;
use std::time::Duration;

use fnhost::broker::{Error, Replay, Replayed};
use fnhost::event::{Event, Offset, Partition, Record};

use super::{Open, QUIET_TURNS, TURN, World, record, record_to, until, values};
use crate::kafka::eventually;

fn log_of(topic: &Arc<str>) -> Partition {
    Partition::new(Arc::clone(topic), 0)
}

/// Reads it to its end: what it held, and where to go on.
fn drain(mut replay: Box<dyn Replay>) -> (Vec<Event>, Offset) {
    let mut events: Vec<Event> = Vec::new();
    let next = eventually("a replay's end", || match replay.next(Duration::from_secs(1)) {
        Ok(Replayed::Records(records)) => {
            assert!(!records.is_empty(), "no records are Waiting");
            for event in records {
                assert!(events.last().is_none_or(|last| last.offset < event.offset), "{events:?} then {event:?}");
                events.push(event);
            }
            None
        }
        Ok(Replayed::Done { next }) => Some(next),
        Ok(Replayed::Waiting) | Err(Error::Away { .. }) => None,
        Err(error) => panic!("{error:?}"),
    });
    assert!(events.iter().all(|event| event.offset < next), "{next} is the end");
    (events, next)
}

fn replay(world: &World, topic: &Arc<str>, from: Offset) -> (Vec<String>, Offset) {
    let (events, next) = drain(world.broker.replay(&log_of(topic), from).unwrap());
    assert!(events.iter().all(|event| event.offset >= from && event.partition == log_of(topic)));
    (values(&events), next)
}

pub(super) fn a_replay_has_every_record_from_the_beginning(world: &World) {
    let topic = world.topic_with("log", 2, &[("cleanup.policy", "compact")]);
    let keyed = |key: &str, value: Option<&str>| Record {
        partition: Some(0),
        value: value.map(|value| value.as_bytes().to_vec()),
        ..record(&topic, key, "")
    };
    let records = [keyed("a", Some("1")), keyed("b", Some("2")), keyed("a", None), keyed("c", Some(""))];
    for record in &records {
        world.publish(record.clone()).unwrap();
    }
    world.publish(Record { partition: Some(1), ..record(&topic, "d", "of another partition") }).unwrap();
    let (events, next) = drain(world.broker.replay(&log_of(&topic), 0).unwrap());
    let read: Vec<_> = events.into_iter().map(|event| (event.key, event.value)).collect();
    assert_eq!(read, records.map(|record| (record.key, record.value)));
    assert_eq!(next, 4);
}

pub(super) fn a_replay_begins_in_the_middle(world: &World) {
    let topic = world.topic("log", 1);
    world.publish_values(&topic, 0, &["a", "b", "c", "d"]);
    assert_eq!(replay(world, &topic, 2), (vec!["c".to_owned(), "d".to_owned()], 4));
}

pub(super) fn a_replay_of_nothing_is_done_at_once(world: &World) {
    let topic = world.topic("log", 1);
    assert_eq!(replay(world, &topic, 0), (Vec::new(), 0));
    world.publish_values(&topic, 0, &["a"]);
    assert_eq!(replay(world, &topic, 1), (Vec::new(), 1));
}

pub(super) fn a_replay_beyond_the_end_says_that_the_log_shrank(world: &World) {
    let topic = world.topic("log", 1);
    world.publish_values(&topic, 0, &["a", "b"]);
    let Err(error) = world.broker.replay(&log_of(&topic), 5) else { panic!("it must not begin") };
    let Error::Shrunk { partition, expected, end } = &error else { panic!("{error:?}") };
    assert_eq!((partition, *expected, *end), (&log_of(&topic), 5, 2));
}

pub(super) fn a_replay_of_a_topic_that_is_not_there_says_so(world: &World) {
    let missing = world.name("missing");
    let Err(error) = world.broker.replay(&Partition::new(missing.as_str(), 0), 0) else { panic!("it must not begin") };
    assert!(matches!(&error, Error::NoSuchTopic { topic } if *topic == missing), "{error:?}");
}

pub(super) fn a_replay_ends_where_the_log_ended_when_it_was_asked_for(world: &World) {
    let topic = world.topic("log", 1);
    world.publish_values(&topic, 0, &["a", "b"]);
    let begun = world.broker.replay(&log_of(&topic), 0).unwrap();
    world.publish_values(&topic, 0, &["c"]);
    let (events, next) = drain(begun);
    assert_eq!((values(&events), next), (vec!["a".to_owned(), "b".to_owned()], 2));
    assert_eq!(replay(world, &topic, next), (vec!["c".to_owned()], 3));
}

/// Replays a log with an open transaction in it, which is ended while the replay waits for it.
fn replayed_over_an_open_transaction(world: &World, end: fn(Box<dyn Open>)) -> Option<Vec<String>> {
    let topic = world.topic("log", 1);
    world.publish_values(&topic, 0, &["before"]);
    let open = world.open(&[record_to(&topic, 0, "within")])?;
    world.publish_values(&topic, 0, &["behind"]);
    let mut replay = world.broker.replay(&log_of(&topic), 0).unwrap();
    let mut read = Vec::new();
    for _ in 0..QUIET_TURNS {
        match replay.next(TURN).unwrap() {
            Replayed::Records(mut records) => read.append(&mut records),
            Replayed::Waiting => {}
            Replayed::Done { next } => panic!("done at {next}, and a transaction is open"),
        }
    }
    // How much of it comes before the transaction has ended is up to the implementation.
    assert!(values(&read).iter().all(|value| value == "before"), "{read:?}");
    end(open);
    read.extend(drain(replay).0);
    Some(values(&read))
}

pub(super) fn a_replay_waits_for_an_open_transaction_and_has_it_when_it_commits(world: &World) {
    let Some(read) = replayed_over_an_open_transaction(world, |open| open.commit()) else {
        return;
    };
    assert_eq!(read, ["before", "within", "behind"]);
}

pub(super) fn a_replay_waits_for_an_open_transaction_and_leaves_it_out_when_it_aborts(world: &World) {
    let Some(read) = replayed_over_an_open_transaction(world, |open| open.abort()) else {
        return;
    };
    assert_eq!(read, ["before", "behind"]);
}

pub(super) fn a_replay_never_has_aborted_records(world: &World) {
    let topic = world.topic("log", 1);
    world.publish_values(&topic, 0, &["a"]);
    for value in ["1", "2"] {
        let Some(open) = world.open(&[record_to(&topic, 0, value), record_to(&topic, 0, value)]) else {
            return;
        };
        open.abort();
    }
    world.publish_values(&topic, 0, &["b"]);
    world.open(&[record_to(&topic, 0, "3")]).unwrap().abort();
    let (read, next) = replay(world, &topic, 0);
    assert_eq!(read, ["a", "b"]);
    assert_eq!(replay(world, &topic, next), (Vec::new(), next), "it goes on behind what was aborted");
}

pub(super) fn a_replay_ends_behind_a_marker(world: &World) {
    let topic = world.topic("log", 1);
    let committed = world.member_with_an_event().commit(vec![record_to(&topic, 0, "a")]);
    let (read, next) = replay(world, &topic, 0);
    assert_eq!(read, ["a"]);
    // A store is caught up by its own commits up to here, and by replays up to `next`.
    let end = committed.ends[&log_of(&topic)];
    assert!(next >= end, "{next} lies before {end}");
    // The marker may be written a moment after the commit was answered.
    let (read, behind) = replay(world, &topic, end);
    assert!(read.is_empty() && behind >= next, "{read:?} up to {behind}");
    assert_eq!(replay(world, &topic, behind).0, [""; 0]);
}

pub(super) fn replays_run_beside_each_other_and_beside_a_member(world: &World) {
    let (topic, input) = (world.topic("log", 3), world.topic("input", 1));
    let many: Vec<_> = (0..300).map(|i| i.to_string()).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    for partition in 0..3 {
        world.publish_values(&topic, partition, &many);
    }
    let mut joined = world.join_and_own(&world.member(&[&input]), 1);
    let at = |number| Partition::new(Arc::clone(&topic), number);
    let mut replays = [0, 1, 2].map(|number| (world.broker.replay(&at(number), 0).unwrap(), Vec::new(), false));
    eventually("all replays are done", || {
        joined.turn();
        for (replay, read, is_done) in replays.iter_mut().filter(|(_, _, is_done)| !is_done) {
            match replay.next(TURN).unwrap() {
                Replayed::Records(mut records) => read.append(&mut records),
                Replayed::Waiting => {}
                Replayed::Done { .. } => *is_done = true,
            }
        }
        replays.iter().all(|(_, _, is_done)| *is_done).then_some(())
    });
    for (number, (_, read, _)) in (0..).zip(&replays) {
        assert!(read.iter().all(|event| event.partition == at(number)));
        assert_eq!(values(read), many);
    }
    world.publish_values(&input, 0, &["event"]);
    until("the member is well", &mut [&mut joined], |joined| joined[0].events.len() == 1);
}
