//! KPIs of the order path: what functions publish at real ticks is what counting by hand gives.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::hosts::Host;
use super::orders::{bad_order, order, order_event, place};
use super::world::{World, fnhost, fulfilment_with, pause_until};
use crate::kafka::eventually;

const GOOD: usize = 30;
const BAD: usize = 7;
const MINUTE_MS: u64 = 60_000;
const KPIS: [&str; 2] = ["inventory-errors", "order-to-shipped"];

/// By KPI and minute.
type Minutes<T> = BTreeMap<(String, u64), T>;

/// The order path with a tick every second, which publishes a minute as soon as it is over.
fn app(folder: &Path) -> PathBuf {
    fulfilment_with(
        folder,
        &[("every = \"60s\"", "every = \"1s\""), ("grace-seconds = \"10\"", "grace-seconds = \"0\"")],
    )
}

/// All that lies on a topic, in the order of its partitions.
fn tail(host: &Host, topic: &str) -> Vec<Value> {
    let (code, out, err) = fnhost(&["events", "tail", topic, "--admin", &host.admin, "--format", "json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let mut events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    events.sort_by_key(|event| (event["partition"].as_i64(), event["offset"].as_i64()));
    events
}

fn ms(time: &Value) -> u64 {
    let time = humantime::parse_rfc3339(time.as_str().unwrap()).unwrap();
    time.duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// What is published last of each minute. Every revision follows the one before it.
fn published(host: &Host) -> Minutes<Value> {
    let mut minutes: Minutes<Value> = BTreeMap::new();
    for event in tail(host, "kpi") {
        let data = &event["value"]["data"];
        assert_eq!((&event["key"], &event["value"]["subject"]), (&data["kpi"], &data["kpi"]));
        assert_eq!(event["value"]["type"], "ppe4peeps.kpi");
        let minute = (data["kpi"].as_str().unwrap().to_owned(), ms(&data["minute"]));
        let next = minutes.get(&minute).map_or(0, |before| before["revision"].as_u64().unwrap() + 1);
        assert_eq!(data["revision"], next, "{data}");
        minutes.insert(minute, data.clone());
    }
    minutes
}

fn sum(minutes: &Minutes<Value>, kpi: &str) -> u64 {
    minutes.iter().filter(|((of, _), _)| of == kpi).map(|(_, data)| data["count"].as_u64().unwrap()).sum()
}

/// How long everything took that is to be counted, by what lies on the topics of the order path.
fn by_hand(host: &Host) -> Minutes<Vec<u64>> {
    let mut minutes: Minutes<Vec<u64>> = BTreeMap::new();
    let mut add = |kpi: &str, at: u64, took: u64| {
        minutes.entry((kpi.to_owned(), at / MINUTE_MS * MINUTE_MS)).or_default().push(took);
    };
    for error in tail(host, "error") {
        assert_eq!(error["value"]["data"]["function"], "inventory");
        add("inventory-errors", ms(&error["value"]["time"]), 0);
    }
    for notification in tail(host, "notification") {
        let data = &notification["value"]["data"];
        if data["stage"] == "shipped" && data.get("orderedAt").is_some() {
            let shipped = ms(&notification["timestamp"]);
            add("order-to-shipped", shipped, shipped - ms(&data["orderedAt"]));
        }
    }
    minutes
}

fn minutes_are_as_counted_by_hand(host: &Host, dir: &Path) {
    // On its way already when events began to say when an order came in.
    let mut old = order_event("old");
    old["type"] = "ppe4peeps.order-confirmed".into();
    let file = dir.join("old.json");
    fs::write(&file, old.to_string()).unwrap();
    let (code, _, err) = fnhost(&["events", "send", "order-confirmed", file.to_str().unwrap(), "--admin", &host.admin]);
    assert_eq!((code, err.as_str()), (0, ""));

    let ids: BTreeSet<String> = (0..GOOD).map(|number| place(&host.http, &order(number))).collect();
    (0..BAD).for_each(|number| drop(place(&host.http, &bad_order(number))));
    let shipped = |host: &Host| -> BTreeSet<String> {
        let notifications = tail(host, "notification").into_iter();
        let shipped = notifications.filter(|event| event["value"]["data"]["stage"] == "shipped");
        shipped.map(|event| event["key"].as_str().unwrap().to_owned()).collect()
    };
    eventually("all are shipped", || (shipped(host).len() == GOOD + 1).then_some(()));
    assert!(shipped(host).is_superset(&ids) && shipped(host).contains("old"));

    // The minute has to end.
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    pause_until(Instant::now() + Duration::from_millis(MINUTE_MS - now % MINUTE_MS));
    let published = eventually("what was counted is published", || {
        let published = published(host);
        (KPIS.map(|kpi| sum(&published, kpi)) == [BAD as u64, GOOD as u64]).then_some(published)
    });

    let by_hand = by_hand(host);
    for kpi in KPIS {
        let minutes: Vec<u64> = published.keys().filter(|(of, _)| of == kpi).map(|(_, minute)| *minute).collect();
        let all: Vec<u64> = (0..).map(|n| minutes[0] + n * MINUTE_MS).take(minutes.len()).collect();
        assert_eq!(minutes, all, "a minute is missing");
    }
    for (minute, data) in &published {
        let mut times = by_hand.get(minute).cloned().unwrap_or_default();
        times.sort_unstable();
        assert_eq!(data["count"], times.len(), "{minute:?}");
        for (name, percent) in [("p50Ms", 50), ("p99Ms", 99)] {
            if minute.0 == "inventory-errors" || times.is_empty() {
                assert_eq!(data[name], Value::Null, "{data}");
                continue;
            }
            let exact = times[(times.len() * percent).div_ceil(100) - 1];
            let shown = data[name].as_u64().unwrap();
            assert!(shown.abs_diff(exact) * 100 <= exact, "{name} is {shown}, and must be about {exact}: {times:?}");
        }
    }
    assert!(by_hand.keys().all(|minute| published.contains_key(minute)));

    // One tick a slot, between samples that carry what the KPIs are made of.
    let on_topic = tail(host, "kpi-sample");
    let (ticks, samples): (Vec<&Value>, Vec<&Value>) =
        on_topic.iter().map(|event| &event["value"]).partition(|value| value["type"] == "fnhost.tick");
    let slots: Vec<u64> = ticks.iter().map(|tick| ms(&tick["time"])).collect();
    assert_eq!(slots, (0..).map(|n| slots[0] + n * 1000).take(slots.len()).collect::<Vec<_>>());
    assert_eq!(samples.len(), GOOD + BAD);
    let orders: BTreeSet<&str> = samples.iter().map(|sample| sample["data"]["order"].as_str().unwrap()).collect();
    assert_eq!(orders.len(), GOOD + BAD);
    assert!(host.log().contains("order old is not measured"), "{}", host.log());
}

#[test]
fn kpis_of_orders_on_the_embedded_broker_are_what_counting_by_hand_gives() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broker.redb");
    let broker = ["--embedded", file.to_str().unwrap()];
    let host = Host::start_over(&app(folder.path()), &broker, "127.0.0.1:0", &["--apply-topics"]).ready();
    minutes_are_as_counted_by_hand(&host, folder.path());
    assert_eq!(host.terminate().0, 0);
}

#[test]
fn kpis_of_orders_on_kafka_are_what_counting_by_hand_gives() {
    let folder = tempfile::tempdir().unwrap();
    let Some(world) = World::of(app(folder.path())) else { return };
    let host = Host::start(&world, &[]).ready();
    minutes_are_as_counted_by_hand(&host, folder.path());

    // What an operator reads with Kafka's own consumer.
    let lines = world.kafka().console_consumer("kpi", 2, &["print.key=true"]);
    for line in lines {
        let (key, value) = line.split_once('\t').unwrap();
        let value: Value = serde_json::from_str(value).unwrap();
        assert_eq!(value["data"]["kpi"], json!(key), "{value}");
    }
    assert_eq!(host.terminate().0, 0);
}
