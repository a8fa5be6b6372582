//! Where a group goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use fnhost::broker::{Error, From, Member, Position, Transaction};
use fnhost::event::{Offset, Partition};

use super::{Joined, World, record_to, until, values};
use crate::kafka::eventually;

fn at(next: Offset, note: &str) -> Position {
    Position { next: Some(next), note: note.to_owned() }
}

fn commit_positions(joined: &mut Joined, positions: impl IntoIterator<Item = (Partition, Position)>) {
    let transaction = Transaction::new(positions.into_iter().collect(), Vec::new()).unwrap();
    joined.try_commit_as(&transaction).unwrap();
}

pub(super) fn positions_and_notes_come_back_after_a_restart(world: &World) {
    let topic = world.topic("input", 3);
    let partition = |number| Partition::new(Arc::clone(&topic), number);
    for number in 0..3 {
        world.publish_values(&topic, number, &["a", "b", "c"]);
    }
    let member = world.member(&[&topic]);
    let mut joined = world.join_and_own(&member, 3);
    let long = "deployment 17, höchst wichtig ".repeat(20);
    let committed = BTreeMap::from([(partition(0), at(2, &long)), (partition(1), at(3, ""))]);
    commit_positions(&mut joined, committed.clone());
    joined.leave();

    let mut again = Joined::new(world.second_process().as_ref(), &member);
    again.resumes = false;
    until("its partitions", &mut [&mut again], |joined| joined[0].owned.len() == 3);
    let mut expected = committed;
    expected.insert(partition(2), Position::default());
    assert_eq!(again.owned, expected);
    again.resume(&[partition(0), partition(1), partition(2)]);
    until("what is left", &mut [&mut again], |joined| joined[0].events.len() == 4);
    again.turn_until_quiet();
    assert_eq!(
        again.events.iter().filter(|event| event.partition.number == 0).map(|e| e.offset).collect::<Vec<_>>(),
        [2]
    );
}

pub(super) fn a_group_without_a_position_is_told_so(world: &World) {
    let topic = world.topic("input", 2);
    let joined = world.join_and_own(&world.member(&[&topic]), 2);
    assert!(joined.owned.values().all(|position| *position == Position::default()), "{:?}", joined.owned);
}

pub(super) fn a_position_moves_for_the_partitions_that_are_named(world: &World) {
    let topic = world.topic("input", 2);
    let (zero, one) = (Partition::new(Arc::clone(&topic), 0), Partition::new(Arc::clone(&topic), 1));
    world.publish_values(&topic, 0, &["a"]);
    world.publish_values(&topic, 1, &["b"]);
    let mut joined = world.join_and_own(&world.member(&[&topic]), 2);
    let group = joined.member.group.clone();
    commit_positions(&mut joined, [(one.clone(), at(1, ""))]);
    assert_eq!((world.position(&group, &zero), world.position(&group, &one)), (None, Some(1)));
    commit_positions(&mut joined, [(zero.clone(), at(1, ""))]);
    assert_eq!((world.position(&group, &zero), world.position(&group, &one)), (Some(1), Some(1)));
}

pub(super) fn a_position_may_stay_where_it_is_and_take_a_note(world: &World) {
    let topic = world.topic("input", 1);
    let partition = Partition::new(Arc::clone(&topic), 0);
    let member = world.member(&[&topic]);
    let mut joined = world.join_and_own(&member, 1);
    commit_positions(&mut joined, [(partition.clone(), at(0, "first"))]);
    commit_positions(&mut joined, [(partition.clone(), at(0, "second"))]);
    joined.leave();
    let again = world.join_and_own(&member, 1);
    assert_eq!(again.owned[&partition], at(0, "second"));
}

pub(super) fn what_was_not_committed_is_handled_again(world: &World) {
    let topic = world.topic("input", 1);
    world.publish_values(&topic, 0, &["a", "b"]);
    let member = world.member(&[&topic]);
    let mut joined = world.join(&member);
    until("both events", &mut [&mut joined], |joined| joined[0].events.len() == 2);
    joined.leave();
    let mut again = world.join(&member);
    until("both events again", &mut [&mut again], |joined| joined[0].events.len() == 2);
    assert_eq!(values(&again.events), ["a", "b"]);
}

pub(super) fn earliest_begins_at_the_oldest_record(world: &World) {
    let topic = world.topic("input", 1);
    world.publish_values(&topic, 0, &["deleted", "a", "b"]);
    let oldest = if world.delete_before(&Partition::new(Arc::clone(&topic), 0), 1) { 1 } else { 0 };
    let mut joined = world.join(&world.member(&[&topic]));
    until("all that is there", &mut [&mut joined], |joined| joined[0].events.len() == 3 - oldest);
    assert_eq!(values(&joined.events), ["deleted", "a", "b"][oldest..]);
}

pub(super) fn latest_begins_after_the_newest_record_of_its_assignment(world: &World) {
    let topic = world.topic("input", 1);
    world.publish_values(&topic, 0, &["old"]);
    let member = Member { topics: BTreeMap::from([(Arc::clone(&topic), From::Latest)]), ..world.member(&[&topic]) };
    let mut joined = world.join(&member);
    joined.resumes = false;
    until("its partition", &mut [&mut joined], |joined| joined[0].owned.len() == 1);
    // It is owned and not yet resumed: its state is being restored, and the world goes on.
    world.publish_values(&topic, 0, &["new"]);
    joined.resume(&[Partition::new(Arc::clone(&topic), 0)]);
    world.publish_values(&topic, 0, &["newer"]);
    until("what is new", &mut [&mut joined], |joined| joined[0].events.len() == 2);
    assert_eq!(values(&joined.events), ["new", "newer"]);
}

pub(super) fn each_topic_begins_where_it_is_told_to(world: &World) {
    let (old, new) = (world.topic("old", 1), world.topic("new", 1));
    for topic in [&old, &new] {
        world.publish_values(topic, 0, &["before"]);
    }
    let topics = BTreeMap::from([(Arc::clone(&old), From::Earliest), (Arc::clone(&new), From::Latest)]);
    let mut joined = world.join_and_own(&Member { topics, ..world.member(&[]) }, 2);
    for topic in [&old, &new] {
        world.publish_values(topic, 0, &["after"]);
    }
    until("what each should have", &mut [&mut joined], |joined| joined[0].events.len() == 3);
    joined.turn_until_quiet();
    let of = |topic: &Arc<str>| {
        let events: Vec<_> = joined.events.iter().filter(|event| event.partition.topic == *topic).cloned().collect();
        values(&events)
    };
    assert_eq!((of(&old), of(&new)), (vec!["before".to_owned(), "after".to_owned()], vec!["after".to_owned()]));
}

/// Commits a position, does something to the log, joins again and gives the error that follows.
fn error_after(
    world: &World,
    topic: &Arc<str>,
    next: Offset,
    happens: impl FnOnce(&Partition) -> bool,
) -> Option<Error> {
    let partition = Partition::new(Arc::clone(topic), 0);
    let member = world.member(&[topic]);
    let mut joined = world.join_and_own(&member, 1);
    commit_positions(&mut joined, [(partition.clone(), at(next, ""))]);
    joined.leave();
    happens(&partition).then(|| {
        let mut joined = world.join(&member);
        let error = eventually("the loss is noticed", || match joined.try_turn() {
            Ok(()) | Err(Error::Away { .. }) => None,
            Err(error) => Some(error),
        });
        assert!(joined.events.is_empty(), "nothing is skipped in silence: {:?}", joined.events);
        error
    })
}

pub(super) fn records_that_were_deleted_unread_are_an_error(world: &World) {
    let topic = world.topic("input", 1);
    world.publish_values(&topic, 0, &["a", "b", "c", "d", "e"]);
    let Some(error) = error_after(world, &topic, 1, |partition| world.delete_before(partition, 4)) else {
        return;
    };
    let Error::OffsetGone { partition, wanted, earliest } = &error else { panic!("{error:?}") };
    assert_eq!((partition, *wanted, *earliest), (&Partition::new(topic, 0), 1, 4));
}

pub(super) fn a_position_beyond_the_end_is_an_error(world: &World) {
    let topic = world.topic("input", 1);
    world.publish_values(&topic, 0, &["a"]);
    let error = error_after(world, &topic, 100, |_| true).unwrap();
    let Error::Shrunk { partition, expected, end } = &error else { panic!("{error:?}") };
    assert_eq!((partition, *expected, *end), (&Partition::new(Arc::clone(&topic), 0), 100, 1));
    world.publish(record_to(&topic, 0, "the topic itself is well")).unwrap();
}
