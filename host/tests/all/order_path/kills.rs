//! Ten thousand orders while hosts are killed, join and leave: each has its effect once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fnhost::event::Event;
use serde_json::Value;

use super::hosts::{Host, agent};
use super::orders::{bad_order, order, place_surely};
use super::world::{World, pause, pause_until};
use crate::kafka::{Isolation, eventually, say};

const ORDERS: usize = 10_000;
const CLIENTS: usize = 8;
const KILLS: usize = 10;
/// Between two orders: so that the load lasts as long as the unrest.
const PACE: Duration = Duration::from_micros(6_000);
/// The third host comes and goes for this long.
const UNREST: Duration = Duration::from_secs(60);

#[test]
fn ten_thousand_orders_are_each_shipped_once_while_hosts_are_killed_and_come_and_go() {
    let Some(world) = World::new() else { return };
    let ports = [free_address(), free_address()];
    let start = |n: usize| Host::start_on(&world, &ports[n], &["--instance", ["a", "b"][n], "--drain-time", "10s"]);
    let mut hosts = [Some(start(0).ready()), Some(start(1).ready())];
    let addresses: Vec<String> = ports.to_vec();

    let (next, began) = (AtomicUsize::new(0), Instant::now());
    let placed = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let agent = agent();
                    let mut placed: Vec<(usize, String)> = Vec::new();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= ORDERS {
                            return placed;
                        }
                        pause_until(began + PACE * u32::try_from(number).unwrap());
                        let (key, order) =
                            (format!("key-{number}"), if is_bad(number) { bad_order(number) } else { order(number) });
                        let id = place_surely(&agent, &addresses, &key, &order);
                        if number.is_multiple_of(20) && !is_bad(number) {
                            assert_eq!(
                                place_surely(&agent, &addresses, &key, &order),
                                id,
                                "the same key is the same order"
                            );
                        }
                        placed.push((number, id));
                    }
                })
            })
            .collect();
        let unrest = scope.spawn(|| {
            let began = Instant::now();
            let mut times = 0;
            while began.elapsed() < UNREST {
                let third = Host::start(&world, &["--instance", "c", "--drain-time", "10s"]);
                pause(Duration::from_secs(5));
                let (code, log) = third.terminate();
                assert_eq!(code, 0, "a host that was asked to end did not drain:\n{log}");
                times += 1;
            }
            times
        });
        let mut randoms = uuid::Uuid::new_v4().into_bytes().into_iter().cycle();
        for kill in 0..KILLS {
            let random = randoms.next().unwrap();
            pause(Duration::from_millis(2_000 + u64::from(random) * 12));
            let victim = usize::from(random) % 2;
            hosts[victim].take().unwrap().kill();
            say(&format!(
                "killed host {} ({} of {KILLS}), {} orders begun",
                ["a", "b"][victim],
                kill + 1,
                next.load(Ordering::Relaxed).min(ORDERS)
            ));
            hosts[victim] = Some(start(victim));
        }
        let placed: Vec<(usize, String)> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        say(&format!("all orders placed; a third host came and went {} times", unrest.join().unwrap()));
        placed
    });
    assert_eq!(placed.len(), ORDERS);

    nothing_is_left(&world);
    each_order_had_its_effect_once(&|topic| world.kafka().read(&[topic], Isolation::Committed), &placed);
    for host in hosts.into_iter().flatten() {
        let (code, log) = host.terminate();
        assert_eq!(code, 0, "a host did not drain:\n{log}");
    }
}

pub(crate) fn is_bad(number: usize) -> bool {
    number % 50 == 7
}

pub(crate) fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Waits until the order path and what is measured of it have read everything, by Kafka's own word, and nobody holds a transaction open.
pub(crate) fn nothing_is_left(world: &World) {
    eventually("the group has read everything", || {
        let rows = world.kafka().consumer_groups_describe("fulfilment");
        let lags: Vec<&str> = rows.iter().filter_map(|row| row.get("LAG")).map(String::as_str).collect();
        (lags.len() == 24 && lags.iter().all(|lag| *lag == "0")).then_some(())
    });
    world.nothing_is_left("fulfilment.measure", 2);
    eventually("no transaction is open", || {
        let open = world.kafka().transactions_list();
        let state = |row: &BTreeMap<String, String>| row.get("TransactionState").cloned().unwrap_or_default();
        open.iter()
            .all(|row| !matches!(state(row).as_str(), "Ongoing" | "PrepareCommit" | "PrepareAbort"))
            .then_some(())
    });
}

/// Holds what `read` finds on the topics against what was placed.
pub(crate) fn each_order_had_its_effect_once(read: &dyn Fn(&str) -> Vec<Event>, placed: &[(usize, String)]) {
    let good: BTreeSet<&str> = placed.iter().filter(|(n, _)| !is_bad(*n)).map(|(_, id)| id.as_str()).collect();
    let bad: BTreeSet<&str> = placed.iter().filter(|(n, _)| is_bad(*n)).map(|(_, id)| id.as_str()).collect();

    // A bad order that was posted again after an answer got lost lies on the topic more than once, and each time it was
    // rejected: one error event an event, with the bytes that were sent.
    let received = read("order-received");
    let rejected: BTreeMap<(i64, i64), &Event> = received
        .iter()
        .filter(|event| bad.contains(subject(event).as_str()))
        .map(|event| ((event.partition.number.into(), event.offset), event))
        .collect();
    let errors = read("error");
    let mut seen = BTreeSet::new();
    for error in &errors {
        let data = &json(error)["data"];
        assert_eq!(
            (data["class"].as_str(), data["function"].as_str()),
            (Some("rejected"), Some("inventory")),
            "{data}"
        );
        let place = (data["event"]["partition"].as_i64().unwrap(), data["event"]["offset"].as_i64().unwrap());
        let original = rejected.get(&place).unwrap_or_else(|| panic!("an error event of no bad order: {data}"));
        assert_eq!(data["event"]["value"].as_str().unwrap().as_bytes(), original.value.as_deref().unwrap());
        assert!(seen.insert(place), "two error events for one event: {place:?}");
    }

    for topic in ["order-confirmed", "order-picked-and-packed"] {
        let records = read(topic);
        assert_eq!(counts(&records, subject), good.iter().map(|id| ((*id).to_owned(), 1)).collect(), "{topic}");
    }
    let expected: BTreeMap<String, usize> =
        good.iter().flat_map(|id| [(format!("{id} picked"), 1), (format!("{id} shipped"), 1)]).collect();
    let notified = read("notification");
    assert_eq!(
        counts(&notified, |e| format!("{} {}", subject(e), json(e)["data"]["stage"].as_str().unwrap())),
        expected
    );

    // What is measured of them: each order that was shipped once, and each error event once.
    let on_topic = read("kpi-sample");
    let samples: Vec<Value> = on_topic.iter().map(|event| json(event)["data"].clone()).collect();
    let mut measured = BTreeMap::new();
    for sample in samples.iter().filter(|data| data["kpi"].is_string()) {
        *measured.entry((sample["kpi"].as_str().unwrap(), sample["order"].as_str().unwrap())).or_default() += 1;
    }
    let mut expected: BTreeMap<(&str, &str), usize> = good.iter().map(|id| (("order-to-shipped", *id), 1)).collect();
    let failed: Vec<String> = errors.iter().map(subject).collect();
    for id in &failed {
        *expected.entry(("inventory-errors", id)).or_default() += 1;
    }
    assert_eq!(measured, expected);

    assert_eq!(seen.len(), rejected.len(), "an event was rejected without an error event");
    let rejected: BTreeSet<String> = rejected.values().map(|event| subject(event)).collect();
    assert_eq!(rejected, bad.iter().map(|id| (*id).to_owned()).collect(), "every bad order was rejected");
    say(&format!(
        "{} good orders shipped once each, {} bad ones rejected by {} error events; {} events on order-received",
        good.len(),
        bad.len(),
        errors.len(),
        received.len(),
    ));
}

fn counts(events: &[Event], of: impl Fn(&Event) -> String) -> BTreeMap<String, usize> {
    events.iter().fold(BTreeMap::new(), |mut counts, event| {
        *counts.entry(of(event)).or_default() += 1;
        counts
    })
}

fn json(event: &Event) -> Value {
    serde_json::from_slice(event.value.as_deref().unwrap()).unwrap()
}

fn subject(event: &Event) -> String {
    json(event)["subject"].as_str().unwrap().to_owned()
}
