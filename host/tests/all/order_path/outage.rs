//! The broker is away: at the start, in the middle, and when the host is to end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use super::hosts::{Host, agent};
use super::orders::{order, place, post};
use super::world::{World, pause};
use crate::kafka::{PATIENCE, eventually, say};

/// How long the broker is away in the middle.
const OUTAGE: Duration = Duration::from_secs(30);
const CLIENTS: usize = 4;

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
            (0..CLIENTS).map(|client| scope.spawn(move || trickle(address, client, posting))).collect();
        pause(Duration::from_secs(3));
        world.kill_broker();
        let began = Instant::now();
        let reasons = unready(&host);
        assert!(reasons.contains("the broker is away"), "{reasons}");
        pause(OUTAGE.saturating_sub(began.elapsed()));
        assert_eq!(host.admin("/readyz").0, 503);
        assert_eq!(host.admin("/livez").0, 200);
        world.start_broker_again();
        eventually("the host is ready again", || (host.admin("/readyz").0 == 200).then_some(()));
        pause(Duration::from_secs(3));
        posting.store(false, Ordering::Relaxed);
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

/// Posts one order after the other, each until it is taken, and gives the ids of all.
fn trickle(host: &str, client: usize, posting: &AtomicBool) -> Vec<String> {
    let agent = agent();
    let mut taken = Vec::new();
    while posting.load(Ordering::Relaxed) {
        let number = taken.len();
        let (key, body) = (format!("client-{client}-{number}"), order(number).to_string());
        let deadline = Instant::now() + 2 * PATIENCE;
        let id = loop {
            match post(&agent, host, Some(&key), body.as_bytes()) {
                (202, answer) => {
                    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
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
