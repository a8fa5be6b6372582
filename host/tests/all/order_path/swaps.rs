//! Versions swapped under load, while hosts are killed: each order has its effect once, and no partition goes back a version.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fnhost::event::Digest;
use serde_json::Value;

use super::hosts::{Host, agent};
use super::kills::{each_order_had_its_effect_once, free_address, is_bad, nothing_is_left};
use super::orders::{bad_order, order, place_surely};
use super::world::{World, fulfilment, pause_until};
use crate::kafka::{Isolation, eventually, say};

const SWAPS: usize = 30;
/// A host is killed after each so many swaps.
const KILL_EVERY: usize = 6;
const CLIENTS: usize = 4;
/// Between two orders: enough to fill batches, and to leave other tests their share of the machine.
const PACE: Duration = Duration::from_millis(4);

/// Version `number` of inventory: it does what the others do, and is another one.
pub(crate) fn version(number: usize) -> Vec<u8> {
    let mut wasm = std::fs::read(fulfilment().join("build/inventory.wasm")).unwrap();
    let content = [b"\x07version".as_slice(), &u32::try_from(number).unwrap().to_be_bytes()].concat();
    wasm.extend([0, u8::try_from(content.len()).unwrap()]);
    wasm.extend(content);
    wasm
}

/// Deploys through whichever host does it, and gives the deployment's number.
pub(crate) fn deploy(hosts: &[Option<Host>], wasm: &[u8], first: usize) -> u64 {
    let mut attempt = first;
    eventually("a host deploys", || {
        attempt += 1;
        try_deploy(hosts, wasm, attempt)
    })
}

/// Deploys through the host whose turn it is, and gives the deployment's number if it was made.
pub(crate) fn try_deploy(hosts: &[Option<Host>], wasm: &[u8], attempt: usize) -> Option<u64> {
    let digest = Digest::of(wasm);
    let admin = &hosts[attempt % hosts.len()].as_ref()?.admin;
    let url = format!("http://{admin}/functions/inventory/versions");
    let request = agent().post(&url).header("content-digest", fnhost::admin::deployments::content_digest(digest));
    let answer = match request.send(wasm) {
        Ok(answer) if answer.status() == 200 => Ok(answer),
        // It may have been made all the same, by a host that was killed before it could say so.
        _ => agent().get(&url).call(),
    };
    let answered: Value = serde_json::from_str(&answer.ok()?.body_mut().read_to_string().ok()?).ok()?;
    let is_made = answered["versions"][0]["digest"] == digest.to_string() || answered["active"] == digest.to_string();
    is_made.then(|| answered["number"].as_u64())?
}

#[test]
fn versions_are_swapped_under_load_while_hosts_are_killed_and_each_order_has_its_effect_once() {
    let Some(world) = World::new() else { return };
    let ports = [free_address(), free_address()];
    let start = |n: usize| Host::start_on(&world, &ports[n], &["--instance", ["a", "b"][n]]);
    let mut hosts = [Some(start(0).ready()), Some(start(1).ready())];
    let (next, done, began) = (AtomicUsize::new(0), AtomicBool::new(false), Instant::now());
    let mut numbers: BTreeMap<String, u64> = BTreeMap::new();
    numbers.insert(Digest::of(&std::fs::read(fulfilment().join("build/inventory.wasm")).unwrap()).to_string(), 0);

    let placed: Vec<(usize, String)> = std::thread::scope(|scope| {
        let place = || {
            let agent = agent();
            let mut placed = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                pause_until(began + PACE * u32::try_from(number).unwrap());
                let order = if is_bad(number) { bad_order(number) } else { order(number) };
                placed.push((number, place_surely(&agent, &ports, &format!("key-{number}"), &order)));
            }
            placed
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(place)).collect();
        for swap in 0..SWAPS {
            let wasm = version(swap);
            numbers.insert(Digest::of(&wasm).to_string(), deploy(&hosts, &wasm, swap));
            if swap % KILL_EVERY == KILL_EVERY - 1 {
                let victim = (swap / KILL_EVERY) % 2;
                hosts[victim].take().unwrap().kill();
                // It is back while the next ones are deployed.
                hosts[victim] = Some(start(victim));
            }
        }
        done.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let last = Digest::of(&version(SWAPS - 1)).to_string();
    for host in hosts.iter().flatten() {
        eventually("every host has the last version", || host.admin("/functions").1.contains(&last).then_some(()));
    }
    nothing_is_left(&world);
    each_order_had_its_effect_once(&|topic| world.kafka().read(&[topic], Isolation::Committed), &placed);

    let mut reached: BTreeMap<i32, u64> = BTreeMap::new();
    let mut versions = 0;
    for event in world.kafka().read(&["order-confirmed"], Isolation::Committed) {
        let header = event.headers.iter().find(|header| header.name == "fnhost-version").unwrap();
        let version = String::from_utf8(header.value.clone().unwrap()).unwrap();
        let number = *numbers.get(&version).unwrap_or_else(|| panic!("nobody deployed {version}"));
        let before = reached.insert(event.partition.number, number).unwrap_or(0);
        assert!(number >= before, "{} went from deployment {before} back to {number}", event.partition);
        versions += usize::from(number > before);
    }
    assert!(versions > SWAPS, "hardly any of the swaps was seen by an order: {versions}");
    say(&format!("{SWAPS} swaps, {} orders, {versions} changes of version in six partitions", placed.len()));
}
