//! What becomes of a packed order.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use fnhost_sdk::prelude::*;
use fnhost_sdk::testing::Bench;
use serde_json::{Value, json};

fn packed(event_id: &str, order_id: &str) -> String {
    json!({
        "specversion": "1.0", "id": event_id, "source": "/fulfilment/warehouse",
        "type": "ppe4peeps.order-picked-and-packed", "subject": order_id, "time": "2026-11-21T06:43:01.003Z",
        "datacontenttype": "application/json",
        "data": {"order": {
            "id": order_id,
            "products": [{"productCode": "P-1001", "quantity": 1}],
            "customer": {
                "firstName": "Ada", "lastName": "Okafor", "emailAddress": "ada.okafor@example.com",
                "shippingAddress":
                    {"line1": "1500 Harbor Way", "city": "Oakland", "state": "CA", "postalCode": "94607"},
            },
        }},
    })
    .to_string()
}

fn bench() -> Bench {
    Bench::new(shipper::invoke, [])
}

fn shipped(event_id: &str, order_id: &str) -> Value {
    let outputs = bench().handle(packed(event_id, order_id)).unwrap();
    assert_eq!(outputs.len(), 1);
    assert_eq!(outputs[0].topic, "notification");
    serde_json::from_slice(outputs[0].value.as_deref().unwrap()).unwrap()
}

#[test]
fn a_packed_order_is_handed_over_and_the_customer_is_told() {
    let event = shipped("e-1", "o-1");
    let order: Value = serde_json::from_str::<Value>(&packed("e-1", "o-1")).unwrap()["data"]["order"].take();
    assert_eq!(event["type"], "ppe4peeps.notification");
    assert_eq!(event["source"], "/fulfilment/shipper");
    assert_eq!(
        event["data"],
        json!({
            "order": order,
            "stage": "shipped",
            "recipient": "ada.okafor@example.com",
            "subject": "Order o-1 is on its way",
            "body": "Hello Ada,\n\nyour order o-1 is on its way.\n\n\
                     Thank you for ordering from PPE 4 Peeps.\n",
            "carrierReference": "PPE-52YTBDSCHBA5DSB0YSYK0VM665",
        })
    );
}

#[test]
fn a_parcel_has_one_reference_and_no_two_parcels_share_one() {
    let reference = |event_id: &str, order_id: &str| shipped(event_id, order_id)["data"]["carrierReference"].clone();
    assert_eq!(reference("e-1", "o-1"), reference("e-2", "o-1"));
    assert_ne!(reference("e-1", "o-1"), reference("e-1", "o-2"));
}

#[test]
fn the_same_order_again_is_not_handed_over_again() {
    let mut bench = bench();
    assert_eq!(bench.handle(packed("e-1", "o-1")).unwrap().len(), 1);
    assert_eq!(bench.handle(packed("e-1", "o-1")), Ok(vec![]));
    assert_eq!(bench.handle(packed("e-2", "o-1")), Ok(vec![]));
    assert_eq!(bench.handle(packed("e-3", "o-2")).unwrap().len(), 1);
}

#[test]
fn an_event_about_another_order_is_rejected() {
    let value = packed("e-1", "o-1").replace("\"subject\":\"o-1\"", "\"subject\":\"o-2\"");
    assert_eq!(
        bench().handle(value),
        Err(Failure::Reject("the event is about `o-2`, but it carries order `o-1`".into()))
    );
}
