//! What is deleted, and what never is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fnhost::broker::embedded::{Embedded, Options};
use fnhost::broker::{Broker, Error, Polled, Position, Replayed, Transaction};
use fnhost::event::{Event, Offset, Partition, Record};

use super::{Place, create, member, publish, publish_records, replay};
use crate::conformance::{record, values};
use crate::kafka::eventually;

/// A clock that is set by hand.
#[derive(Clone)]
struct Hand(Arc<AtomicU64>);

impl Hand {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_800_000_000_000)))
    }

    fn pass(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    /// Upkeep when it is asked for, by this clock.
    fn options(&self) -> Options {
        let now = Arc::clone(&self.0);
        let clock = move || -> SystemTime { UNIX_EPOCH + Duration::from_millis(now.load(Ordering::Relaxed)) };
        Options { clock: Arc::new(clock), upkeep_every: Duration::from_secs(3600) }
    }
}

fn numbers(range: std::ops::Range<i32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn start(broker: &Embedded) -> Offset {
    broker.progress("nobody", &["t"]).unwrap()[0].start
}

#[test]
fn records_go_when_they_are_older_than_their_topic_keeps_them() {
    let (place, hand) = (Place::new(), Hand::new());
    let broker = place.open_with(&hand.options());
    create(&broker, "t", 1, &[("retention.ms", "3600000")]);
    // More than one piece.
    publish(&broker, "t", &numbers(0..2500));
    hand.pass(Duration::from_secs(3000));
    publish(&broker, "t", &numbers(2500..2600));
    broker.upkeep().unwrap();
    assert_eq!((start(&broker), replay(&broker, "t").0.len()), (0, 2600), "none is too old yet");
    hand.pass(Duration::from_secs(1000));
    broker.upkeep().unwrap();
    let (left, next) = replay(&broker, "t");
    assert_eq!((start(&broker), next), (2500, 2600));
    assert_eq!(values(&left), numbers(2500..2600));
    assert_eq!(left[0].offset, 2500, "offsets do not move");
    hand.pass(Duration::from_secs(3601));
    broker.upkeep().unwrap();
    assert_eq!((start(&broker), replay(&broker, "t")), (2600, (Vec::new(), 2600)));
    publish(&broker, "t", &["new".to_owned()]);
    drop(broker);
    let (left, next) = replay(&place.open_with(&hand.options()), "t");
    assert_eq!((left[0].offset, next), (2600, 2601), "an emptied log goes on where it was");
}

#[test]
fn upkeep_comes_by_itself() {
    let (place, hand) = (Place::new(), Hand::new());
    let broker = place.open_with(&Options { upkeep_every: Duration::from_millis(5), ..hand.options() });
    create(&broker, "t", 1, &[("retention.ms", "1000")]);
    publish(&broker, "t", &numbers(0..3));
    hand.pass(Duration::from_secs(2));
    let poll = || {
        std::thread::yield_now();
        (start(&broker) == 3).then_some(())
    };
    eventually("they are gone", poll);
}

#[test]
fn a_topic_that_keeps_for_ever_keeps_for_ever() {
    let (place, hand) = (Place::new(), Hand::new());
    let broker = place.open_with(&hand.options());
    create(&broker, "t", 1, &[("retention.ms", "-1")]);
    publish(&broker, "t", &numbers(0..10));
    hand.pass(Duration::from_secs(3600 * 24 * 3650));
    broker.upkeep().unwrap();
    assert_eq!(replay(&broker, "t").0.len(), 10);
}

#[test]
fn the_oldest_records_go_when_a_partition_is_larger_than_allowed() {
    let (place, hand) = (Place::new(), Hand::new());
    let broker = place.open_with(&hand.options());
    create(&broker, "t", 1, &[("retention.bytes", "10000")]);
    let values: Vec<String> = (0..100).map(|number| format!("{number:0>480}")).collect();
    publish(&broker, "t", &values);
    broker.upkeep().unwrap();
    let (left, next) = replay(&broker, "t");
    let bytes: usize = left.iter().map(Event::size_bytes).sum();
    assert!((9_000..11_000).contains(&bytes), "{bytes}");
    assert_eq!((next, start(&broker)), (100, 100 - Offset::try_from(left.len()).unwrap()));
    broker.upkeep().unwrap();
    assert_eq!(replay(&broker, "t").0, left);
}

#[test]
fn a_member_whose_next_event_was_deleted_is_told() {
    let (place, hand) = (Place::new(), Hand::new());
    let broker = place.open_with(&hand.options());
    create(&broker, "t", 1, &[("retention.ms", "1000")]);
    publish(&broker, "t", &numbers(0..3));
    let mut membership = broker.join(&member("g", &["t"])).unwrap();
    let partition = Partition::new("t", 0);
    eventually("its partition", || {
        matches!(membership.poll(Duration::from_secs(1)).unwrap(), Polled::Assigned(_)).then_some(())
    });
    hand.pass(Duration::from_secs(2));
    broker.upkeep().unwrap();
    membership.resume(std::slice::from_ref(&partition)).unwrap();
    let gone = membership.poll(Duration::from_secs(1));
    let Err(Error::OffsetGone { wanted: 0, earliest: 3, .. }) = gone else { panic!("{gone:?}") };
    // Whoever decides to go on may.
    let positions = BTreeMap::from([(partition, Position { next: Some(3), note: String::new() })]);
    membership.commit(&Transaction::new(positions, Vec::new()).unwrap()).unwrap();
}

fn keyed(key: i32, value: Option<i32>) -> Record {
    Record { value: value.map(|value| value.to_string().into_bytes()), ..record(&"t".into(), &key.to_string(), "") }
}

/// What a store would hold.
fn state(events: &[Event]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut state = BTreeMap::new();
    for event in events {
        match event.value.clone() {
            Some(value) => state.insert(event.key.clone().unwrap(), value),
            None => state.remove(event.key.as_ref().unwrap()),
        };
    }
    state
}

#[test]
fn a_compacted_topic_keeps_the_newest_record_of_each_key_where_it_was() {
    let (place, hand) = (Place::new(), Hand::new());
    let broker = place.open_with(&hand.options());
    create(&broker, "t", 1, &[("cleanup.policy", "compact"), ("delete.retention.ms", "3600000")]);
    let write = |from: i32, to: i32| {
        publish_records(&broker, (from..to).map(|i| keyed(i % 7, (i % 3 != 0).then_some(i))).collect());
    };
    write(0, 2500);
    let whole = replay(&broker, "t").0;
    hand.pass(Duration::from_secs(3600 * 24 * 365));
    broker.upkeep().unwrap();
    let (compacted, next) = replay(&broker, "t");
    assert_eq!((compacted.len(), next, start(&broker)), (7, 2500, 0), "deletions are kept for a while");
    assert_eq!(compacted, whole[2493..], "as they were, and where");
    assert_eq!(state(&compacted), state(&whole));

    // Deletions that everybody has had time to see go with the next compaction.
    write(2500, 4000);
    let whole: Vec<Event> = whole.into_iter().chain(replay(&broker, "t").0.split_off(7)).collect();
    broker.upkeep().unwrap();
    let (compacted, next) = replay(&broker, "t");
    assert_eq!((compacted.len(), next), (7, 4000));
    publish_records(&broker, vec![keyed(0, None), keyed(1, None)]);
    hand.pass(Duration::from_secs(7200));
    for round in 0..2 {
        publish_records(&broker, (0..2000).map(|i| keyed(2 + i % 5, Some(round))).collect());
        broker.upkeep().unwrap();
    }
    let compacted = replay(&broker, "t").0;
    assert_eq!(compacted.len(), 5);
    assert!(compacted.iter().all(|event| event.value.is_some()), "{compacted:?}");
    assert_eq!(whole.len(), 4000);

    let before = replay(&broker, "t");
    drop(broker);
    assert_eq!(replay(&place.open_with(&hand.options()), "t"), before);
}

#[test]
fn upkeep_leaves_a_partition_alone_that_is_being_replayed() {
    let (place, hand) = (Place::new(), Hand::new());
    let broker = place.open_with(&hand.options());
    create(&broker, "t", 1, &[("cleanup.policy", "compact,delete"), ("retention.ms", "1000")]);
    publish_records(&broker, (0..2500).map(|i| keyed(i % 3, Some(i))).collect());
    let mut begun = broker.replay(&Partition::new("t", 0), 0).unwrap();
    let Replayed::Records(mut read) = begun.next(Duration::ZERO).unwrap() else { panic!("there is something") };
    // What replaces what is not read yet lies behind its end.
    publish_records(&broker, (2500..5000).map(|i| keyed(i % 3, Some(i))).collect());
    hand.pass(Duration::from_secs(60));
    broker.upkeep().unwrap();
    let end = eventually("its end", || match begun.next(Duration::ZERO).unwrap() {
        Replayed::Records(mut records) => {
            read.append(&mut records);
            None
        }
        Replayed::Waiting => None,
        Replayed::Done { next } => Some(next),
    });
    assert_eq!((end, read.len()), (2500, 2500));
    drop(begun);
    broker.upkeep().unwrap();
    assert_eq!(replay(&broker, "t"), (Vec::new(), 5000));
}

#[test]
fn what_is_deleted_makes_room_for_what_comes() {
    let (place, hand) = (Place::new(), Hand::new());
    let broker = place.open_with(&hand.options());
    create(&broker, "t", 1, &[("retention.ms", "1000")]);
    let values: Vec<String> = (0..2000).map(|number| format!("{number:0>500}")).collect();
    let mut sizes = Vec::new();
    for _ in 0..12 {
        publish(&broker, "t", &values);
        hand.pass(Duration::from_secs(2));
        broker.upkeep().unwrap();
        sizes.push(std::fs::metadata(place.path()).unwrap().len());
    }
    // A third of all that was written, and three times what is kept at once.
    assert!(sizes.iter().all(|size| *size < 4_000_000), "the file grows for ever: {sizes:?}");
}
