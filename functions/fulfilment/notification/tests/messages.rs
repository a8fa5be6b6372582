//! What becomes of a notification.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use fnhost_sdk::Level;
use fnhost_sdk::prelude::*;
use fnhost_sdk::testing::Bench;
use serde_json::{Value, json};

fn event(event_id: &str, data: Value) -> String {
    json!({
        "specversion": "1.0", "id": event_id, "source": "/fulfilment/warehouse", "type": "ppe4peeps.notification",
        "subject": "o-1", "time": "2026-11-21T06:43:01.003Z", "datacontenttype": "application/json", "data": data,
    })
    .to_string()
}

fn data(stage: &str) -> Value {
    let mut data = json!({
        "order": {
            "id": "o-1",
            "products": [{"productCode": "P-1001", "quantity": 1}],
            "customer": {
                "firstName": "Ada", "lastName": "Okafor", "emailAddress": "ada.okafor@example.com",
                "shippingAddress":
                    {"line1": "1500 Harbor Way", "city": "Oakland", "state": "CA", "postalCode": "94607"},
            },
        },
        "stage": stage, "recipient": "ada.okafor@example.com", "subject": "Order o-1", "body": "Hello Ada,\n…\n",
    });
    if stage == "shipped" {
        data["carrierReference"] = "PPE-1".into();
    }
    data
}

fn bench() -> Bench {
    Bench::new(notification::invoke, [])
}

fn reason(data: Value) -> String {
    let mut bench = bench();
    match bench.handle(event("e-1", data)) {
        Err(Failure::Reject(reason)) => {
            assert!(bench.state.is_empty() && bench.log.0.is_empty(), "nothing was sent");
            reason
        }
        other => panic!("expected a rejection, got {other:?}"),
    }
}

fn told(bench: &Bench) -> Vec<&str> {
    let lines = bench.log.0.iter().filter(|(level, ..)| *level == Level::Info);
    lines.map(|(_, _, message)| message.as_str()).collect()
}

#[test]
fn a_message_is_sent_once_a_stage() {
    let mut bench = bench();
    for (event_id, stage) in
        [("e-1", "picked"), ("e-1", "picked"), ("e-2", "picked"), ("e-3", "shipped"), ("e-4", "shipped")]
    {
        assert_eq!(bench.handle(event(event_id, data(stage))), Ok(vec![]));
    }
    assert_eq!(told(&bench), ["order o-1 is picked: customer told", "order o-1 is shipped: customer told"]);
}

#[test]
fn what_is_logged_above_debug_names_no_person() {
    let mut bench = bench();
    bench.handle(event("e-1", data("shipped"))).unwrap();
    for (level, part, message) in &bench.log.0 {
        let personal =
            ["Ada", "Okafor", "@", "Harbor"].iter().any(|word| message.contains(word) || part.contains(word));
        assert!(!personal || *level == Level::Debug, "{level:?} {message}");
    }
    let (_, _, debug) = bench.log.0.iter().find(|(level, ..)| *level == Level::Debug).unwrap();
    assert_eq!(debug, "to ada.okafor@example.com: Order o-1\nHello Ada,\n…\n\nCarrier reference: PPE-1\n");
}

#[test]
fn a_notification_that_is_no_message_is_rejected_with_what_is_wrong() {
    let with = |stage: &str, field: &str, value: Value| {
        let mut data = data(stage);
        data[field] = value;
        reason(data)
    };
    let prefix = "the event is not the CloudEvent expected here: ";
    assert_eq!(with("picked", "carrierReference", json!("PPE-1")), "a picked order has no `carrierReference` yet");
    assert_eq!(with("shipped", "carrierReference", Value::Null), "a shipped order needs a `carrierReference`");
    assert_eq!(with("shipped", "carrierReference", json!("")), "`carrierReference` is empty");
    assert_eq!(
        with("shipped", "carrierReference", json!("x".repeat(65))),
        "`carrierReference` has more than 64 characters"
    );
    assert_eq!(
        with("picked", "stage", json!("lost")),
        format!("{prefix}data.stage: unknown variant `lost`, expected `picked` or `shipped`")
    );
    assert_eq!(with("picked", "recipient", json!("")), "`recipient` is empty");
    assert_eq!(
        with("picked", "recipient", json!("a@example.com\r\nBcc: b@example.com")),
        "`recipient` is not one line of text"
    );
    assert_eq!(with("picked", "subject", json!("Order\nBcc: b@example.com")), "`subject` is not one line of text");
    assert_eq!(with("picked", "subject", json!("é".repeat(201))), "`subject` has more than 200 characters");
    assert_eq!(with("picked", "body", json!("")), "`body` is empty");
    assert_eq!(with("picked", "body", json!("é".repeat(10_001))), "`body` has more than 10000 characters");
    assert_eq!(
        with("picked", "order", json!(7)),
        format!("{prefix}data.order: invalid type: integer `7`, expected an order")
    );
}

#[test]
fn texts_at_their_limits_are_sent() {
    let mut data = data("picked");
    data["subject"] = "é".repeat(200).into();
    data["body"] = "é".repeat(10_000).into();
    let mut bench = bench();
    assert_eq!(bench.handle(event("e-1", data)), Ok(vec![]));
    assert_eq!(told(&bench).len(), 1);
}
