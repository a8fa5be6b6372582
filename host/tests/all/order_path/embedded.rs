//! The order path on the embedded broker: each order has its effect once, however often its process is killed.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fnhost::broker::embedded::{Embedded, Options};
use fnhost::broker::{Broker, Replayed};
use fnhost::event::{Event, Partition};

use super::hosts::{Host, agent};
use super::kills::{each_order_had_its_effect_once, free_address, is_bad};
use super::orders::{bad_order, order, place_surely};
use super::world::{fulfilment, pause_until};
use crate::kafka::{eventually, say};

const ORDERS: usize = 1_500;
const CLIENTS: usize = 4;
const KILLS: usize = 6;
const PACE: Duration = Duration::from_millis(2);
const TOPICS: [&str; 4] = ["order-received", "order-confirmed", "order-picked-and-packed", "notification"];

#[test]
fn fifteen_hundred_orders_are_each_shipped_once_while_the_process_with_the_broker_in_it_is_killed() {
    let (app, folder, http) = (fulfilment(), tempfile::tempdir().unwrap(), free_address());
    let file = folder.path().join("broker.redb");
    let broker = ["--embedded", file.to_str().unwrap()];
    let start = || Host::start_over(&app, &broker, &http, &["--apply-topics"]);
    let mut host = Some(start().ready());

    let (next, began, addresses) = (AtomicUsize::new(0), Instant::now(), [http.clone()]);
    let placed = std::thread::scope(|scope| {
        let client = || {
            let (agent, mut placed) = (agent(), Vec::new());
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= ORDERS {
                    return placed;
                }
                pause_until(began + PACE * u32::try_from(number).unwrap());
                let order = if is_bad(number) { bad_order(number) } else { order(number) };
                placed.push((number, place_surely(&agent, &addresses, &format!("key-{number}"), &order)));
            }
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        for kill in 1..=KILLS {
            let at = ORDERS * kill / (KILLS + 1);
            eventually("orders are placed", || (next.load(Ordering::Relaxed) >= at).then_some(()));
            host.take().unwrap().kill();
            say(&format!("killed the process ({kill} of {KILLS}), {at} orders begun"));
            host = Some(start());
        }
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(placed.len(), ORDERS);

    // Nobody else can look into the file while a host has it, so each look ends one.
    loop {
        let (code, log) = host.take().unwrap_or_else(start).ready().terminate();
        assert_eq!(code, 0, "a host did not drain:\n{log}");
        if lag(&file) == 0 {
            break;
        }
    }
    let read = |topic: &str| all(&file, topic);
    each_order_had_its_effect_once(&read, &placed);
}

/// How far the order path and what is measured of it are behind, all together.
fn lag(file: &Path) -> u64 {
    let broker = Embedded::open(file, &Options::default()).unwrap();
    let groups: [(&str, &[&str]); 2] = [("fulfilment", &TOPICS), ("fulfilment.measure", &["notification", "error"])];
    let progress = groups.map(|(group, topics)| broker.progress(group, topics).unwrap());
    progress.iter().flatten().map(fnhost::broker::Progress::lag).sum()
}

/// All that lies on a topic, in the order of its partitions.
fn all(file: &Path, topic: &str) -> Vec<Event> {
    let broker = Embedded::open(file, &Options::default()).unwrap();
    let partitions = broker.topics(&[topic]).unwrap().remove(0).partitions;
    let mut events = Vec::new();
    for number in 0..partitions {
        let mut replay = broker.replay(&Partition::new(topic, number), 0).unwrap();
        loop {
            match replay.next(Duration::from_millis(50)).unwrap() {
                Replayed::Records(records) => events.extend(records),
                Replayed::Waiting => {}
                Replayed::Done { .. } => break,
            }
        }
    }
    events
}
