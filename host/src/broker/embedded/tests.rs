//! A broker whose disk is full.

use super::file::tests::Disk;
use super::*;
use crate::broker::{CommitError, From, Polled, Position, PublishError, Replayed, Transaction};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn record(value: &str) -> Record {
    Record { topic: "t".into(), partition: Some(0), key: None, value: Some(value.into()), headers: Vec::new() }
}

fn member() -> Member {
    Member {
        group: "g".to_owned(),
        name: "m".to_owned(),
        stable: false,
        topics: BTreeMap::from([("t".into(), From::Earliest)]),
        poll_interval_max: Duration::from_secs(60),
        events_max: 10,
        bytes_max: 1 << 20,
        prefetch_bytes_max: 1 << 20,
        pulse: Pulse::default(),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(|e| e.to_string()).collect::<Vec<_>>().join(": ")
}

#[test]
fn everybody_is_told_that_the_disk_is_full_and_nothing_that_was_acknowledged_is_lost() {
    let disk = Disk::default();
    let broker = Embedded::start(disk.file(), &Options::default()).unwrap();
    let create = TopicChange::Create { name: "t".into(), partitions: 1, replication: None, config: BTreeMap::new() };
    broker.apply(&[create]).unwrap();
    let publisher = broker.publisher().unwrap();
    block_on(publisher.publish(record("before"))).unwrap();
    let mut membership = broker.join(&member()).unwrap();
    let Polled::Assigned(_) = membership.poll(Duration::from_secs(60)).unwrap() else { panic!("it is alone") };

    disk.fill();
    let Err(away) = block_on(publisher.publish(record("in vain"))) else { panic!("it cannot be stored") };
    assert!(matches!(away, PublishError::Away { .. }), "{away:?}");
    assert!(chain(&away).contains("Free some space on its disk"), "{}", chain(&away));
    assert!(!publisher.is_reachable());
    let Err(away) = broker.check(Duration::from_secs(60)) else { panic!("it is away") };
    assert!(chain(&away).starts_with("the broker at /disk/broker.redb is away: "), "{}", chain(&away));
    let position = Position { next: Some(1), note: String::new() };
    let partition = Partition::new("t", 0);
    let transaction =
        Transaction::new(BTreeMap::from([(partition.clone(), position)]), vec![record("passed on")]).unwrap();
    let refused = membership.commit(&transaction);
    assert!(matches!(refused, Err(CommitError::Again { .. })), "{refused:?}");

    disk.make_room();
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(error) = broker.check(Duration::from_secs(60)) {
        assert!(Instant::now() < deadline, "{error:?}");
        std::thread::yield_now();
    }
    assert!(publisher.is_reachable());
    membership.commit(&transaction).unwrap();
    let mut replay = broker.replay(&partition, 0).unwrap();
    let Replayed::Records(records) = replay.next(Duration::ZERO).unwrap() else { panic!("there are some") };
    let values: Vec<_> = records.into_iter().map(|event| String::from_utf8(event.value.unwrap()).unwrap()).collect();
    assert_eq!(values, ["before", "passed on"]);
}
