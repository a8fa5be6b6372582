//! From the start of a process to its first event's outputs, beside what joining a group takes whoever joins.

use std::path::Path;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;

use crate::app::Stage;
use crate::asked::Asked;
use crate::ground::{Ground, On};
use crate::host::Host;
use crate::kafka::{PATIENCE, unique};
use crate::measure::median;
use crate::orders::Backlog;
use crate::readers::reader;

/// Starts hosts and bare consumers in turn.
pub(crate) fn start(stage: &Stage, asked: &Asked) {
    println!("\n## Start\n");
    let cache = tempfile::tempdir().unwrap();
    // Fills the cache, and has the broker make its own topics.
    let first = host(stage, cache.path());
    let (mut hosts, mut joins) = (vec![], vec![]);
    for _ in 0..asked.starts {
        hosts.push(host(stage, cache.path()).as_secs_f64());
        joins.push(join(stage).as_secs_f64());
    }
    println!("| in s | median | least | most |");
    println!("|---|---|---|---|");
    for (what, values) in
        [("a host, to its first event committed", &hosts), ("a bare consumer, to its first event", &joins)]
    {
        let (least, most) = values.iter().fold((f64::MAX, 0.0_f64), |(a, b), v| (a.min(*v), b.max(*v)));
        println!("| {what} | {:.3} | {least:.3} | {most:.3} |", median(values));
    }
    println!("\nNothing cached: {:.3} s.", first.as_secs_f64());
}

/// A new group's first host, with an order that waits for it.
fn host(stage: &Stage, cache: &Path) -> Duration {
    let name = unique("bench");
    let (app, _) = stage.app(&name);
    let ground = Ground::lay_out(stage, On::Kafka, &app);
    // Order 0 is one that is rejected, and comes twice.
    ground.write(Backlog { orders: 2, sampled_of: None });
    let consumer = reader(stage.kafka(), &["order-confirmed"]);
    let host = Host::start(stage, &ground, &name, cache, &[]);
    first_event(&consumer);
    let took = host.started.elapsed();
    host.terminate();
    ground.clear();
    took
}

/// A consumer of librdkafka with the same group protocol, with the same order waiting.
fn join(stage: &Stage) -> Duration {
    let begun = Instant::now();
    let consumer: BaseConsumer = stage
        .kafka()
        .client()
        .set("group.id", unique("bench.join"))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&["order-received"]).unwrap();
    first_event(&consumer);
    begun.elapsed()
}

fn first_event(consumer: &BaseConsumer) {
    let deadline = Instant::now() + PATIENCE;
    while consumer.poll(Duration::from_millis(100)).and_then(Result::ok).is_none_or(|m| m.payload().is_none()) {
        assert!(Instant::now() < deadline, "no event came");
    }
}
