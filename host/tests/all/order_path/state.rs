//! State over kills, restarts and takeovers: what a function kept is what it finds, once and in order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::apps::OwnApp;
use super::hosts::{Host, agent};
use super::orders::{order, place_surely};
use super::world::{World, pause};
use crate::kafka::{Isolation, PATIENCE, say};

const EVENTS: usize = 20_000;
const KEYS: usize = 200;
/// Written at once; between two of them is a pause, so that there is work while hosts are killed.
const CHUNK: usize = 500;
const CHUNK_EVERY: Duration = Duration::from_millis(500);
const KILLS: usize = 5;
const ORDERS: usize = 30;

#[test]
fn twenty_thousand_events_are_folded_once_and_in_order_while_hosts_are_killed_and_come_and_go() {
    let app = OwnApp::new(
        r#"
        [topics."APP.in"]
        [topics."APP.out"]
        [functions.fold]
        source = "GUEST"
        input = ["APP.in"]
        output = ["APP.out"]
        limits = { time = "10s" }
        "#,
    );
    let Some(world) = World::shared(app.path().to_owned()) else { return };
    let out = app.topic("out");
    let start = |name: &str| Host::start(&world, &["--instance", name, "--drain-time", "10s"]);
    let mut hosts = [Some(start("a").ready()), Some(start("b").ready())];
    let value = |number: usize| format!(r#"{{"do": "fold {out}", "number": {number}}}"#);
    let key = |number: usize| format!("key-{}", number % KEYS);

    std::thread::scope(|scope| {
        scope.spawn(|| {
            for chunk in (0..EVENTS).collect::<Vec<_>>().chunks(CHUNK) {
                let records: Vec<_> = chunk.iter().map(|n| app.record("in", &key(*n), &value(*n))).collect();
                world.kafka().write(&records);
                pause(CHUNK_EVERY);
            }
        });
        let third = scope.spawn(|| {
            for _ in 0..2 {
                pause(Duration::from_secs(2));
                let third = start("c");
                pause(Duration::from_secs(4));
                let (code, log) = third.terminate();
                assert_eq!(code, 0, "a host that was asked to end did not drain:\n{log}");
            }
        });
        for kill in 0..KILLS {
            pause(Duration::from_millis(2_500));
            let victim = kill % 2;
            hosts[victim].take().unwrap().kill();
            say(&format!("killed host {} ({} of {KILLS})", ["a", "b"][victim], kill + 1));
            hosts[victim] = Some(start(["a", "b"][victim]));
        }
        third.join().unwrap();
    });

    folded(&world, &app, &hosts);
    world.nothing_is_left(&app.name, 1);
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in world.kafka().read(&[&out], Isolation::Committed) {
        let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
        found.entry(text(event.key)).or_default().push(text(event.value));
    }
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for number in 0..EVENTS {
        let sum = sums.entry(key(number)).or_insert(0xcbf2_9ce4_8422_2325);
        *sum = fnv(*sum, value(number).as_bytes());
        let reports = expected.entry(key(number)).or_default();
        reports.push(format!("{} {sum:016x}", reports.len() + 1));
    }
    for (key, reports) in &expected {
        assert_eq!(found.get(key), Some(reports), "the events of {key} were not folded once and in order");
    }
    assert_eq!(found.len(), KEYS);
    assert!(world.error_events(&app.name).is_empty());
    for host in hosts.into_iter().flatten() {
        let (code, log) = host.terminate();
        assert_eq!(code, 0, "a host did not drain:\n{log}");
    }
}

/// Waits until every event is folded, for as long as there are more and more of them.
fn folded(world: &World, app: &OwnApp, hosts: &[Option<Host>]) {
    let mut before = 0;
    let mut since = Instant::now();
    while before < EVENTS {
        let now = world.kafka().read(&[&app.topic("out")], Isolation::Committed).len();
        if now > before {
            (before, since) = (now, Instant::now());
        }
        if since.elapsed() > PATIENCE {
            let logs: Vec<_> = hosts.iter().flatten().map(Host::log).collect();
            let errors = world.error_events(&app.name);
            panic!("{before} events are folded, and no more come: {errors:#?}\n{}", logs.join("\n"));
        }
    }
}

/// FNV-1a over 64 bits, as the test guest has it.
fn fnv(before: u64, value: &[u8]) -> u64 {
    value.iter().fold(before, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn an_order_placed_again_with_the_host_that_took_over_has_no_second_effect() {
    let Some(world) = World::new() else { return };
    let first = Host::start(&world, &["--instance", "first"]).ready();
    let (agent, key) = (agent(), |number| format!("key-{number}"));
    let place = |host: &Host, number: usize| {
        place_surely(&agent, std::slice::from_ref(&host.http), &key(number), &order(number))
    };
    let placed: Vec<String> = (0..ORDERS).map(|number| place(&first, number)).collect();
    world.await_shipped(&placed);
    first.kill();

    let second = Host::start(&world, &["--instance", "second"]).ready();
    for (number, id) in placed.iter().enumerate() {
        assert_eq!(place(&second, number), *id, "the same key is the same order");
    }
    let new: Vec<String> = (ORDERS..2 * ORDERS).map(|number| place(&second, number)).collect();
    world.await_shipped(&new);
    world.nothing_is_left("fulfilment", 4);
    assert_eq!(world.shipped(), placed.iter().chain(&new).map(|id| (id.clone(), 1)).collect());
    let received = world.kafka().read(&["order-received"], Isolation::Committed);
    assert_eq!(received.len(), 3 * ORDERS, "the orders that were placed again were read again");
    assert!(world.error_events("fulfilment").is_empty());
    let (code, log) = second.terminate();
    assert_eq!(code, 0, "{log}");
}
