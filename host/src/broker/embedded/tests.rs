//! A broker whose disk is full, or takes its time.

use super::file::tests::Disk;
use super::*;
use crate::broker::{CommitError, From, Polled, Position, PublishError, Replayed, Transaction};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn record(value: &str) -> Record {
    Record { topic: "t".into(), partition: Some(0), key: None, value: Some(value.into()), headers: Vec::new() }
}

fn member(name: &str) -> Member {
    Member {
        group: "g".to_owned(),
        name: name.to_owned(),
        stable: false,
        topics: BTreeMap::from([("t".into(), From::Earliest)]),
        poll_interval_max: Duration::from_secs(60),
        events_max: 10,
        bytes_max: 1 << 20,
        prefetch_bytes_max: 1 << 20,
        pulse: Pulse::default(),
    }
}

fn create() -> TopicChange {
    TopicChange::Create { name: "t".into(), partitions: 1, replication: None, config: BTreeMap::new() }
}

/// What comes of the first record.
fn transaction() -> Transaction {
    let position = Position { next: Some(1), note: String::new() };
    Transaction::new(BTreeMap::from([(Partition::new("t", 0), position)]), vec![record("passed on")]).unwrap()
}

/// Asks until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(|e| e.to_string()).collect::<Vec<_>>().join(": ")
}

#[test]
fn everybody_is_told_that_the_disk_is_full_and_nothing_that_was_acknowledged_is_lost() {
    let disk = Disk::default();
    let broker = Embedded::start(disk.file(), &Options::default()).unwrap();
    broker.apply(&[create()]).unwrap();
    let publisher = broker.publisher().unwrap();
    block_on(publisher.publish(record("before"))).unwrap();
    let mut membership = broker.join(&member("m")).unwrap();
    let Polled::Assigned(_) = membership.poll(Duration::from_secs(60)).unwrap() else { panic!("it is alone") };

    disk.fill();
    let Err(away) = block_on(publisher.publish(record("in vain"))) else { panic!("it cannot be stored") };
    assert!(matches!(away, PublishError::Away { .. }), "{away:?}");
    assert!(chain(&away).contains("Free some space on its disk"), "{}", chain(&away));
    assert!(!publisher.is_reachable());
    let Err(away) = broker.check(Duration::from_secs(60)) else { panic!("it is away") };
    assert!(chain(&away).starts_with("the broker at /disk/broker.redb is away: "), "{}", chain(&away));
    let transaction = transaction();
    let refused = membership.commit(&transaction);
    assert!(matches!(refused, Err(CommitError::Again { .. })), "{refused:?}");

    disk.work();
    until("it is well again", || broker.check(Duration::from_secs(60)).is_ok());
    assert!(publisher.is_reachable());
    membership.commit(&transaction).unwrap();
    let mut replay = broker.replay(&Partition::new("t", 0), 0).unwrap();
    let Replayed::Records(records) = replay.next(Duration::ZERO).unwrap() else { panic!("there are some") };
    let values: Vec<_> = records.into_iter().map(|event| String::from_utf8(event.value.unwrap()).unwrap()).collect();
    assert_eq!(values, ["before", "passed on"]);
}

struct WorksAgain<'a>(&'a Disk);

impl Drop for WorksAgain<'_> {
    fn drop(&mut self) {
        self.0.work();
    }
}

/// A member that lost its place while its commit was on its way to the disk, and the one that has its partition now.
#[test]
fn a_partition_is_handed_over_when_what_its_last_owner_handed_in_is_decided() {
    let disk = Disk::default();
    let broker = Embedded::start(disk.file(), &Options::default()).unwrap();
    broker.apply(&[create()]).unwrap();
    block_on(broker.publisher().unwrap().publish(record("before"))).unwrap();
    let mut late = broker.join(&Member { poll_interval_max: Duration::from_millis(1), ..member("a") }).unwrap();
    let Polled::Assigned(_) = late.poll(Duration::from_secs(60)).unwrap() else { panic!("it is alone") };
    std::thread::scope(|scope| {
        // Whatever fails in here, nobody waits for the disk for ever.
        let _works_again = WorksAgain(&disk);
        disk.hang();
        let commit = scope.spawn(|| late.commit(&transaction()));
        // The writer has looked at the fence and waits for the disk.
        until("the disk is waited for", || disk.is_waited_for());
        let next = scope.spawn(|| {
            let mut next = broker.join(&member("b")).unwrap();
            let mut assigned = None;
            until("its partition", || match next.poll(Duration::from_millis(10)).unwrap() {
                Polled::Assigned(positions) => {
                    assigned = positions.into_values().next();
                    true
                }
                _ => false,
            });
            assigned
        });
        // It asks the writer before it reads where the group is.
        until("the next owner waits", || broker.shared.queue.len() > 0);
        disk.work();
        commit.join().unwrap().unwrap();
        assert_eq!(next.join().unwrap().unwrap().next, Some(1));
    });
}

/// One `fsync` for all that came while another was waited for.
#[test]
fn what_comes_while_the_disk_is_waited_for_is_written_at_once() {
    let disk = Disk::default();
    let broker = Embedded::start(disk.file(), &Options::default()).unwrap();
    broker.apply(&[create()]).unwrap();
    let publisher = broker.publisher().unwrap();
    let before = {
        let _works_again = WorksAgain(&disk);
        disk.hang();
        let first = publisher.publish(record("first"));
        until("the disk is waited for", || disk.is_waited_for());
        let others: Vec<_> = (0..100).map(|number| publisher.publish(record(&number.to_string()))).collect();
        let before = disk.syncs();
        disk.work();
        let offsets: Vec<_> = std::iter::once(first).chain(others).map(|told| block_on(told).unwrap().offset).collect();
        assert_eq!(offsets, (0..=100).collect::<Vec<_>>());
        before
    };
    assert_eq!(disk.syncs() - before, 2);
}

/// Runs in a thread of its own what may be waited for in vain.
fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    std::thread::spawn(work)
}

#[test]
fn nobody_waits_for_a_writer_that_broke_down_and_everybody_is_told_why() {
    let disk = Disk::default();
    let broker = Embedded::start(disk.file(), &Options::default()).unwrap();
    broker.apply(&[create()]).unwrap();
    let publisher = broker.publisher().unwrap();
    let mut membership = broker.join(&member("m")).unwrap();
    let Polled::Assigned(_) = membership.poll(Duration::from_secs(60)).unwrap() else { panic!("it is alone") };
    let (published, changed, committed) = {
        let _works_again = WorksAgain(&disk);
        disk.hang();
        let first = publisher.publish(record("first"));
        until("the disk is waited for", || disk.is_waited_for());
        let done = Box::new(|_| panic!("on purpose"));
        assert!(broker.shared.queue.push(job::Job { work: Work::Barrier, done }).is_ok());
        // A change is never taken together with others: it and what follows are still in the queue when the writer ends.
        let changing = Arc::clone(&broker);
        let changed = aside(move || changing.apply(&[TopicChange::Grow { name: "t".to_owned(), partitions: 2 }]));
        until("the change waits", || broker.shared.queue.len() == 2);
        let published = publisher.publish(record("second"));
        let committed = aside(move || (membership.commit(&transaction()), membership));
        until("the commit waits", || broker.shared.queue.len() == 4);
        disk.work();
        block_on(first).unwrap();
        until("everybody is answered", || changed.is_finished() && committed.is_finished());
        (block_on(published).unwrap_err(), changed.join().unwrap().unwrap_err(), committed.join().unwrap())
    };
    let why = "the writer broke down: on purpose";
    assert!(matches!(published, PublishError::Away { .. }) && chain(&published).contains(why), "{}", chain(&published));
    assert!(matches!(changed, Error::Bug { .. }) && chain(&changed).contains(why), "{}", chain(&changed));
    let (committed, mut membership) = committed;
    assert!(matches!(committed, Err(CommitError::Broken(Error::Bug { .. }))), "{committed:?}");
    // Whoever comes later is not left waiting either.
    assert!(matches!(membership.poll(Duration::from_secs(60)), Err(Error::Bug { .. })));
    let late = block_on(publisher.publish(record("late"))).unwrap_err();
    assert!(matches!(late, PublishError::Away { .. }) && chain(&late).contains(why), "{}", chain(&late));
    assert!(matches!(broker.check(Duration::from_secs(60)), Err(Error::Bug { .. })));
    assert!(!publisher.is_reachable());
    drop(broker);
    let bounds = disk.opened().unwrap().read(|transaction| log::Reader::new(transaction)?.bounds((0, 0)));
    assert_eq!(bounds.unwrap().unwrap().end, 1, "what was acknowledged is there, and nothing else");
}
