//! Kafka's own command line tools at work on the order path: what an operator types.

use serde_json::Value;

use super::hosts::Host;
use super::orders::{json_of, order_event};
use super::world::World;
use crate::kafka::{Isolation, eventually};
use fnhost::event::{Event, Record};

const TOPICS: [&str; 4] = ["notification", "order-confirmed", "order-picked-and-packed", "order-received"];

/// Enough for every partition of every topic to have some.
const ORDERS: usize = 60;

/// A line for `kafka-console-producer`.
fn line(id: &str) -> String {
    format!("{id}|{}", order_event(id))
}

fn bad_line(id: &str) -> String {
    let mut event = order_event(id);
    event["data"]["order"]["products"][0]["productCode"] = "P-9999".into();
    format!("{id}|{event}")
}

#[test]
fn kafkas_own_tools_place_an_order_read_every_topic_and_show_how_far_the_group_is() {
    let Some(world) = World::new() else { return };
    let host = Host::start(&world, &[]).ready();
    let ids: Vec<String> = (0..ORDERS).map(|number| format!("by-hand-{number}")).collect();
    let mut lines: Vec<String> = ids.iter().map(|id| line(id)).collect();
    lines.push(bad_line("bad"));
    world.kafka().console_producer("order-received", &lines.iter().map(String::as_str).collect::<Vec<_>>());
    world.await_shipped(&ids);
    assert_eq!(world.shipped(), ids.iter().map(|id| (id.clone(), 1)).collect());

    let orders: Vec<&str> = ids.iter().map(String::as_str).collect();
    for (topic, mut keys, kind) in [
        ("order-received", [&orders[..], &["bad"]].concat(), "ppe4peeps.order-received"),
        ("order-confirmed", orders.clone(), "ppe4peeps.order-confirmed"),
        ("order-picked-and-packed", orders.clone(), "ppe4peeps.order-picked-and-packed"),
        ("notification", [&orders[..], &orders].concat(), "ppe4peeps.notification"),
        ("error", vec!["bad"], "fnhost.error"),
    ] {
        let lines = world.kafka().console_consumer(topic, keys.len(), &["print.key=true"]);
        let mut read: Vec<&str> = lines.iter().map(|line| line.split_once('\t').unwrap().0).collect();
        read.sort_unstable();
        keys.sort_unstable();
        assert_eq!(read, keys, "{topic}");
        for line in &lines {
            let (key, value) = line.split_once('\t').unwrap();
            let value: Value = serde_json::from_str(value).unwrap();
            assert_eq!((value["type"].as_str(), value["subject"].as_str()), (Some(kind), Some(key)), "{topic}");
        }
    }
    world.nothing_is_left("fulfilment", TOPICS.len());

    // Nobody runs: the lag is what was written meanwhile, in each topic's own row.
    assert_eq!(host.terminate().0, 0);
    let later = ["second", "third", "fourth"];
    world.kafka().console_producer("order-received", &later.map(line).each_ref().map(String::as_str));
    let lags = TOPICS.map(|topic| (topic.to_owned(), if topic == "order-received" { 3 } else { 0 }));
    assert_eq!(world.lags("fulfilment"), lags.into());

    let host = Host::start(&world, &[]).ready();
    world.await_shipped(&later.map(str::to_owned));
    world.nothing_is_left("fulfilment", TOPICS.len());
    assert_eq!(host.terminate().0, 0);
    lag_ends_at_0_when_a_strangers_transaction_was_open(&world);
}

/// Records of a transaction that was undone are no events, and count as lag until the position is moved past them.
fn lag_ends_at_0_when_a_strangers_transaction_was_open(world: &World) {
    let read = |topic| world.kafka().read(&[topic], Isolation::Committed).remove(0);
    let (early, late) = (read(TOPICS[0]), read(TOPICS[3]));
    let record = |like: &Event| Record {
        topic: like.partition.topic.clone(),
        partition: Some(like.partition.number),
        key: like.key.clone(),
        value: Some(json_of(like).to_string().into()),
        headers: vec![],
    };
    let timeout = crate::kafka::PATIENCE * 2;
    let open = world.kafka().open(&[record(&early)], timeout);
    world.kafka().open(&[record(&late)], timeout).abort();

    let host = Host::start(world, &[]).ready();
    // The later topic's turn comes after the earlier one's, which had nothing but the open transaction to find.
    eventually("the lag of the one that was undone is gone", || {
        let lags = world.lags("fulfilment");
        (lags[TOPICS[3]] == 0 && lags[TOPICS[0]] > 0).then_some(())
    });
    open.abort();
    world.nothing_is_left("fulfilment", TOPICS.len());
    assert_eq!(host.terminate().0, 0);
}
