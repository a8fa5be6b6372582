//! Records that the broker will never take.

use std::sync::Arc;

use fnhost::broker::CommitError;
use fnhost::event::{Partition, Record};

use super::{Joined, World, record, until, values};

/// Commits, leaving out what is refused, until it works. Gives the indexes that were refused, in the first list of
/// records, and checks that nothing was visible before.
fn commit_what_is_taken(world: &World, joined: &mut Joined, records: Vec<Record>) -> Vec<usize> {
    let mut topics: Vec<_> = records.iter().map(|record| Arc::clone(&record.topic)).collect();
    topics.sort();
    topics.dedup();
    let visible = || -> usize { topics.iter().map(|topic| world.visible(topic).len()).sum() };
    let before = visible();
    let mut left: Vec<(usize, Record)> = records.into_iter().enumerate().collect();
    let mut all_refused = Vec::new();
    loop {
        match joined.try_commit(left.iter().map(|(_, record)| record.clone()).collect()) {
            Ok(_) => break,
            Err(CommitError::Refused { refused }) => {
                assert!(!refused.is_empty(), "a refusal names a record");
                assert_eq!(visible(), before, "nothing of a refused transaction is visible");
                let mut indexes: Vec<_> = refused
                    .into_iter()
                    .map(|(index, reason)| {
                        assert!(!reason.is_empty(), "a refusal says why");
                        index
                    })
                    .collect();
                indexes.sort_unstable();
                indexes.dedup();
                for index in indexes.into_iter().rev() {
                    all_refused.push(left.remove(index).0);
                }
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    all_refused.sort_unstable();
    all_refused
}

fn too_large(topic: &Arc<str>) -> Record {
    record(topic, "large", &"x".repeat(20_000))
}

fn without_key(topic: &Arc<str>) -> Record {
    Record { key: None, partition: Some(0), ..record(topic, "", "no key") }
}

pub(super) fn a_record_that_is_too_large_is_named_and_the_rest_commits(world: &World) {
    let output = world.topic_with("output", 1, &[("max.message.bytes", "10000")]);
    let mut joined = world.member_with_an_event();
    let records = vec![record(&output, "a", "a"), too_large(&output), record(&output, "b", "b")];
    assert_eq!(commit_what_is_taken(world, &mut joined, records), [1]);
    assert_eq!(world.visible_values(&output), ["a", "b"]);
}

pub(super) fn a_null_key_on_a_compacted_topic_is_named_and_the_rest_commits(world: &World) {
    let output = world.topic_with("output", 1, &[("cleanup.policy", "compact")]);
    let mut joined = world.member_with_an_event();
    let records = vec![record(&output, "a", "a"), record(&output, "b", "b"), without_key(&output)];
    assert_eq!(commit_what_is_taken(world, &mut joined, records), [2]);
    assert_eq!(world.visible_values(&output), ["a", "b"]);
}

pub(super) fn all_refused_records_are_found(world: &World) {
    let small = world.topic_with("small", 2, &[("max.message.bytes", "10000")]);
    let compacted = world.topic_with("compacted", 1, &[("cleanup.policy", "compact")]);
    let plain = world.topic("plain", 1);
    let mut joined = world.member_with_an_event();
    let records = vec![
        too_large(&small),
        record(&plain, "a", "a"),
        without_key(&compacted),
        record(&small, "b", "b"),
        too_large(&small),
        without_key(&plain),
        record(&compacted, "c", "c"),
        without_key(&compacted),
    ];
    assert_eq!(commit_what_is_taken(world, &mut joined, records), [0, 2, 4, 7]);
    assert_eq!(world.visible_values(&plain), ["a", "no key"]);
    assert_eq!(
        (world.visible_values(&small), world.visible_values(&compacted)),
        (vec!["b".to_owned()], vec!["c".to_owned()])
    );
}

pub(super) fn a_refused_record_leaves_the_position_where_it_was(world: &World) {
    let output = world.topic_with("output", 1, &[("max.message.bytes", "10000")]);
    let mut joined = world.member_with_an_event();
    let input: Partition = joined.events[0].partition.clone();
    let refused = joined.try_commit(vec![record(&output, "a", "a"), too_large(&output)]);
    assert!(matches!(refused, Err(CommitError::Refused { .. })), "{refused:?}");
    assert_eq!(world.position(&joined.member.group, &input), None);
    assert_eq!(world.visible_values(&output), [""; 0]);
}

pub(super) fn a_member_goes_on_after_a_refusal(world: &World) {
    let output = world.topic_with("output", 1, &[("max.message.bytes", "10000")]);
    let mut joined = world.member_with_an_event();
    let input = joined.events[0].partition.clone();
    for number in ["1", "2", "3"] {
        let records = vec![too_large(&output), record(&output, number, number)];
        assert_eq!(commit_what_is_taken(world, &mut joined, records), [0]);
        world.publish_values(&input.topic, 0, &[number]);
        until("the next event", &mut [&mut joined], |joined| joined[0].events.len() == 1);
        assert_eq!(values(&joined.events), [number]);
    }
    assert_eq!((world.visible_values(&output), joined.revocations), (["1", "2", "3"].map(str::to_owned).to_vec(), 0));
}
