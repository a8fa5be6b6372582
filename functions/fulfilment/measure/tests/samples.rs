//! Which events are samples of what.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use fnhost_sdk::prelude::*;
use fnhost_sdk::testing::Bench;
use fnhost_sdk::{Level, RawEvent};
use serde_json::{Value, json};

/// 2026-11-21T06:43:01.028Z, when the record of an event was written.
const WRITTEN_MS: u64 = 1_795_243_381_028;

fn bench() -> Bench {
    Bench::new(measure::invoke, [])
}

fn record(value: impl Into<Vec<u8>>) -> RawEvent {
    let topic = "notification".to_owned();
    RawEvent { topic, timestamp: Some(WRITTEN_MS), key: None, value: Some(value.into()), headers: vec![] }
}

fn notified(stage: &str, ordered_at: Option<&str>) -> String {
    let mut event = json!({
        "specversion": "1.0", "id": "e-1", "source": "/fulfilment/shipper", "type": "ppe4peeps.notification",
        "subject": "o-1", "time": "2026-11-21T06:43:01.003Z", "datacontenttype": "application/json",
        "data": {"order": {}, "stage": stage, "recipient": "", "subject": "", "body": "", "carrierReference": "PPE-1"},
    });
    if let Some(ordered_at) = ordered_at {
        event["data"]["orderedAt"] = ordered_at.into();
    }
    event.to_string()
}

/// The examples of a schema, as text, beside their file.
fn examples(kind: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../schemas/examples").join(kind);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{}", folder.display());
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The only output, which is a sample.
fn sample(outputs: &[Output]) -> Value {
    let [output] = outputs else { panic!("expected a sample, got {outputs:?}") };
    assert_eq!(output.topic, "kpi-sample");
    let event: Value = serde_json::from_slice(output.value.as_deref().unwrap()).unwrap();
    assert_eq!(event["type"], "ppe4peeps.kpi-sample");
    assert_eq!(event["subject"], event["data"]["kpi"]);
    assert_eq!(event["subject"].as_str().map(str::as_bytes), output.key.as_deref());
    event
}

fn of(value: &str) -> Value {
    sample(&bench().handle_raw(&record(value)).unwrap())
}

#[test]
fn an_order_took_from_when_it_came_in_until_its_notification_was_written() {
    let event = of(&notified("shipped", Some("2026-11-21T06:43:01.003Z")));
    assert_eq!(event["time"], "2026-11-21T06:43:01.028Z");
    assert_eq!(event["data"], json!({"kpi": "order-to-shipped", "order": "o-1", "ms": 25}));
    assert_eq!(event["source"], "/fulfilment/measure");

    let elsewhere = of(&notified("shipped", Some("2026-11-21T08:42:01.003+02:00")));
    assert_eq!(elsewhere["data"]["ms"], 60_025);
}

#[test]
fn clocks_that_disagree_give_no_time_below_0() {
    assert_eq!(of(&notified("shipped", Some("2026-11-21T07:00:00Z")))["data"]["ms"], 0);
}

#[test]
fn an_order_that_was_only_picked_is_no_sample() {
    let value = notified("picked", Some("2026-11-21T06:43:01.003Z"));
    assert_eq!(bench().handle_raw(&record(value)), Ok(vec![]));
}

#[test]
fn an_order_of_which_nobody_knows_when_it_came_in_is_not_measured_and_that_is_said() {
    let without_timestamp = RawEvent { timestamp: None, ..record(notified("shipped", Some("2026-11-21T06:43:01Z"))) };
    for event in [record(notified("shipped", None)), without_timestamp] {
        let mut bench = bench();
        assert_eq!(bench.handle_raw(&event), Ok(vec![]));
        let [(Level::Info, _, line)] = bench.log.0.as_slice() else { panic!("{:?}", bench.log) };
        assert!(line.starts_with("order o-1 is not measured"), "{line}");
    }
}

#[test]
fn a_time_that_is_none_is_rejected() {
    let outcome = bench().handle_raw(&record(notified("shipped", Some("noon"))));
    assert_eq!(outcome, Err(Failure::reject("`data.orderedAt` is `noon`, and no time of RFC 3339 since 1970")));
}

#[test]
fn every_error_event_of_inventory_is_a_sample_and_no_other_is_one() {
    let mut counted = 0;
    for (path, value) in examples("error/valid") {
        let error: Value = serde_json::from_str(&value).unwrap();
        let outputs = bench().handle_raw(&record(value)).unwrap_or_else(|why| panic!("{}: {why:?}", path.display()));
        if error["data"]["function"] != "inventory" {
            assert_eq!(outputs, [], "{}", path.display());
            continue;
        }
        counted += 1;
        let event = sample(&outputs);
        assert_eq!(event["time"], error["time"]);
        let mut expected = json!({"kpi": "inventory-errors"});
        if let Some(order) = error.get("subject") {
            expected["order"] = order.clone();
        }
        assert_eq!(event["data"], expected, "{}", path.display());
    }
    assert!(counted >= 2, "{counted} examples of inventory");
}

#[test]
fn an_event_of_another_type_is_rejected_by_name() {
    let value = notified("shipped", None).replace("ppe4peeps.notification", "ppe4peeps.order-received");
    let reason =
        "the event is of type `ppe4peeps.order-received`, and `fnhost.error` or `ppe4peeps.notification` belongs here";
    assert_eq!(bench().handle_raw(&record(value)), Err(Failure::reject(reason)));
}

#[test]
fn no_example_makes_it_panic_or_try_again_and_all_give_the_same_bytes_each_time() {
    for kind in ["error/valid", "error/invalid", "notification/valid", "notification/invalid"] {
        for (path, value) in examples(kind) {
            let outcome = bench().handle_raw(&record(value.clone()));
            assert!(!matches!(outcome, Err(Failure::Retry(_))), "{}: {outcome:?}", path.display());
            assert_eq!(bench().handle_raw(&record(value)), outcome);
        }
    }
}
