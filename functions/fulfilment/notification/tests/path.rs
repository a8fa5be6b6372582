//! An order on its way from the door to the messages, and the examples of the schemas as their events.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fnhost_sdk::Level;
use fnhost_sdk::prelude::*;
use fnhost_sdk::testing::Bench;
use serde_json::Value;

/// The example events of a topic, as text, beside their file.
fn examples(kind: &str, valid: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../schemas/examples").join(kind).join(valid);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{}", folder.display());
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

fn inventory() -> Bench {
    let catalogue: Vec<_> = (1001..=1010).map(|number| format!("P-{number}")).collect();
    Bench::new(inventory::invoke, [("products", catalogue.join(" ").as_str()), ("max-quantity", "100")])
}

fn warehouse() -> Bench {
    Bench::new(warehouse::invoke, [])
}

fn shipper() -> Bench {
    Bench::new(shipper::invoke, [])
}

fn notification() -> Bench {
    Bench::new(notification::invoke, [])
}

fn value(output: &Output) -> &[u8] {
    output.value.as_deref().unwrap()
}

/// Whether `output` has what the schema of its topic asks for, as far as a function is to blame.
fn assert_well_formed(output: &Output, event: &Value) {
    let document: Value = serde_json::from_slice(value(output)).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let set = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(
        keys(&document),
        set(&["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"])
    );
    assert_eq!(document["type"], format!("ppe4peeps.{}", output.topic));
    assert_eq!(output.key.as_deref().unwrap(), event["subject"].as_str().unwrap().as_bytes());
    for same in ["subject", "time"] {
        assert_eq!(document[same], event[same]);
    }
    let data = &document["data"];
    assert_eq!(data["order"], event["data"]["order"]);
    let received = event["type"] == "ppe4peeps.order-received";
    let ordered_at = if received { &event["time"] } else { &event["data"]["orderedAt"] };
    assert_eq!(data["orderedAt"], *ordered_at);
    let mut expected = set(&["order"]);
    if !ordered_at.is_null() {
        expected.insert("orderedAt".into());
    }
    if output.topic != "notification" {
        return assert_eq!(keys(data), expected);
    }
    expected.extend(set(&["stage", "recipient", "subject", "body"]));
    if data["stage"] == "shipped" {
        expected.insert("carrierReference".into());
        assert!((1..=64).contains(&data["carrierReference"].as_str().unwrap().len()));
    }
    assert_eq!(keys(data), expected);
    assert_eq!(data["recipient"], event["data"]["order"]["customer"]["emailAddress"]);
    assert!((1..=200).contains(&data["subject"].as_str().unwrap().chars().count()));
    assert!((1..=10_000).contains(&data["body"].as_str().unwrap().chars().count()));
}

#[test]
fn an_order_goes_from_the_door_to_two_messages() {
    for (path, received) in examples("order-received", "valid") {
        let event: Value = serde_json::from_str(&received).unwrap();
        let confirmed = match inventory().handle(&received) {
            Ok(outputs) => outputs,
            Err(Failure::Reject(reason)) if reason.contains("is not in the catalogue") => continue,
            Err(failure) => panic!("{}: {failure:?}", path.display()),
        };
        let [confirmed] = confirmed.as_slice() else { panic!("{}: {confirmed:?}", path.display()) };
        let packed = warehouse().handle(value(confirmed)).unwrap();
        let [packed, picked] = packed.as_slice() else { panic!("{}: {packed:?}", path.display()) };
        let shipped = shipper().handle(value(packed)).unwrap();
        let [shipped] = shipped.as_slice() else { panic!("{}: {shipped:?}", path.display()) };

        let mut messages = notification();
        for told in [picked, shipped] {
            assert_eq!(messages.handle(value(told)), Ok(vec![]));
        }
        assert_eq!(messages.log.0.iter().filter(|(level, ..)| *level == Level::Info).count(), 2);

        for (output, topic) in [
            (confirmed, "order-confirmed"),
            (packed, "order-picked-and-packed"),
            (picked, "notification"),
            (shipped, "notification"),
        ] {
            assert_eq!(output.topic, topic);
            assert_well_formed(output, &event);
        }
    }
}

#[test]
fn every_valid_example_is_accepted_by_the_function_that_reads_it() {
    for (kind, bench) in [
        ("order-confirmed", warehouse as fn() -> Bench),
        ("order-picked-and-packed", shipper),
        ("notification", notification),
    ] {
        for (path, value) in examples(kind, "valid") {
            let outputs = bench().handle(&value).unwrap_or_else(|failure| panic!("{}: {failure:?}", path.display()));
            let event = serde_json::from_str(&value).unwrap();
            for output in &outputs {
                assert_well_formed(output, &event);
            }
        }
    }
}

/// The schemas guard what is published; a function that reads what got there nevertheless must not fall over it.
#[test]
fn no_invalid_example_makes_a_function_panic_or_try_again() {
    for (kind, bench) in [
        ("order-received", inventory as fn() -> Bench),
        ("order-confirmed", warehouse),
        ("order-picked-and-packed", shipper),
        ("notification", notification),
    ] {
        for (path, value) in examples(kind, "invalid") {
            if let Err(Failure::Retry(reason)) = bench().handle(&value) {
                panic!("{}: {reason}", path.display());
            }
        }
    }
}

/// Cut anywhere, an event is no event. With a byte changed it may still be one: all that counts is an answer.
#[test]
fn no_damaged_event_makes_a_function_panic_or_try_again() {
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    let mut roll = |sides: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(dice >> 33).unwrap() % sides
    };
    for (kind, bench) in [
        ("order-received", inventory as fn() -> Bench),
        ("order-confirmed", warehouse),
        ("order-picked-and-packed", shipper),
        ("notification", notification),
    ] {
        for (path, value) in examples(kind, "valid") {
            let value = value.trim_end().as_bytes();
            for _ in 0..200 {
                let cut = &value[..roll(value.len())];
                assert!(matches!(bench().handle(cut), Err(Failure::Reject(_))), "{} {}", path.display(), cut.len());
                let mut changed = value.to_vec();
                changed[roll(value.len())] = u8::try_from(roll(256)).unwrap();
                assert!(!matches!(bench().handle(&changed), Err(Failure::Retry(_))), "{}", path.display());
            }
        }
    }
}

#[test]
fn what_is_published_is_the_same_bytes_each_time() {
    for (_, received) in examples("order-received", "valid") {
        assert_eq!(inventory().handle(&received), inventory().handle(&received));
    }
    for (_, confirmed) in examples("order-confirmed", "valid") {
        assert_eq!(warehouse().handle(&confirmed), warehouse().handle(&confirmed));
    }
}
