//! All of a transaction, or nothing of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use fnhost::broker::{Position, Transaction};
use fnhost::event::Partition;

use super::{Joined, World, record, record_to, until, values};

pub(super) fn outputs_and_positions_become_visible_together(world: &World) {
    let (topic, one, two) = (world.topic("input", 1), world.topic("one", 2), world.topic("two", 1));
    let input = Partition::new(Arc::clone(&topic), 0);
    world.publish_values(&topic, 0, &["a", "b"]);
    let mut joined = world.join(&world.member(&[&topic]));
    until("both events", &mut [&mut joined], |joined| joined[0].events.len() == 2);
    assert_eq!(world.position(&joined.member.group, &input), None);
    joined.commit(vec![record_to(&one, 0, "1"), record_to(&one, 1, "2"), record_to(&two, 0, "3")]);
    assert_eq!(world.position(&joined.member.group, &input), Some(2));
    assert_eq!(world.visible_values(&one), ["1", "2"]);
    assert_eq!(world.visible_values(&two), ["3"]);
}

pub(super) fn records_that_are_not_committed_are_nowhere(world: &World) {
    let output = world.topic("output", 1);
    let mut joined = world.member_with_an_event();
    let input = joined.events[0].partition.clone();
    joined.turn_until_quiet();
    assert_eq!(world.visible_values(&output), [""; 0]);
    assert_eq!(world.position(&joined.member.group, &input), None);
    joined.commit(joined.copies(&output));
    assert_eq!(world.visible_values(&output), ["event"]);
}

pub(super) fn a_transaction_without_positions_cannot_be_built(world: &World) {
    let output = world.topic("output", 1);
    let records = || vec![record_to(&output, 0, "fenced by nobody")];
    let at = |next| BTreeMap::from([(Partition::new("input", 0), Position { next, note: String::new() })]);
    assert!(Transaction::new(BTreeMap::new(), records()).is_none());
    assert!(Transaction::new(at(None), records()).is_none());
    assert!(Transaction::new(at(Some(-1)), records()).is_none());
    let mut mixed = at(Some(1));
    mixed.insert(Partition::new("input", 1), Position::default());
    assert!(Transaction::new(mixed, records()).is_none());
    assert!(Transaction::new(at(Some(0)), records()).is_some());
}

pub(super) fn a_commit_says_where_its_records_end(world: &World) {
    let output = world.topic("output", 3);
    let mut joined = world.member_with_an_event();
    let committed =
        joined.commit(vec![record_to(&output, 0, "a"), record_to(&output, 2, "b"), record_to(&output, 0, "c")]);
    let at = |number| Partition::new(Arc::clone(&output), number);
    assert_eq!(committed.ends, BTreeMap::from([(at(0), 2), (at(2), 1)]));
    // The markers of the first transaction take an offset.
    let input = joined.member.topics.keys().next().cloned().unwrap();
    world.publish_values(&input, 0, &["event"]);
    until("another event", &mut [&mut joined], |joined| joined[0].events.len() == 1);
    let committed = joined.commit(vec![record_to(&output, 0, "d")]);
    let last = world.visible(&output).into_iter().rfind(|event| event.partition.number == 0).unwrap();
    assert_eq!(
        (values(std::slice::from_ref(&last)), committed.ends),
        (vec!["d".to_owned()], BTreeMap::from([(at(0), last.offset + 1)]))
    );
}

pub(super) fn records_of_a_transaction_keep_their_order(world: &World) {
    let output = world.topic("output", 2);
    let mut joined = world.member_with_an_event();
    let numbers: Vec<_> = (0..300).map(|i| i.to_string()).collect();
    joined.commit(numbers.iter().map(|number| record(&output, "one key", number)).collect());
    assert_eq!(world.visible_values(&output), numbers);
}

pub(super) fn a_transaction_may_have_positions_alone(world: &World) {
    let mut joined = world.member_with_an_event();
    let input = joined.events[0].partition.clone();
    assert_eq!(joined.commit(Vec::new()).ends, BTreeMap::new());
    assert_eq!(world.position(&joined.member.group, &input), Some(1));
}

pub(super) fn a_transaction_holds_many_records(world: &World) {
    let output = world.topic("output", 3);
    let mut joined = world.member_with_an_event();
    let value = "x".repeat(500);
    joined.commit((0..20_000).map(|i| record_to(&output, i % 3, &value)).collect());
    assert_eq!(world.visible(&output).len(), 20_000);
}

pub(super) fn commits_follow_each_other(world: &World) {
    let (topic, output) = (world.topic("input", 2), world.topic("output", 2));
    let mut joined = world.join_and_own(&world.member(&[&topic]), 2);
    let numbers: Vec<_> = (0..20).map(|i| i.to_string()).collect();
    for number in &numbers {
        world.publish_values(&topic, 0, &[number]);
        until("the next event", &mut [&mut joined], |joined| joined[0].events.len() == 1);
        joined.commit(joined.copies(&output));
    }
    assert_eq!(world.visible_values(&output), numbers);
}

pub(super) fn a_member_that_joined_late_does_not_get_what_was_committed(world: &World) {
    let mut joined = world.member_with_an_event();
    joined.commit(Vec::new());
    let member = joined.member.clone();
    let input = member.topics.keys().next().cloned().unwrap();
    joined.leave();
    world.publish_values(&input, 0, &["later"]);
    let mut late = Joined::new(world.second_process().as_ref(), &world.another(&member));
    until("the later event", &mut [&mut late], |joined| !joined[0].events.is_empty());
    assert_eq!(values(&late.events), ["later"]);
}
