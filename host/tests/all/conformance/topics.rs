//! Topics as operators see and change them, and how far groups are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fnhost::broker::{Error, Topic, TopicChange};
use fnhost::event::{Partition, Record};

use super::{World, record_to, until};
use crate::kafka::{PATIENCE, eventually};

fn config(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn topic_of(world: &World, name: &str) -> Topic {
    let [topic] = world.broker.topics(&[name]).unwrap().try_into().unwrap();
    topic
}

/// Awaits what a change does: brokers learn of it one after the other.
fn awaits(world: &World, name: &str, what: &str, is_so: impl Fn(&Topic) -> bool) {
    eventually(what, || is_so(&topic_of(world, name)).then_some(()));
}

pub(super) fn a_topic_is_created_as_asked(world: &World) {
    let name = world.topic_with("orders", 5, &[("retention.ms", "259200000"), ("cleanup.policy", "compact,delete")]);
    let topic = topic_of(world, &name);
    assert_eq!((topic.name.as_str(), topic.partitions, topic.replication), (&*name, 5, 1));
    assert_eq!(topic.config["retention.ms"], "259200000");
    assert_eq!(topic.config["cleanup.policy"], "compact,delete");
    assert!(topic.config.contains_key("max.message.bytes"), "defaults are told too");
}

pub(super) fn a_topic_that_is_not_there_is_left_out(world: &World) {
    let (there, missing) = (world.topic("there", 1), world.name("missing"));
    let topics = world.broker.topics(&[&missing, &there]).unwrap();
    assert_eq!(topics.iter().map(|topic| topic.name.as_str()).collect::<Vec<_>>(), [&*there]);
    assert_eq!(world.broker.topics(&[]).unwrap(), []);
    let of = |names: &[&str]| Vec::from_iter(world.broker.partitions(names).unwrap());
    assert_eq!(of(&[&missing, &there]), [(there.to_string(), 1)]);
    let many: Vec<String> = (0..50).map(|i| format!("{missing}-{i}")).chain([there.to_string()]).collect();
    assert_eq!(of(&Vec::from_iter(many.iter().map(String::as_str))), [(there.to_string(), 1)]);
    assert_eq!(of(&[]), []);
}

pub(super) fn a_topic_that_is_there_cannot_be_created(world: &World) {
    let name = world.topic("there", 2);
    let create =
        TopicChange::Create { name: name.to_string(), partitions: 3, replication: None, config: BTreeMap::new() };
    let refused = world.broker.apply(&[create]);
    assert!(matches!(&refused, Err(Error::Refused { .. })), "{refused:?}");
    assert_eq!(topic_of(world, &name).partitions, 2);
}

pub(super) fn a_topic_grows_and_does_not_shrink(world: &World) {
    let name = world.topic("growing", 2);
    world.broker.apply(&[TopicChange::Grow { name: name.to_string(), partitions: 4 }]).unwrap();
    awaits(world, &name, "it has grown", |topic| topic.partitions == 4);
    world.publish_values(&name, 3, &["in a new partition"]);
    let refused = world.broker.apply(&[TopicChange::Grow { name: name.to_string(), partitions: 3 }]);
    assert!(matches!(&refused, Err(Error::Refused { .. })), "{refused:?}");
    assert_eq!(topic_of(world, &name).partitions, 4);
}

pub(super) fn configuring_a_topic_leaves_other_keys_alone(world: &World) {
    let name = world.topic_with("configured", 1, &[("retention.ms", "1000000"), ("max.message.bytes", "50000")]);
    let change = |entries| TopicChange::Configure { name: name.to_string(), config: config(entries) };
    world.broker.apply(&[change(&[("retention.ms", "2000000")])]).unwrap();
    awaits(world, &name, "the new retention", |topic| topic.config["retention.ms"] == "2000000");
    assert_eq!(topic_of(world, &name).config["max.message.bytes"], "50000");
    world.broker.apply(&[change(&[("cleanup.policy", "compact")])]).unwrap();
    awaits(world, &name, "the new policy", |topic| topic.config["cleanup.policy"] == "compact");
    let topic = topic_of(world, &name);
    assert_eq!(
        (topic.config["retention.ms"].as_str(), topic.config["max.message.bytes"].as_str()),
        ("2000000", "50000")
    );
}

pub(super) fn an_unknown_key_is_refused(world: &World) {
    let name = world.topic("configured", 1);
    let change = TopicChange::Configure { name: name.to_string(), config: config(&[("retention.sm", "1")]) };
    let refused = world.broker.apply(&[change]);
    assert!(matches!(&refused, Err(Error::Refused { .. })), "{refused:?}");
}

pub(super) fn changes_stop_at_the_first_that_fails(world: &World) {
    let create = |name: &str, entries| TopicChange::Create {
        name: name.to_owned(),
        partitions: 1,
        replication: None,
        config: config(entries),
    };
    let [before, failing, after] = ["before", "failing", "after"].map(|stem| world.name(stem));
    let changes = [create(&before, &[]), create(&failing, &[("retention.sm", "1")]), create(&after, &[])];
    let refused = world.broker.apply(&changes);
    assert!(matches!(&refused, Err(Error::Refused { .. })), "{refused:?}");
    eventually("the one before it is there", || (!world.broker.topics(&[&before]).unwrap().is_empty()).then_some(()));
    assert_eq!(world.broker.topics(&[&failing, &after]).unwrap(), []);
}

pub(super) fn progress_counts_what_lies_before_the_group(world: &World) {
    let topic = world.topic("input", 2);
    world.publish_values(&topic, 0, &["a", "b"]);
    world.publish_values(&topic, 1, &["c"]);
    let mut joined = world.join(&world.member(&[&topic]));
    until("all events", &mut [&mut joined], |joined| joined[0].events.len() == 3);
    joined.events.retain(|event| event.partition.number == 0 && event.offset == 0);
    joined.commit(Vec::new());
    let progress = world.progress(&joined.member.group, &topic);
    assert_eq!(progress.keys().copied().collect::<Vec<_>>(), [0, 1]);
    assert_eq!((progress[&0].position, progress[&0].start, progress[&0].end, progress[&0].lag()), (Some(1), 0, 2, 1));
    assert_eq!((progress[&1].position, progress[&1].start, progress[&1].end, progress[&1].lag()), (None, 0, 1, 1));
}

pub(super) fn progress_is_zero_when_all_is_read(world: &World) {
    let topic = world.topic("input", 1);
    world.publish_values(&topic, 0, &["a", "b"]);
    let mut joined = world.join(&world.member(&[&topic]));
    until("all events", &mut [&mut joined], |joined| joined[0].events.len() == 2);
    joined.commit(Vec::new());
    assert_eq!(world.progress(&joined.member.group, &topic)[&0].lag(), 0);
}

/// What functions read of each other is written in transactions, so every batch ends in a marker, which no event
/// stands for.
pub(super) fn progress_is_zero_when_all_of_a_transaction_is_read(world: &World) {
    let topic = world.topic("input", 1);
    world.member_with_an_event().commit(vec![record_to(&topic, 0, "a"), record_to(&topic, 0, "b")]);
    let mut joined = world.join(&world.member(&[&topic]));
    until("all events", &mut [&mut joined], |joined| joined[0].events.len() == 2);
    joined.turn_until_quiet();
    joined.commit(Vec::new());
    assert_eq!(world.progress(&joined.member.group, &topic)[&0].lag(), 0);
}

pub(super) fn progress_of_an_unknown_group_counts_everything(world: &World) {
    let topic = world.topic("input", 1);
    world.publish_values(&topic, 0, &["a", "b"]);
    let progress = &world.progress(&world.name("nobody"), &topic)[&0];
    assert_eq!((progress.position, progress.lag()), (None, 2));
    if world.delete_before(&Partition::new(Arc::clone(&topic), 0), 1) {
        eventually("the deleted one counts no more", || {
            (world.progress(&world.name("nobody"), &topic)[&0].lag() == 1).then_some(())
        });
    }
    world.publish(Record { value: None, ..record_to(&topic, 0, "") }).unwrap();
}

pub(super) fn a_broker_that_answers_says_what_it_is(world: &World) {
    let identity = eventually("an answer", || world.broker.check(PATIENCE.min(Duration::from_secs(10))).ok());
    assert!(!identity.name.is_empty());
}
