//! Ticks, and functions that read error events: what a fleet makes of both on real Kafka.

use std::collections::BTreeMap;

use fnhost::event::Record;
use serde_json::Value;

use super::apps::OwnApp;
use super::hosts::Host;
use super::world::World;
use crate::kafka::{Isolation, eventually};

const TICKING: &str = r#"
[topics."APP.wake"]
partitions = 3
[functions.guest]
source = "GUEST"
input = ["APP.wake"]
[schedules.often]
every = "1s"
topic = "APP.wake"
"#;

/// The slots on each partition of a topic, in seconds since the Unix epoch, in order.
fn slots(world: &World, topic: &str) -> BTreeMap<i32, Vec<u64>> {
    let mut slots: BTreeMap<i32, Vec<u64>> = BTreeMap::new();
    for event in world.kafka().read(&[topic], Isolation::Committed) {
        let tick: Value = serde_json::from_slice(event.value.as_deref().unwrap()).unwrap();
        assert_eq!((tick["type"].as_str(), tick["subject"].as_str()), (Some("fnhost.tick"), Some("often")));
        let time = humantime::parse_rfc3339(tick["time"].as_str().unwrap()).unwrap();
        let seconds = time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        slots.entry(event.partition.number).or_default().push(seconds);
    }
    slots
}

#[test]
fn every_slot_has_one_tick_on_every_partition_whichever_host_is_killed() {
    let app = OwnApp::new(TICKING);
    let Some(world) = World::of(app.path().to_owned()) else { return };
    let topic = app.topic("wake");
    let more = |count: usize| {
        let has = |topic: &str| slots(&world, topic).get(&0).map_or(0, Vec::len);
        let wanted = has(&topic) + count;
        eventually("more slots have ticks", || (has(&topic) >= wanted).then_some(()));
    };
    let mut hosts = vec![Host::start(&world, &[]).ready(), Host::start(&world, &[]).ready()];
    more(2);
    for _ in 0..3 {
        // The older one: at first the one that ticks, then the one that took over from it.
        hosts.remove(0).kill();
        more(3);
        hosts.push(Host::start(&world, &[]));
    }
    // One that stands still for a while must not tick what another one did meanwhile.
    hosts[0].signal("STOP");
    more(4);
    hosts[0].signal("CONT");
    more(4);
    drop(hosts);
    let slots = slots(&world, &topic);
    assert_eq!(slots.len(), 3);
    for (partition, slots) in &slots {
        let all: Vec<u64> = (slots[0]..).take(slots.len()).collect();
        assert_eq!(*slots, all, "partition {partition}");
    }
}

const READING_ERRORS: &str = r#"
[topics."APP.work"]
partitions = 1
[topics."APP.seen"]
partitions = 1
[functions.worker]
source = "GUEST"
input = ["APP.work"]
group = "worker"
[functions.watcher]
source = "GUEST"
input = ["error"]
output = ["APP.seen"]
group = "watcher"
[functions.further]
source = "GUEST"
input = ["APP.seen"]
group = "further"
"#;

#[test]
fn a_function_that_reads_error_events_is_handed_neither_its_own_nor_what_came_of_what_it_published() {
    let app = OwnApp::new(READING_ERRORS);
    let Some(world) = World::of(app.path().to_owned()) else { return };
    let _host = Host::start(&world, &[]).ready();
    // The worker rejects this; its error event is no script, so the watcher rejects that.
    world.kafka().write(&[app.record("work", "k", "reject x")]);
    // As if another app had failed: the watcher passes it on, and what reads that cannot publish it.
    let seen = app.topic("seen");
    let foreign = Record { topic: "error".into(), ..app.record("work", "f", &format!(r#"{{"do":"echo {seen}"}}"#)) };
    world.kafka().write(&[foreign]);
    let functions = |world: &World| {
        let mut functions: Vec<String> = Vec::new();
        for event in world.kafka().read(&["error"], Isolation::Committed) {
            let value: Value = serde_json::from_slice(event.value.as_deref().unwrap()).unwrap();
            functions.extend(value["data"]["function"].as_str().map(str::to_owned));
        }
        functions.sort();
        functions
    };
    eventually("each failed once", || (functions(&world).len() >= 3).then_some(()));
    world.nothing_is_left(&format!("{}.watcher", app.name), 1);
    world.nothing_is_left(&format!("{}.further", app.name), 1);
    assert_eq!(functions(&world), ["further", "watcher", "worker"]);
}
