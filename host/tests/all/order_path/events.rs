//! Events that no client of ours would write: each is processed or becomes one error event, and nothing stops.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use fnhost::event::{Header, Offset, Partition};
use rdkafka::message::{Header as Sent, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};

use super::hosts::{Host, agent};
use super::orders::{order, order_event, post};
use super::raw::RawRecord;
use super::world::{World, fulfilment_with};
use crate::kafka::{Isolation, Kafka, block_on, eventually};

const TOPIC: &str = "order-received";
const PARTITIONS: i32 = 6;
const TWO_MB: usize = 2_000_000;
const YEAR_MS: i64 = 365 * 24 * 60 * 60 * 1000;

/// One event, and the order that it places, if it does.
struct Odd {
    what: &'static str,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<Header>,
    timestamp_ms: Option<i64>,
    order: Option<String>,
}

/// An event that nobody can process.
fn bad(what: &'static str, value: impl Into<Vec<u8>>) -> Odd {
    let key = Some(b"odd".to_vec());
    Odd { what, key, value: Some(value.into()), headers: vec![], timestamp_ms: None, order: None }
}

/// An order.
fn good(what: &'static str) -> Odd {
    let id = what.replace(' ', "-");
    Odd { key: Some(id.clone().into()), order: Some(id.clone()), ..bad(what, order_event(&id).to_string()) }
}

/// The same event with something changed in its value.
fn changed(what: &'static str, change: impl FnOnce(&mut Value)) -> Odd {
    let mut event = order_event(&what.replace(' ', "-"));
    change(&mut event);
    bad(what, event.to_string())
}

fn hundred_headers() -> Vec<Header> {
    let value = |number: usize| match number % 4 {
        0 => None,
        1 => Some(vec![]),
        2 => Some(vec![0xff, 0, 0xfe]),
        _ => Some(b"text".to_vec()),
    };
    // Every name twice, one of them empty.
    let name = |number: usize| if number < 2 { String::new() } else { format!("näme {}", number / 2) };
    (0..100).map(|number| Header { name: name(number), value: value(number) }).collect()
}

fn empty_headers(count: usize) -> Vec<Header> {
    vec![Header { name: String::new(), value: Some(vec![]) }; count]
}

fn odd_events() -> Vec<Odd> {
    let next_year = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap() + YEAR_MS;
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    vec![
        bad("no JSON", "no JSON"),
        bad("an empty value", ""),
        bad("JSON that is no object", "42"),
        bad("JSON of another kind", r#"{"hello": "wörld \u0000"}"#),
        bad("deep JSON", deep(100_000)),
        changed("an order with deep JSON in it", |event| {
            event["data"]["deep"] = serde_json::from_str(&deep(100)).unwrap();
            event["data"]["order"]["id"] = "".into();
        }),
        changed("a CloudEvent of another type", |event| {
            event["type"] = "ppe4peeps.order-cancelled".into();
            event["data"] = json!({ "because": "changed my mind" });
        }),
        changed("an order under another type", |event| event["type"] = "ppe4peeps.order-cancelled".into()),
        changed("a CloudEvent with an empty subject", |event| event["subject"] = "".into()),
        changed("a CloudEvent whose subject is no text", |event| event["subject"] = json!({ "a": 1 })),
        changed("an order that nobody can fill", |event| {
            event["data"]["order"]["products"][0]["quantity"] = json!(1_000_000_000_000_i64);
        }),
        bad("2 MB of text", "x".repeat(TWO_MB)),
        bad("2 MB of quotes", "\"".repeat(TWO_MB)),
        bad("2 MB of zeros", vec![0; TWO_MB]),
        bad("2 MB that are no text", vec![0xff; TWO_MB]),
        bad("a value that is no text", b"{\"a\": \"\xff\xfe\"}".to_vec()),
        Odd { value: None, ..bad("no value", "") },
        Odd { key: None, ..bad("no key", "no key") },
        Odd { key: None, value: None, ..bad("neither key nor value", "") },
        Odd { key: Some(vec![]), ..bad("an empty key", "an empty key") },
        Odd { key: Some(vec![0xc3, 0x28, 0]), ..bad("a key that is no text", "x") },
        Odd { key: Some(vec![0xff; TWO_MB]), ..bad("2 MB of a key that is no text", "x") },
        Odd { headers: hundred_headers(), ..bad("a hundred headers", "headers") },
        Odd { headers: empty_headers(90_000), ..bad("90,000 empty headers", "headers") },
        Odd { timestamp_ms: Some(0), ..bad("timestamp 0", "1970") },
        Odd { timestamp_ms: Some(next_year), ..bad("a timestamp of next year", "next year") },
        good("an order by hand"),
        Odd { key: None, ..good("an order without a key") },
        Odd { key: Some(vec![0xff]), ..good("an order with a key that is no text") },
        Odd { headers: hundred_headers(), ..good("an order with a hundred headers") },
        Odd { timestamp_ms: Some(0), ..good("an order of 1970") },
        Odd { timestamp_ms: Some(next_year), ..good("an order of next year") },
    ]
}

/// Writes an event into a partition, and gives its offset.
fn write(producer: &FutureProducer, partition: i32, odd: &Odd) -> Offset {
    let headers = odd.headers.iter().fold(OwnedHeaders::new(), |all, header| {
        all.insert(Sent { key: &header.name, value: header.value.as_deref() })
    });
    let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(TOPIC).partition(partition).headers(headers);
    record.key = odd.key.as_deref();
    record.payload = odd.value.as_deref();
    record.timestamp = odd.timestamp_ms;
    let queued = producer.send_result(record).map_err(|(error, _)| error).unwrap();
    match block_on(queued).unwrap() {
        Ok(delivery) => delivery.offset,
        Err((error, _)) => panic!("{} cannot be written: {error}", odd.what),
    }
}

fn producer(kafka: &Kafka) -> FutureProducer {
    kafka.client().set("message.max.bytes", "8388608").create().unwrap()
}

/// Posts orders until every partition has got one, and gives their ids.
fn orders_for_every_partition(host: &Host) -> Vec<String> {
    let (mut reached, mut ids) = (BTreeSet::new(), Vec::new());
    eventually("every partition has got an order", || {
        let (status, body) = post(&agent(), &host.http, None, order(ids.len()).to_string().as_bytes());
        assert_eq!(status, 202, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        reached.insert(answer["partition"].as_i64().unwrap());
        ids.push(answer["id"].as_str().unwrap().to_owned());
        (reached.len() == usize::try_from(PARTITIONS).unwrap()).then_some(())
    });
    ids
}

#[test]
fn every_event_however_odd_is_processed_or_becomes_one_error_event_and_orders_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let large = "[topics.order-received]\nmax-message = \"4MiB\"";
    let app = fulfilment_with(
        folder.path(),
        &[("[topics.order-received]", large), ("max-message = \"4MiB\"\nschema = \"error\"", "schema = \"error\"")],
    );
    let Some(world) = World::of(app) else { return };
    let future = ("message.timestamp.after.max.ms", "9223372036854775807");
    world.configure(TOPIC, &[future, ("max.message.bytes", "4194304"), ("retention.ms", "-1")]);
    let host = Host::start(&world, &[]).ready();

    let events = odd_events();
    let producer = producer(world.kafka());
    let written: Vec<(Partition, Offset)> = (0..PARTITIONS)
        .cycle()
        .zip(&events)
        .map(|(number, odd)| (Partition::new(TOPIC, number), write(&producer, number, odd)))
        .collect();
    let posted = orders_for_every_partition(&host);

    let good = events.iter().filter_map(|odd| odd.order.clone());
    let awaited: Vec<String> = good.chain(posted).collect();
    world.await_shipped(&awaited);
    world.nothing_is_left("fulfilment", 4);
    assert_eq!(world.shipped(), awaited.into_iter().map(|id| (id, 1)).collect());

    let errors = world.error_events("fulfilment");
    let received = world.kafka().read(&[TOPIC], Isolation::Committed);
    for (odd, (partition, offset)) in events.iter().zip(&written) {
        let place = ("inventory".to_owned(), partition.clone(), *offset);
        let original = received.iter().find(|e| e.partition == *partition && e.offset == *offset).unwrap();
        assert_eq!((&original.key, &original.value), (&odd.key, &odd.value), "{} was written as meant", odd.what);
        assert_eq!(original.headers, odd.headers, "{} was written as meant", odd.what);
        match (errors.get(&place), &odd.order) {
            (Some(error), None) => {
                assert!(error.original == *original, "{}: the error event holds something else", odd.what);
                assert_eq!(error.text("class"), "rejected", "{}: {}", odd.what, error.data["reason"]);
            }
            (None, None) => panic!("{} became no error event", odd.what),
            (Some(error), Some(_)) => panic!("{} became an error event: {}", odd.what, error.data["reason"]),
            (None, Some(_)) => {}
        }
    }
    assert_eq!(errors.len(), events.iter().filter(|odd| odd.order.is_none()).count(), "an error event too many");

    header_names_that_are_no_text(&world, &host);
    let (code, log) = host.terminate();
    assert_eq!(code, 0, "the host did not last:\n{log}");
    assert!(!log.contains("the membership has ended"), "a worker had to begin anew:\n{log}");
}

/// Kafka's protocol has header names as UTF-8, and its brokers do not look.
fn header_names_that_are_no_text(world: &World, host: &Host) {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let headers: &[(&[u8], &[u8])] = &[(b"before", b"1"), (b"\xff\xfe", b"2"), (b"after", b"3")];
    let place = |number| Partition::new(TOPIC, number);
    let bad = RawRecord { key: b"raw", value: b"no order", headers, timestamp_ms: now };
    let offset = world.kafka().write_raw(&place(0), &bad);
    let event = order_event("raw").to_string();
    let good = RawRecord { key: b"raw", value: event.as_bytes(), headers, timestamp_ms: now };
    world.kafka().write_raw(&place(1), &good);

    let mut awaited = orders_for_every_partition(host);
    awaited.push("raw".to_owned());
    world.await_shipped(&awaited);
    world.nothing_is_left("fulfilment", 4);
    let errors = world.error_events("fulfilment");
    let error = &errors[&("inventory".to_owned(), place(0), offset)];
    assert_eq!((error.original.key.as_deref(), error.original.value.as_deref()), (Some(bad.key), Some(bad.value)));
    let names: Vec<&str> = error.original.headers.iter().map(|header| header.name.as_str()).collect();
    assert!(matches!(names[..], ["before", odd, "after"] if odd.contains('\u{fffd}')), "{names:?}");
}
