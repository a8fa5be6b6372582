//! What becomes of an order that comes in.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use fnhost_sdk::prelude::*;
use fnhost_sdk::testing::Bench;
use serde_json::{Value, json};

fn bench() -> Bench {
    Bench::new(inventory::invoke, [("products", "P-1001 P-1002  P-1010"), ("max-quantity", "100")])
}

fn order(id: &str, products: Value) -> Value {
    json!({
        "id": id,
        "products": products,
        "customer": {
            "firstName": "Ada", "lastName": "Okafor", "emailAddress": "ada.okafor@example.com",
            "shippingAddress": {"line1": "1500 Harbor Way", "city": "Oakland", "state": "CA", "postalCode": "94607"},
        },
    })
}

fn one_mask(id: &str) -> Value {
    order(id, json!([{"productCode": "P-1001", "quantity": 1}]))
}

fn received(event_id: &str, subject: &str, order: &Value) -> String {
    json!({
        "specversion": "1.0", "id": event_id, "source": "/fulfilment/orders", "type": "ppe4peeps.order-received",
        "subject": subject, "time": "2026-11-21T06:43:01.003Z", "datacontenttype": "application/json",
        "data": {"order": order},
    })
    .to_string()
}

fn reason(outcome: Outcome) -> String {
    match outcome {
        Err(Failure::Reject(reason)) => reason,
        other => panic!("expected a rejection, got {other:?}"),
    }
}

/// Why an order with these products is rejected; and it leaves nothing behind.
fn reason_for(products: Value) -> String {
    let mut bench = bench();
    let reason = reason(bench.handle(received("e-1", "o-1", &order("o-1", products))));
    assert!(bench.state.is_empty(), "a rejected order leaves nothing behind");
    reason
}

#[test]
fn an_order_that_can_be_filled_is_confirmed_as_it_was_placed() {
    let order = one_mask("o-1");
    let outputs = bench().handle(received("e-1", "o-1", &order)).unwrap();
    assert_eq!(outputs.len(), 1);
    assert_eq!(outputs[0].topic, "order-confirmed");
    assert_eq!(outputs[0].key.as_deref(), Some(b"o-1".as_slice()));
    let event: Value = serde_json::from_slice(outputs[0].value.as_deref().unwrap()).unwrap();
    assert_eq!(
        event,
        json!({
            "specversion": "1.0", "id": event["id"], "source": "/fulfilment/inventory",
            "type": "ppe4peeps.order-confirmed", "subject": "o-1", "time": "2026-11-21T06:43:01.003Z",
            "datacontenttype": "application/json", "data": {"order": order, "orderedAt": "2026-11-21T06:43:01.003Z"},
        })
    );
}

#[test]
fn an_order_came_in_when_its_event_says_and_nobody_knows_when_it_says_nothing() {
    let time = r#""time":"2026-11-21T06:43:01.003Z""#;
    let value = received("e-1", "o-1", &one_mask("o-1"));
    assert!(value.contains(time));
    let data = |value: String| {
        let outputs = bench().handle(value).unwrap();
        let event: Value = serde_json::from_slice(outputs[0].value.as_deref().unwrap()).unwrap();
        event["data"]["orderedAt"].clone()
    };
    assert_eq!(data(value.replace(time, r#""time":"2026-11-21T08:43:01+02:00""#)), "2026-11-21T08:43:01+02:00");
    assert_eq!(data(value.replace(&format!(",{time}"), "")), Value::Null);
    // Whoever writes an order says nothing about when it came in.
    let order = r#""data":{"#;
    assert!(value.contains(order));
    let told = value.replace(order, r#""data":{"orderedAt":"1999-01-01T00:00:00Z","#);
    assert_eq!(data(told.clone()), "2026-11-21T06:43:01.003Z");
    assert_eq!(data(told.replace(&format!(",{time}"), "")), Value::Null);
}

#[test]
fn the_same_order_again_has_no_second_effect() {
    let mut bench = bench();
    assert_eq!(bench.handle(received("e-1", "o-1", &one_mask("o-1"))).unwrap().len(), 1);
    let state = bench.state.clone();
    assert_eq!(bench.handle(received("e-1", "o-1", &one_mask("o-1"))), Ok(vec![]), "the event again");
    assert_eq!(bench.handle(received("e-2", "o-1", &one_mask("o-1"))), Ok(vec![]), "the order in another event");
    assert_eq!(bench.state, state);
}

#[test]
fn another_order_under_the_same_id_is_rejected_and_the_first_one_stands() {
    let mut bench = bench();
    bench.handle(received("e-1", "o-1", &one_mask("o-1"))).unwrap();
    let other = order("o-1", json!([{"productCode": "P-1001", "quantity": 2}]));
    assert_eq!(
        reason(bench.handle(received("e-2", "o-1", &other))),
        "order o-1 was already taken in with other content"
    );
    assert_eq!(bench.handle(received("e-3", "o-1", &one_mask("o-1"))), Ok(vec![]));
}

#[test]
fn an_order_that_was_taken_in_stays_so_when_the_catalogue_shrinks() {
    let mut bench = bench();
    bench.handle(received("e-1", "o-1", &one_mask("o-1"))).unwrap();
    bench.config = [("products", "P-1002"), ("max-quantity", "100")].into();
    assert_eq!(bench.handle(received("e-2", "o-1", &one_mask("o-1"))), Ok(vec![]));
}

#[test]
fn an_order_that_cannot_be_filled_is_rejected_with_its_line() {
    let line = |code: &str, quantity: i64| json!({"productCode": code, "quantity": quantity});
    let cases = [
        (
            json!([line("P-1001", 1), line("P-1002", 1), line("P-9999", 1)]),
            "product P-9999 is not in the catalogue (products[2])",
        ),
        (json!([line("P-1001 P-1002", 1)]), "product P-1001 P-1002 is not in the catalogue (products[0])"),
        (json!([line("", 1)]), "product  is not in the catalogue (products[0])"),
        (json!([line("P-1001", 0)]), "product P-1001 is ordered 0 times, and 1 is the least (products[0])"),
        (
            json!([line("P-1001", i64::MIN)]),
            "product P-1001 is ordered -9223372036854775808 times, and 1 is the least (products[0])",
        ),
        (
            json!([line("P-1001", 100), line("P-1010", 101)]),
            "product P-1010 is ordered 101 times, and 100 is the most a line can have (products[1])",
        ),
        (json!([]), "the order has no products"),
    ];
    for (products, expected) in cases {
        assert_eq!(reason_for(products), expected);
    }
}

#[test]
fn a_quantity_that_is_no_number_we_can_hold_is_rejected_with_its_place() {
    let cases = [
        ("9223372036854775808", "integer `9223372036854775808`, expected a quantity of at most 64 bits"),
        ("-9223372036854775809", "floating point `-9.223372036854776e+18`, expected a quantity of at most 64 bits"),
        ("1e300", "floating point `1e+300`, expected a quantity of at most 64 bits"),
        ("1e400", "number out of range"),
        ("1.5", "invalid type: floating point `1.5`, expected a whole number"),
        ("\"1\"", "invalid type: string \"1\", expected a whole number"),
        ("null", "invalid type: null, expected a whole number"),
    ];
    let good = received("e-1", "o-1", &one_mask("o-1"));
    for (quantity, expected) in cases {
        let bad = good.replace("\"quantity\":1", &format!("\"quantity\":{quantity}"));
        assert_ne!(bad, good);
        let reason = reason(bench().handle(bad));
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn a_whole_number_counts_however_it_is_written() {
    let good = received("e-1", "o-1", &one_mask("o-1"));
    for quantity in ["2.0", "2e0", "100"] {
        assert_eq!(
            bench().handle(good.replace("\"quantity\":1", &format!("\"quantity\":{quantity}"))).unwrap().len(),
            1
        );
    }
}

#[test]
fn an_event_about_another_order_is_rejected() {
    assert_eq!(
        reason(bench().handle(received("e-1", "o-2", &one_mask("o-1")))),
        "the event is about `o-2`, but it carries order `o-1`"
    );
}

#[test]
fn an_event_of_another_type_is_rejected() {
    let received = received("e-1", "o-1", &one_mask("o-1"));
    assert_eq!(
        reason(bench().handle(received.replace("order-received", "order-cancelled"))),
        "the event is of type `ppe4peeps.order-cancelled`, and `ppe4peeps.order-received` belongs here"
    );
}

#[test]
fn an_id_that_is_none_is_rejected() {
    for id in ["o 1", "o/1", "ö", &"x".repeat(65)] {
        assert_eq!(
            reason(bench().handle(received("e-1", id, &one_mask(id)))),
            "the order's id is not 1 to 64 characters out of letters, digits and . _ : -"
        );
    }
    let longest = "x".repeat(64);
    assert_eq!(bench().handle(received("e-1", &longest, &one_mask(&longest))).unwrap().len(), 1);
}

#[test]
fn a_wrong_configuration_does_not_cost_the_order() {
    let handle = |config: [(&str, &str); 2]| {
        let mut bench = bench();
        bench.config = config.into();
        let outcome = bench.handle(received("e-1", "o-1", &one_mask("o-1")));
        assert!(bench.state.is_empty());
        outcome
    };
    assert_eq!(
        handle([("products", "P-1001"), ("max-quantity", "a hundred")]),
        Err(Failure::Retry("config key `max-quantity` is `a hundred`: invalid digit found in string".into()))
    );
    assert_eq!(
        handle([("product", "P-1001"), ("max-quantity", "100")]),
        Err(Failure::Retry("config key `products` is not set".into()))
    );
}

#[test]
fn state_holds_nothing_that_the_customer_wrote() {
    let order = r#"{"id":"o-1","products":[{"productCode":"P-1001","quantity":1}],"customer":{"firstName":"Ada","lastName":"Okafor","emailAddress":"ada.okafor@example.com","shippingAddress":{"line1":"1500 Harbor Way","city":"Oakland","state":"CA","postalCode":"94607"}}}"#;
    let mut bench = bench();
    bench.handle(received("e-1", "o-1", &json!("ORDER")).replace("\"ORDER\"", order)).unwrap();
    let pairs = bench.state.scan(b"", None, 10);
    assert_eq!(pairs.len(), 1);
    assert_eq!(pairs[0].0, b"o-1");
    // Frozen: an order that was taken in must still be known after an update.
    let hex: String = pairs[0].1.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "01cd0214dbf0b2540e5d2338b9854a22cf");
}
