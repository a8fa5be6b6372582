use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;
use crate::broker::Pulse;
use crate::broker::kafka::client::{Batching, Delivery};
use crate::event::{Offset, Record};
use crate::sync::lock;

/// A consumer that is told what comes and whether anybody answers it. It has no producer.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    signals: VecDeque<Signal>,
    answers: bool,
    asked: usize,
}

impl Client for Told {
    fn poll(&mut self, _: Duration) -> Signal {
        lock(&self.0).signals.pop_front().unwrap_or(Signal::Nothing)
    }

    fn is_lost(&self) -> bool {
        false
    }

    fn committed(&mut self, partitions: &[Partition], _: Duration) -> Result<BTreeMap<Partition, Position>, Fault> {
        Ok(partitions.iter().map(|partition| (partition.clone(), Position::default())).collect())
    }

    fn is_answered(&mut self, _: Duration) -> bool {
        let mut script = lock(&self.0);
        script.asked += 1;
        script.answers
    }

    fn is_held(&mut self, _: &[Partition], _: Duration) -> bool {
        false
    }

    fn bounds(&mut self, _: &Partition, _: Duration) -> Result<(Offset, Offset), Fault> {
        Ok((0, 0))
    }

    fn keep(&mut self, _: &BTreeMap<Partition, Position>) -> Result<(), Fault> {
        Ok(())
    }

    fn assign(&mut self, _: &BTreeMap<Partition, Start>) -> Result<(), Fault> {
        Ok(())
    }

    fn pause(&mut self, _: &[Partition]) -> Result<(), Fault> {
        Ok(())
    }

    fn resume(&mut self, _: &[Partition]) -> Result<(), Fault> {
        Ok(())
    }

    fn init(&mut self, _: Batching, _: Duration) -> Result<(), Fault> {
        Err(fault())
    }

    fn begin(&mut self) -> Result<(), Fault> {
        Err(fault())
    }

    fn send(&mut self, _: usize, _: &Record) -> Result<(), Fault> {
        Err(fault())
    }

    fn drain(&mut self, _: Duration) -> Vec<Delivery> {
        Vec::new()
    }

    fn in_flight(&self) -> usize {
        0
    }

    fn send_offsets(&mut self, _: &BTreeMap<Partition, Position>, _: Duration) -> Result<(), Fault> {
        Err(fault())
    }

    fn commit(&mut self, _: Duration) -> Result<(), Fault> {
        Err(fault())
    }

    fn abort(&mut self, _: Duration) -> Result<(), Fault> {
        Err(fault())
    }

    fn discard(&mut self) {}

    fn is_tainted(&mut self) -> bool {
        false
    }

    fn close(&mut self, _: Duration) -> Result<(), Fault> {
        Ok(())
    }
}

fn fault() -> Fault {
    let text = "nobody is there".to_owned();
    Fault { call: "consuming", code: Code::AllBrokersDown, demand: Demand::Retry, text }
}

fn membership(client: &Told, reachable: bool) -> KafkaMembership<Told> {
    let member = Member {
        group: "shop".to_owned(),
        name: "shop.a.0".to_owned(),
        stable: true,
        topics: [("order".into(), From::Earliest)].into(),
        events_max: 10,
        bytes_max: 1 << 20,
        prefetch_bytes_max: 1 << 20,
        poll_interval_max: Duration::from_secs(60),
        pulse: Pulse::default(),
    };
    let guard = Guard::new(&member.name).unwrap();
    KafkaMembership::new(client.clone(), member, "kafka:9092".to_owned(), guard, Arc::new(AtomicBool::new(reachable)))
}

/// What the group took without waiting, so long ago that somebody else would have answered.
fn lost_for_long(client: &Told, reachable: bool) -> KafkaMembership<Told> {
    let mut membership = membership(client, reachable);
    lock(&client.0).signals.push_back(Signal::Revoked { partitions: Vec::new(), lost: true });
    assert!(matches!(membership.poll(Duration::ZERO), Ok(Polled::Revoked { lost: true, .. })));
    assert!(membership.doubted.is_some_and(|since| since.elapsed() < SILENT));
    membership.doubted = Instant::now().checked_sub(SILENT);
    membership
}

#[test]
fn a_member_whose_client_reaches_nobody_while_others_do_is_to_join_again() {
    let client = Told::default();
    let mut membership = lost_for_long(&client, true);
    assert!(matches!(membership.poll(Duration::ZERO), Err(Error::Expired { .. })));
    assert_eq!(lock(&client.0).asked, 1);
}

#[test]
fn a_member_whose_client_is_answered_waits_for_its_place_and_does_not_ask_again() {
    let client = Told::default();
    lock(&client.0).answers = true;
    let mut membership = lost_for_long(&client, true);
    for _ in 0..3 {
        assert!(matches!(membership.poll(Duration::ZERO), Ok(Polled::Idle)));
    }
    assert_eq!(lock(&client.0).asked, 1);
    assert!(membership.doubted.is_some_and(|since| since.elapsed() < SILENT), "it is asked again some time");
}

#[test]
fn a_member_waits_for_a_broker_that_nobody_reaches_and_for_as_long_again_when_others_do() {
    let client = Told::default();
    let mut membership = lost_for_long(&client, false);
    assert!(matches!(membership.poll(Duration::ZERO), Ok(Polled::Idle)));
    membership.reachable.store(true, Ordering::Relaxed);
    assert!(matches!(membership.poll(Duration::ZERO), Ok(Polled::Idle)));
    assert_eq!(lock(&client.0).asked, 0);
}

#[test]
fn a_member_that_has_its_place_again_is_not_doubted() {
    let client = Told::default();
    let mut membership = membership(&client, true);
    assert!(membership.doubted.is_some(), "it has none yet");
    lock(&client.0).signals.push_back(Signal::Assigned(vec![Partition::new("order", 0)]));
    assert!(matches!(membership.poll(Duration::ZERO), Ok(Polled::Assigned(_))));
    assert!(membership.doubted.is_none());
    lock(&client.0).signals.push_back(Signal::Fault { fault: fault(), fatal: false });
    assert!(matches!(membership.poll(Duration::ZERO), Ok(Polled::Idle)));
    assert!(membership.doubted.is_some());
}
