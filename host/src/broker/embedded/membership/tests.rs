//! What a member does too late.

use super::super::{Embedded, Options};
use super::*;
use crate::broker::{Broker, Pulse, TopicChange};
use crate::event::Record;

fn member(name: &str) -> Member {
    Member {
        group: "g".to_owned(),
        name: name.to_owned(),
        stable: false,
        topics: BTreeMap::from([("t".into(), From::Latest)]),
        poll_interval_max: Duration::from_secs(60),
        events_max: 10,
        bytes_max: 1 << 20,
        prefetch_bytes_max: 1 << 20,
        pulse: Pulse::default(),
    }
}

fn assigned(membership: &mut EmbeddedMembership) -> BTreeMap<Partition, Position> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Polled::Assigned(positions) = membership.poll(Duration::from_millis(10)).unwrap() {
            return positions;
        }
        assert!(Instant::now() < deadline, "nothing is assigned");
    }
}

#[test]
fn a_member_that_takes_its_partitions_too_late_moves_no_position() {
    let broker = Embedded::temporary(&Options::default()).unwrap();
    let topic = TopicChange::Create { name: "t".into(), partitions: 1, replication: None, config: BTreeMap::new() };
    broker.apply(&[topic]).unwrap();
    let join = |name| EmbeddedMembership::new(Arc::clone(&broker.shared), member(name));
    let partition = Partition::new("t", 0);
    let next = || broker.progress("g", &["t"]).unwrap().remove(0).position;

    // It is told to take it, and is slow.
    let mut late = join("late");
    let (Turn::Take(given), _) = late.shared.groups.turn(&late.member, late.ticket) else { panic!("it is alone") };
    // Another comes, whose name is before its own, so that the only partition is the other's now.
    let mut early = join("early");
    assigned(&mut early);
    let position = Position { next: Some(1), note: String::new() };
    let record = Record { topic: "t".into(), partition: Some(0), key: None, value: None, headers: Vec::new() };
    early.commit(&Transaction::new(BTreeMap::from([(partition.clone(), position)]), vec![record]).unwrap()).unwrap();
    // As far as the one that is late knows, the group has no position, and the end is where it was.
    let fresh = BTreeMap::from([(partition, Position { next: Some(0), note: String::new() })]);
    assert!(!late.keep(&given, fresh).unwrap());
    assert_eq!(next(), Some(1));
    assert!(late.take(&given).unwrap().is_none());
    assert_eq!(next(), Some(1));
}
