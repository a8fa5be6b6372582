//! Who owns what, and that nobody commits what another owns.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fnhost::broker::{CommitError, Error, Member};
use fnhost::event::Partition;

use super::{Joined, World, until, values};
use crate::kafka::{count_by_value, eventually};

/// As short as a poll interval may be on every implementation.
const POLL_INTERVAL_SHORT: Duration = Duration::from_secs(10);

fn numbers_of(joined: &Joined, topic: &Arc<str>) -> BTreeSet<i32> {
    joined.owned.keys().filter(|partition| partition.topic == *topic).map(|partition| partition.number).collect()
}

fn owned(joined: &Joined) -> Vec<Partition> {
    joined.owned.keys().cloned().collect()
}

pub(super) fn one_member_gets_every_partition_of_every_topic(world: &World) {
    let (one, two) = (world.topic("one", 3), world.topic("two", 1));
    let joined = world.join_and_own(&world.member(&[&one, &two]), 4);
    assert_eq!((numbers_of(&joined, &one).len(), numbers_of(&joined, &two).len()), (3, 1));
    assert_eq!(joined.revocations, 0);
}

pub(super) fn two_groups_get_every_event_each(world: &World) {
    let topic = world.topic("input", 1);
    world.publish_values(&topic, 0, &["a", "b"]);
    let (mut one, mut two) = (world.join(&world.member(&[&topic])), world.join(&world.member(&[&topic])));
    until("both have both", &mut [&mut one, &mut two], |joined| joined.iter().all(|joined| joined.events.len() == 2));
    one.commit(Vec::new());
    until("the other still can", &mut [&mut two], |joined| joined[0].events.len() == 2);
    two.commit(Vec::new());
}

pub(super) fn members_share_partitions_and_one_number_lies_on_one_member(world: &World) {
    // An odd number: dealt out one by one, the topics' partitions would not lie together.
    let topics = [world.topic("one", 3), world.topic("two", 3), world.topic("three", 3)];
    let all_owned = |joined: &[&mut Joined]| {
        let owned = joined.iter().map(|joined| joined.owned.len());
        owned.clone().all(|owned| owned > 0) && owned.sum::<usize>() == 9
    };
    let member = world.member(&topics.each_ref());
    let mut first = world.join_and_own(&member, 9);
    let mut second = Joined::new(world.second_process().as_ref(), &world.another(&member));
    until("both own some", &mut [&mut first, &mut second], all_owned);
    for joined in [&first, &second] {
        let numbers = numbers_of(joined, &topics[0]);
        let same = topics.iter().all(|topic| numbers_of(joined, topic) == numbers);
        assert!(same, "{:?}", joined.owned);
    }
    let mut third = world.join(&world.another(&member));
    until("a third owns some too", &mut [&mut first, &mut second, &mut third], all_owned);
}

pub(super) fn a_member_that_leaves_hands_over(world: &World) {
    hands_over(world, Joined::leave);
}

pub(super) fn a_member_that_is_gone_hands_over(world: &World) {
    hands_over(world, drop);
}

/// The first of two members commits one of two events and then goes.
fn hands_over(world: &World, go: fn(Joined)) {
    let (topic, output) = (world.topic("input", 2), world.topic("output", 2));
    let member = world.member(&[&topic]);
    let (mut first, mut second) = (world.join(&member), world.join(&world.another(&member)));
    until("both own one", &mut [&mut first, &mut second], |joined| joined.iter().all(|joined| joined.owned.len() == 1));
    let number = owned(&first)[0].number;
    world.publish_values(&topic, number, &["done"]);
    until("an event", &mut [&mut first, &mut second], |joined| joined[0].events.len() == 1);
    first.commit(first.copies(&output));
    world.publish_values(&topic, number, &["handed over"]);
    until("another event", &mut [&mut first, &mut second], |joined| joined[0].events.len() == 1);
    go(first);
    until("the other one has it", &mut [&mut second], |joined| {
        joined[0].owned.len() == 2 && !joined[0].events.is_empty()
    });
    assert_eq!(values(&second.events), ["handed over"]);
    second.commit(second.copies(&output));
    assert_eq!(world.visible_values(&output), ["done", "handed over"]);
}

pub(super) fn a_member_that_does_not_poll_loses_its_partitions_and_cannot_commit(world: &World) {
    let (topic, output) = (world.topic("input", 2), world.topic("output", 2));
    world.publish_values(&topic, 0, &["event"]);
    let member = Member { poll_interval_max: POLL_INTERVAL_SHORT, ..world.member(&[&topic]) };
    let mut first = world.join(&member);
    until("an event", &mut [&mut first], |joined| joined[0].owned.len() == 2 && joined[0].events.len() == 1);
    let mut second = Joined::new(world.second_process().as_ref(), &world.another(&member));
    until("the second one owns all", &mut [&mut second], |joined| {
        joined[0].owned.len() == 2 && joined[0].events.len() == 1
    });
    let refused = first.try_commit(first.copies(&output));
    assert!(matches!(refused, Err(CommitError::Stale { .. } | CommitError::Over { .. })), "{refused:?}");
    assert_eq!(world.position(&member.group, &Partition::new(Arc::clone(&topic), 0)), None);
    second.commit(second.copies(&output));
    assert_eq!(world.visible_values(&output), ["event"]);
    if let Err(CommitError::Stale { .. }) = refused {
        until("it learns that they were revoked", &mut [&mut first, &mut second], |joined| joined[0].revocations > 0);
        until("they share", &mut [&mut first, &mut second], |joined| {
            joined.iter().all(|joined| joined.owned.len() == 1)
        });
    }
}

pub(super) fn a_stable_member_that_restarts_has_its_partitions_back_and_disturbs_nobody(world: &World) {
    let topic = world.topic("input", 4);
    let member = Member { stable: true, ..world.member(&[&topic]) };
    let (mut first, mut second) = (world.join(&member), world.join(&world.another(&member)));
    until("both own two", &mut [&mut first, &mut second], |joined| joined.iter().all(|joined| joined.owned.len() == 2));
    let (before, undisturbed) = (owned(&first), second.revocations);
    let restart = |go: fn(Joined), first: Joined, second: &mut Joined| {
        go(first);
        let mut first = Joined::new(world.second_process().as_ref(), &member);
        until("it has its own back", &mut [&mut first, second], |joined| joined[0].owned.len() == 2);
        assert_eq!(owned(&first), before);
        first
    };
    let first = restart(Joined::leave, first, &mut second);
    let mut first = restart(drop, first, &mut second);
    first.turn_until_quiet();
    second.turn_until_quiet();
    assert_eq!((second.revocations, first.revocations), (undisturbed, 0));
}

/// A member and a second process that took its name, both with the same event in hand.
fn the_same_name_twice(world: &World, topic: &Arc<str>) -> (Joined, Joined) {
    world.publish_values(topic, 0, &["event"]);
    let member = Member { stable: true, ..world.member(&[topic]) };
    let mut first = world.join(&member);
    until("an event", &mut [&mut first], |joined| joined[0].events.len() == 1);
    let mut second = Joined::new(world.second_process().as_ref(), &member);
    until("the second process has it", &mut [&mut second], |joined| joined[0].events.len() == 1);
    (first, second)
}

pub(super) fn a_second_process_with_a_stable_name_ends_the_first_one(world: &World) {
    let topic = world.topic("input", 1);
    let (mut first, mut second) = the_same_name_twice(world, &topic);
    let error = eventually("the first one ends", || match first.try_turn() {
        Ok(()) | Err(Error::Away { .. }) => None,
        Err(error) => Some(error),
    });
    assert!(matches!(&error, Error::Fenced { name } if *name == first.member.name), "{error:?}");
    second.commit(Vec::new());
}

pub(super) fn a_member_that_was_fenced_cannot_commit(world: &World) {
    let (topic, output) = (world.topic("input", 1), world.topic("output", 1));
    let (mut first, mut second) = the_same_name_twice(world, &topic);
    let refused = first.try_commit(first.copies(&output));
    assert!(matches!(refused, Err(CommitError::Over { .. } | CommitError::Stale { .. })), "{refused:?}");
    assert_eq!(world.visible_values(&output), [""; 0]);
    second.commit(second.copies(&output));
    assert_eq!(world.visible_values(&output), ["event"]);
}

pub(super) fn every_event_is_committed_once_while_members_come_and_go(world: &World) {
    const PARTITIONS: i32 = 4;
    const EVENTS: usize = 50;
    let (topic, output) = (world.topic("input", PARTITIONS), world.topic("output", PARTITIONS));
    let all: Vec<_> = (0..PARTITIONS).flat_map(|p| (0..EVENTS).map(move |i| (p, format!("{p}/{i}")))).collect();
    for partition in 0..PARTITIONS {
        let its: Vec<_> = all.iter().filter(|(p, _)| *p == partition).map(|(_, value)| value.as_str()).collect();
        world.publish_values(&topic, partition, &its);
    }
    let member = Member { events_max: 3, ..world.member(&[&topic]) };
    let mut members = vec![world.join(&member)];
    let (mut commits, mut changes, mut done) = (0, 0, 0);
    eventually("all events are committed", || {
        if commits / 10 > changes {
            changes += 1;
            match changes % 4 {
                // Its events are handled again by whoever has its partitions next.
                0 => drop(members.remove(0)),
                2 => members.remove(0).leave(),
                _ => members.push(world.join(&world.another(&member))),
            }
        }
        for joined in &mut members {
            joined.turn();
            if joined.events.is_empty() {
                continue;
            }
            let held = joined.events.len();
            match joined.try_commit(joined.copies(&output)) {
                Ok(_) => {
                    done += held;
                    commits += 1;
                }
                // The polls to come revoke what it has no more.
                Err(CommitError::Stale { .. }) => {}
                Err(CommitError::Over { .. }) => {
                    let fresh = world.join(&world.another(&member));
                    drop(std::mem::replace(joined, fresh));
                }
                Err(refused) => panic!("{refused:?}"),
            }
        }
        (done >= all.len()).then_some(())
    });
    let counted = count_by_value(&world.visible(&output));
    assert_eq!(counted.len(), all.len(), "every event");
    assert!(counted.values().all(|&times| times == 1), "no event twice: {counted:?}");
}
