//! The order path, measured on a real Kafka and on the embedded broker: `cargo bench -p fnhost --bench order_path [-- PART… KEY=VALUE…]`.
//!
//! | part | what |
//! |---|---|
//! | `throughput` | a backlog of orders through one worker, its functions sandboxed and native in turn; sandboxed on the embedded broker, too |
//! | `costs` | the same on Kafka with parts of the work left out, which tells what each costs |
//! | `latency` | orders posted at a steady rate to a `fnhost run` process, timed until they are shipped; on both brokers |
//! | `seeing` | `throughput` with a candidate beside inventory, and with spans of one order in a hundred, beside a plain run |
//! | `start` | a process, from its start to its first event, beside a bare consumer that joins |
//! | `swaps` | versions of a function swapped under full load while hosts are killed, and how long no order is confirmed meanwhile |
//! | `idle` | a host of many functions with nothing to do: threads, CPU time and memory |
//! | `embedded` | of `throughput` and `latency` what is on the embedded broker; wants no Kafka |
//!
//! Without a part: all but the last three. Figures and what they depend on are in `host/benches/README.md`.
//!
//! | key | default | |
//! |---|---|---|
//! | `orders` | 40000 | a run of `throughput` and `costs` |
//! | `rounds` | 3 | runs of each kind, `seeing` too |
//! | `rate` | 200 | orders a second, `latency` |
//! | `seconds` | 60 | of `latency`, after 10 s that do not count |
//! | `starts` | 10 | of `start` |
//! | `swaps` | 1000 | of `swaps` |
//! | `kills` | 10 | of a host, spread over `swaps` |
//! | `functions` | 200 | of `idle` |
//!
//! Kafka is the tests': `FNHOST_TEST_BROKERS`, or one that is started. Only of one that is started is the CPU time told.

// All of it counts as test code, as far as lints are concerned.
#![cfg(test)]

#[path = "../../tests/all"]
mod all {
    #[allow(dead_code, unused_imports, reason = "the tests need more of it")]
    pub(crate) mod kafka;
}

mod app;
mod asked;
mod ground;
mod host;
mod idle;
mod latency;
mod measure;
mod native;
mod orders;
mod readers;
mod replay;
mod seeing;
mod seen;
mod start;
mod swaps;
mod throughput;
mod worker;

use all::kafka;

use self::app::Stage;
use self::asked::Asked;
use self::ground::On;

fn main() {
    let Some(asked) = Asked::from_arguments() else { return };
    let Some(stage) = Stage::new(asked.wants_kafka()) else { return };
    if asked.wants("throughput") {
        throughput::throughput(&stage, &asked);
    }
    if asked.wants("costs") {
        throughput::costs(&stage, &asked);
    }
    if asked.wants("latency") {
        latency::latency(&stage, On::Kafka, &asked);
        latency::latency(&stage, On::Embedded, &asked);
    }
    if asked.wants("seeing") {
        seeing::seeing(&stage, &asked);
    }
    if asked.wants("start") {
        start::start(&stage, &asked);
    }
    if asked.names("swaps") {
        swaps::swaps(&stage, &asked);
    }
    if asked.names("idle") {
        idle::idle(&stage, &asked);
    }
    if asked.names("embedded") {
        throughput::embedded(&stage, &asked);
        latency::latency(&stage, On::Embedded, &asked);
    }
}
