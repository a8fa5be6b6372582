//! What becomes of a confirmed order.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use fnhost_sdk::prelude::*;
use fnhost_sdk::testing::Bench;
use serde_json::{Value, json};

fn order(products: Value) -> Value {
    json!({
        "id": "o-1",
        "products": products,
        "customer": {
            "firstName": "Ada", "lastName": "Okafor", "emailAddress": "ada.okafor@example.com",
            "shippingAddress": {"line1": "1500 Harbor Way", "city": "Oakland", "state": "CA", "postalCode": "94607"},
        },
    })
}

fn confirmed(event_id: &str, order: &Value) -> String {
    json!({
        "specversion": "1.0", "id": event_id, "source": "/fulfilment/inventory", "type": "ppe4peeps.order-confirmed",
        "subject": "o-1", "time": "2026-11-21T06:43:01.003Z", "datacontenttype": "application/json",
        "data": {"order": order},
    })
    .to_string()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(output.value.as_deref().unwrap()).unwrap()
}

fn bench() -> Bench {
    Bench::new(warehouse::invoke, [])
}

#[test]
fn a_confirmed_order_is_packed_and_the_customer_is_told() {
    let order = order(json!([{"productCode": "P-1001", "quantity": 1}, {"productCode": "P-1002", "quantity": 20}]));
    let outputs = bench().handle(confirmed("e-1", &order)).unwrap();
    let topics: Vec<_> = outputs.iter().map(|output| output.topic.as_str()).collect();
    assert_eq!(topics, ["order-picked-and-packed", "notification"]);

    let packed = document(&outputs[0]);
    assert_eq!(packed["type"], "ppe4peeps.order-picked-and-packed");
    assert_eq!(packed["data"], json!({"order": order}));

    let notification = document(&outputs[1]);
    assert_eq!(notification["type"], "ppe4peeps.notification");
    assert_eq!(
        notification["data"],
        json!({
            "order": order,
            "stage": "picked",
            "recipient": "ada.okafor@example.com",
            "subject": "Order o-1 is packed",
            "body": "Hello Ada,\n\nyour order o-1 is picked and packed:\n\n  1 x P-1001\n  20 x P-1002\n\n\
                     We tell you when it is on its way.\n",
        })
    );
    for event in [&packed, &notification] {
        assert_eq!(event["source"], "/fulfilment/warehouse");
        assert_eq!(event["subject"], "o-1");
        assert_eq!(event["time"], "2026-11-21T06:43:01.003Z");
    }
    assert_ne!(packed["id"], notification["id"]);
}

#[test]
fn the_same_order_again_is_not_packed_again() {
    let order = order(json!([{"productCode": "P-1001", "quantity": 1}]));
    let mut bench = bench();
    assert_eq!(bench.handle(confirmed("e-1", &order)).unwrap().len(), 2);
    assert_eq!(bench.handle(confirmed("e-1", &order)), Ok(vec![]));
    assert_eq!(bench.handle(confirmed("e-2", &order)), Ok(vec![]));
    assert_eq!(bench.state.len(), 1);
}

#[test]
fn the_longest_order_gives_a_message_of_readable_length() {
    let line = json!({"productCode": "P".repeat(64), "quantity": i64::MAX});
    let mut order = order(json!(vec![line; 100]));
    order["customer"]["firstName"] = "\u{30d1}".repeat(100).into();
    let outputs = bench().handle(confirmed("e-1", &order)).unwrap();
    let body = document(&outputs[1])["data"]["body"].as_str().unwrap().to_owned();
    assert!(body.contains("  and 80 more\n"), "{body}");
    assert!(body.chars().count() < order::BODY_CHARS_MAX);
}

#[test]
fn an_event_about_another_order_is_rejected() {
    let value = confirmed("e-1", &order(json!([]))).replace("\"subject\":\"o-1\"", "\"subject\":\"o-2\"");
    assert_eq!(
        bench().handle(value),
        Err(Failure::Reject("the event is about `o-2`, but it carries order `o-1`".into()))
    );
}
