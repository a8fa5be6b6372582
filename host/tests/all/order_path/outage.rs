//! The broker is away: at the start, in the middle, and when the host is to end. Or it is there and stands still.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use fnhost::event::Digest;
use serde_json::Value;

use super::hosts::{Host, agent};
use super::kills::{each_order_had_its_effect_once, is_bad, nothing_is_left};
use super::orders::{bad_order, order, place, post};
use super::swaps::{deploy, try_deploy, version};
use super::world::{World, pause};
use crate::kafka::{Isolation, PATIENCE, eventually, say};

/// How long the broker is away in the middle.
const OUTAGE: Duration = Duration::from_secs(30);
/// How long the broker stands still: longer than a transaction and a session, and than any one request may take.
const STANDSTILL: Duration = Duration::from_secs(23);
const CLIENTS: usize = 4;

/// Ends what the clients do, also when what they wait for fails: nobody would hear of it otherwise.
struct Posting<'a>(&'a AtomicBool);

impl Drop for Posting<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Waits until the host says of itself that it is not ready, and gives what it says.
fn unready(host: &Host) -> String {
    eventually("the host is not ready", || {
        let (status, body) = host.admin("/readyz");
        (status == 503).then_some(body)
    })
}

#[test]
fn a_host_waits_for_its_broker_goes_on_when_it_comes_and_ends_in_time_when_it_is_gone_again() {
    let Some(mut world) = World::new() else { return };
    world.kill_broker();
    let host = Host::start(&world, &["--drain-time", "5s"]);
    let said = host.said_in_log("waiting for the broker");
    assert!(said.contains(&world.kafka().brokers), "it says for which: {said}");
    assert_eq!(host.admin("/livez").0, 200, "a restart would not bring the broker back");
    let reasons = unready(&host);
    assert!(reasons.contains("the broker is away"), "{reasons}");
    let refused = agent().post(format!("http://{}/orders", host.http)).header("content-type", "application/json");
    let refused = refused.send(order(1).to_string()).unwrap();
    assert_eq!(refused.status(), 503);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "Retry-After: {wait}");

    world.start_broker_again();
    let host = host.ready();
    let shipped = place(&host.http, &order(1));
    world.await_shipped(std::slice::from_ref(&shipped));

    // Orders whose transactions the broker can no longer end.
    let taken: Vec<String> = (0..20).map(|number| place(&host.http, &order(number))).collect();
    world.kill_broker();
    unready(&host);
    assert_eq!(host.admin("/livez").0, 200);
    let (code, log) = host.terminate();
    assert!(code == 0 || code == 1, "it did not end by itself but with {code}:\n{log}");

    world.start_broker_again();
    let host = Host::start(&world, &[]).ready();
    world.await_shipped(&taken);
    world.nothing_is_left("fulfilment", 4);
    let all = taken.into_iter().chain([shipped]).map(|id| (id, 1)).collect::<BTreeMap<_, _>>();
    assert_eq!(world.shipped(), all);
    assert_eq!(host.terminate().0, 0);
}

#[test]
fn orders_taken_before_during_and_after_an_outage_are_each_shipped_once_by_the_same_process() {
    let Some(mut world) = World::new() else { return };
    let host = Host::start(&world, &["--instance", "one"]).ready();
    let posting = AtomicBool::new(true);
    let (address, posting) = (&host.http, &posting);
    let taken: Vec<String> = std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|client| scope.spawn(move || trickle(address, client, posting, order))).collect();
        let is_posting = Posting(posting);
        pause(Duration::from_secs(3));
        world.kill_broker();
        let began = Instant::now();
        let reasons = unready(&host);
        assert!(reasons.contains("the broker is away"), "{reasons}");
        pause(OUTAGE.saturating_sub(began.elapsed()));
        assert_eq!(host.admin("/readyz").0, 503);
        assert_eq!(host.admin("/livez").0, 200);
        world.start_broker_again();
        ready_again(std::slice::from_ref(&host).iter());
        pause(Duration::from_secs(3));
        drop(is_posting);
        let taken = |client: ScopedJoinHandle<'_, _>| client.join().unwrap_or_else(|_| panic!("{}", host.log()));
        clients.into_iter().flat_map(taken).collect()
    });
    say(&format!("{} orders taken around an outage of {OUTAGE:?}", taken.len()));

    world.await_shipped(&taken);
    world.nothing_is_left("fulfilment", 4);
    assert_eq!(world.shipped(), taken.into_iter().map(|id| (id, 1)).collect());
    let (code, log) = host.terminate();
    assert_eq!(code, 0, "the host did not last, or did not drain:\n{log}");
}

#[test]
fn hosts_come_back_from_a_kafka_that_stood_still_under_load_and_deploys_and_each_order_has_its_effect_once() {
    let Some(world) = World::new() else { return };
    let start = |instance| Host::start(&world, &["--instance", instance]).ready();
    let hosts = [Some(start("a")), Some(start("b"))];
    let each = || hosts.iter().flatten();
    let (posting, deploying) = (AtomicBool::new(true), AtomicBool::new(true));
    let (posting, deploying) = (&posting, &deploying);
    let mixed = |number| if is_bad(number) { bad_order(number) } else { order(number) };
    let placed: Vec<(usize, String)> = std::thread::scope(|scope| {
        let clients: Vec<_> = each()
            .cycle()
            .take(CLIENTS)
            .enumerate()
            .map(|(client, host)| scope.spawn(move || trickle(&host.http, client, posting, mixed)))
            .collect();
        let is_posting = (Posting(posting), Posting(deploying));
        let deployer = {
            let hosts = &hosts;
            scope.spawn(move || {
                let attempts = (0..).take_while(|_| deploying.load(Ordering::Relaxed));
                let is_made = |n: &usize| {
                    pause(Duration::from_millis(100));
                    try_deploy(hosts, &version(n % 8), *n).is_some()
                };
                attempts.filter(is_made).count()
            })
        };
        pause(Duration::from_secs(5));
        world.signal_broker("STOP");
        pause(STANDSTILL);
        for host in each() {
            assert_eq!(host.admin("/livez").0, 200, "a restart would not get Kafka going:\n{}", host.log());
        }
        world.signal_broker("CONT");
        deploying.store(false, Ordering::Relaxed);
        say(&format!("Kafka goes on after {STANDSTILL:?}; {} deploys around that", deployer.join().unwrap()));
        ready_again(each());

        let wasm = version(8);
        deploy(&hosts, &wasm, 0);
        let digest = Digest::of(&wasm).to_string();
        for host in each() {
            eventually("every host has what was deployed after it", || {
                host.admin("/functions").1.contains(&digest).then_some(())
            });
        }
        pause(Duration::from_secs(3));
        drop(is_posting);
        let logs = || each().map(Host::log).collect::<String>();
        let taken = |client: ScopedJoinHandle<'_, _>| client.join().unwrap_or_else(|_| panic!("{}", logs()));
        clients.into_iter().map(taken).flat_map(|ids: Vec<String>| ids.into_iter().enumerate()).collect()
    });
    say(&format!("{} orders taken around a standstill of {STANDSTILL:?}", placed.len()));

    nothing_is_left(&world);
    each_order_had_its_effect_once(&|topic| world.kafka().read(&[topic], Isolation::Committed), &placed);
    for host in hosts.into_iter().flatten() {
        let (code, log) = host.terminate();
        assert_eq!(code, 0, "a host did not last, or did not drain:\n{log}");
    }
}

#[test]
fn a_host_whose_positions_a_transaction_holds_says_how_to_end_it_and_goes_on_when_it_has_ended() {
    let Some(world) = World::new() else { return };
    let host = Host::start(&world, &[]).ready();
    let first = place(&host.http, &order(1));
    world.await_shipped(std::slice::from_ref(&first));
    world.nothing_is_left("fulfilment", 4);
    assert_eq!(host.terminate().0, 0);

    // As one that the broker forgot to end: it lasts for longer than any of a host's may.
    let transaction = world.kafka().open(&[], Duration::from_secs(300));
    let held: Vec<(&str, i32, i64)> = (0..6).map(|partition| ("order-received", partition, 0)).collect();
    transaction.hold("fulfilment", &held);
    let host = Host::start(&world, &[]);
    host.said_in_log("connected");
    let second = place(&host.http, &order(2));
    eventually("the host says what it waits for", || {
        unready(&host).contains("waits for a transaction that Kafka does not end").then_some(())
    });
    let said = host.said_in_log("kafka-transactions.sh");
    assert!(said.contains("group `fulfilment`") && said.contains("abort --topic T"), "{said}");
    eventually("the order that waits is counted all the same", || {
        host.admin("/metrics").1.lines().any(|line| is_behind(line, "order-received")).then_some(())
    });

    transaction.abort();
    let host = host.ready();
    world.await_shipped(&[first.clone(), second.clone()]);
    assert_eq!(world.shipped(), [(first, 1), (second, 1)].into());
    assert_eq!(host.terminate().0, 0);
}

/// Whether a line of `/metrics` says that a group has records of a topic before it.
fn is_behind(line: &str, topic: &str) -> bool {
    line.starts_with("fnhost_lag_records{group=\"fulfilment\"")
        && line.contains(&format!("topic=\"{topic}\""))
        && !line.ends_with(" 0")
}

/// Waits until hosts are ready, for as long as sessions, transactions and connections may take one after the other.
fn ready_again<'a>(hosts: impl Iterator<Item = &'a Host> + Clone) {
    let deadline = Instant::now() + 2 * PATIENCE;
    let reasons = |host: &Host| {
        let (status, reasons) = host.admin("/readyz");
        (status != 200).then_some(reasons)
    };
    while let Some(reasons) = hosts.clone().find_map(reasons) {
        if Instant::now() >= deadline {
            // What one waits for may be another.
            let logs: Vec<String> = hosts.map(Host::log).collect();
            panic!("a host does not come back: {reasons}\n{}", logs.join("\n--- and the next host:\n"));
        }
        pause(Duration::from_millis(100));
    }
}

/// Posts one order after the other, each until it is taken, and gives the ids of all.
fn trickle(host: &str, client: usize, posting: &AtomicBool, order: impl Fn(usize) -> Value) -> Vec<String> {
    let agent = agent();
    let mut taken = Vec::new();
    while posting.load(Ordering::Relaxed) {
        let number = taken.len();
        let (key, body) = (format!("client-{client}-{number}"), order(number).to_string());
        let deadline = Instant::now() + 2 * PATIENCE;
        let id = loop {
            match post(&agent, host, Some(&key), body.as_bytes()) {
                (202, answer) => {
                    let answer: Value = serde_json::from_str(&answer).unwrap();
                    break answer["id"].as_str().unwrap().to_owned();
                }
                (0 | 503 | 504, answer) => assert!(Instant::now() < deadline, "nobody takes {key}: {answer}"),
                (status, answer) => panic!("{key} was answered {status}: {answer}"),
            }
            pause(Duration::from_millis(200));
        };
        taken.push(id);
        pause(Duration::from_millis(50));
    }
    taken
}
