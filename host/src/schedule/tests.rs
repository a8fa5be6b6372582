use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::broker::TopicChange;
use crate::broker::embedded::{Embedded, Options};
use crate::event::Event;

/// 2026-11-21T18:00:00Z, a whole minute.
const SIX: u64 = 1_795_284_000_000;
const PARTITIONS: i32 = 3;

/// A broker, a clock, and what hosts there are.
struct World {
    broker: Arc<Embedded>,
    clock: Arc<AtomicU64>,
    app: App,
}

impl World {
    fn new(every: &[(&str, u64)]) -> Self {
        let broker = Embedded::temporary(&Options::default()).unwrap();
        let create = |name: &str, partitions| TopicChange::Create {
            name: name.to_owned(),
            partitions,
            replication: None,
            config: BTreeMap::new(),
        };
        broker.apply(&[create("wake", PARTITIONS), create("shop.schedules", record::PARTITIONS)]).unwrap();
        let schedule = |(name, every): &(&str, u64)| Schedule {
            name: (*name).to_owned(),
            every: Duration::from_secs(*every),
            topic: "wake".into(),
        };
        let app = App {
            name: "shop".into(),
            root: Default::default(),
            topics: BTreeMap::new(),
            routes: Vec::new(),
            functions: Vec::new(),
            schedules: every.iter().map(schedule).collect(),
            workers: BTreeMap::new(),
        };
        Self { broker, clock: Arc::new(AtomicU64::new(SIX + 1)), app }
    }

    fn host(&self) -> Timekeeper {
        let clock = Arc::clone(&self.clock);
        let now = move || UNIX_EPOCH + Duration::from_millis(clock.load(Ordering::Relaxed));
        let broker = Arc::clone(&self.broker) as Arc<dyn Broker>;
        Timekeeper::new(&self.app, broker, Metrics::new("test").unwrap(), Arc::new(now)).unwrap()
    }

    fn at(&self, seconds: u64) {
        self.clock.store(SIX + seconds * 1000, Ordering::Relaxed);
    }

    /// What is on each partition: the schedule, and how many seconds after six its slot began.
    fn ticks(&self, partition: i32) -> Vec<(String, i64)> {
        let mut ticks = Vec::new();
        let each = |event: &Event| {
            let tick: Value = serde_json::from_slice(event.value.as_deref().unwrap()).unwrap();
            assert_eq!((&tick["type"], &tick["source"]), (&"fnhost.tick".into(), &"/shop/schedules".into()));
            let time = humantime::parse_rfc3339(tick["time"].as_str().unwrap()).unwrap();
            let ms = i64::try_from(ms(time.duration_since(UNIX_EPOCH).unwrap())).unwrap();
            ticks.push((tick["subject"].as_str().unwrap().to_owned(), (ms - i64::try_from(SIX).unwrap()) / 1000));
            Ok(false)
        };
        read_to_end(self.broker.as_ref(), &Partition::new("wake", partition), 0, each).unwrap();
        ticks
    }

    /// The slots of the one schedule, which are the same on every partition.
    fn slots(&self) -> Vec<i64> {
        let all: Vec<Vec<(String, i64)>> = (0..PARTITIONS).map(|partition| self.ticks(partition)).collect();
        assert!(all.iter().all(|ticks| *ticks == all[0]), "{all:?}");
        all[0].iter().map(|(_, slot)| *slot).collect()
    }

    fn write(&self, key: &str, value: Option<&str>) {
        let mut writer = self.broker.exclusive("shop.schedules").unwrap();
        let value = value.map(|text| text.as_bytes().to_vec());
        let key = Some(key.as_bytes().to_vec());
        writer
            .write(&[Record { topic: "shop.schedules".into(), partition: Some(0), key, value, headers: vec![] }])
            .unwrap();
    }
}

#[test]
fn a_new_schedule_begins_with_the_next_slot_and_ticks_once_a_slot_on_every_partition() {
    let world = World::new(&[("minute", 60)]);
    let mut host = world.host();
    assert_eq!(host.step().unwrap(), Duration::from_millis(10_000), "the clock is looked at now and then");
    assert_eq!(world.slots(), Vec::<i64>::new());
    world.at(55);
    assert_eq!(host.step().unwrap(), Duration::from_secs(5));
    for seconds in [60, 61, 119, 120, 121] {
        world.at(seconds);
        host.step().unwrap();
    }
    assert_eq!(world.slots(), [60, 120]);
}

#[test]
fn the_others_take_over_from_a_host_that_is_gone_a_little_later() {
    let world = World::new(&[("minute", 60)]);
    let (mut one, mut other) = (world.host(), world.host());
    one.step().unwrap();
    other.step().unwrap();
    world.at(60);
    assert_eq!(other.step().unwrap(), HANDOVER, "the first one has the writer");
    drop(one);
    world.at(61);
    other.step().unwrap();
    assert_eq!(world.slots(), Vec::<i64>::new());
    world.at(62);
    other.step().unwrap();
    assert_eq!(world.slots(), [60]);
    world.at(120);
    other.step().unwrap();
    assert_eq!(world.slots(), [60, 120], "it is on time from now on");
}

#[test]
fn slots_that_began_while_no_host_ran_are_made_up_for_the_newest_of_them() {
    let world = World::new(&[("minute", 60)]);
    world.host().step().unwrap();
    world.at(5 * 60 + 2);
    world.host().step().unwrap();
    assert_eq!(world.slots(), [60, 120, 180, 240, 300]);
    world.at(1000 * 60 + 2);
    let mut host = world.host();
    host.step().unwrap();
    let slots = world.slots();
    assert_eq!(slots.len(), 5 + 60);
    assert_eq!((slots[5], slots[64]), ((1000 - 59) * 60, 1000 * 60));
    host.step().unwrap();
    assert_eq!(world.slots().len(), 65);
}

#[test]
fn schedules_do_not_wait_for_each_other_and_one_whose_slot_changes_ticks_no_slot_again() {
    let mut world = World::new(&[("minute", 60), ("seconds", 10)]);
    let mut host = world.host();
    host.step().unwrap();
    world.at(60);
    host.step().unwrap();
    let mut ticks = world.ticks(0);
    ticks.sort();
    let seconds = |slot| ("seconds".to_owned(), slot);
    assert_eq!(ticks[0], ("minute".to_owned(), 60));
    assert_eq!(ticks[1..], [seconds(10), seconds(20), seconds(30), seconds(40), seconds(50), seconds(60)]);
    drop(host);
    world.app.schedules[0].every = Duration::from_secs(25);
    world.at(77);
    world.host().step().unwrap();
    let minute: Vec<i64> =
        world.ticks(0).into_iter().filter(|(name, _)| name == "minute").map(|(_, slot)| slot).collect();
    // Slots of 25 s, counted from the epoch.
    assert_eq!(minute, [60, 75]);
    world.app.schedules[0].every = Duration::from_secs(1);
    world.at(90);
    world.host().step().unwrap();
    let minute = world.ticks(0).into_iter().filter(|(name, _)| name == "minute").map(|(_, slot)| slot);
    assert_eq!(minute.collect::<Vec<_>>(), [60, 75, 90], "slots that there were not are not made up for");
}

#[test]
fn a_mark_that_is_none_changes_nothing_and_one_that_was_taken_back_begins_anew() {
    let world = World::new(&[("minute", 60)]);
    world.host().step().unwrap();
    for odd in ["", "{}", r#"{"slot":"yesterday"}"#, r#"{"slot":"2026-13-01T00:00:00Z"}"#] {
        world.write("minute", Some(odd));
    }
    world.at(62);
    world.host().step().unwrap();
    assert_eq!(world.slots(), [60]);
    world.write("minute", Some(r#"{"slot":"2099-01-01T00:00:00Z"}"#));
    world.at(122);
    world.host().step().unwrap();
    assert_eq!(world.slots(), [60], "no slot is ticked again");
    // A host that runs meanwhile notices.
    let mut host = world.host();
    host.step().unwrap();
    world.write("minute", None);
    host.step().unwrap();
    world.at(182);
    host.step().unwrap();
    assert_eq!(world.slots(), [60, 180]);
}

#[test]
fn a_schedule_whose_topic_is_not_there_says_so_and_ticks_when_it_is() {
    let mut world = World::new(&[("minute", 60)]);
    world.app.schedules[0].topic = "later".into();
    let mut host = world.host();
    assert!(matches!(host.step(), Err(Error::NoSuchTopic { topic }) if topic == "later"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Each step: which host, what it does (or is killed and started again), and how far time goes on.
    #[test]
    fn whatever_hosts_do_every_slot_has_one_tick(
        steps in prop::collection::vec((0_usize..3, 0_u8..6, 0_u64..8000), 1..60),
    ) {
        let world = World::new(&[("often", 5)]);
        let mut hosts = [world.host(), world.host(), world.host()];
        hosts[0].step().unwrap();
        for (host, what, later) in steps {
            world.clock.fetch_add(later, Ordering::Relaxed);
            if what == 0 {
                hosts[host] = world.host();
            }
            hosts[host].step().unwrap();
        }
        world.clock.fetch_add(HANDOVER.as_millis() as u64, Ordering::Relaxed);
        // In the first it may find out that another host has the writer.
        hosts[0].step().unwrap();
        hosts[0].step().unwrap();
        let past = i64::try_from((world.clock.load(Ordering::Relaxed) - SIX) / 1000).unwrap();
        let slots = world.slots();
        let all: Vec<i64> = (1..=past / 5).map(|slot| slot * 5).collect();
        // A slot that began within the handover may wait for its host yet.
        prop_assert!(slots == all || slots == all[..all.len() - 1], "{:?} of {:?}", slots, all);
    }
}
