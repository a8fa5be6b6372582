//! What becomes of a greeting.

use fnhost_sdk::prelude::*;
use fnhost_sdk::testing::Bench;
use serde_json::{Value, json};

fn greeting(id: &str, name: &str) -> String {
    json!({
        "specversion": "1.0", "id": format!("event-of-{id}"), "source": "/{{app}}/ingress",
        "type": "{{app}}.greeting", "subject": id, "time": "2026-01-01T12:00:00Z",
        "datacontenttype": "application/json",
        "data": { "greeting": { "id": id, "name": name } },
    })
    .to_string()
}

fn bench() -> Bench {
    Bench::new(greeter::invoke, [("salutation", "Hello")])
}

#[test]
fn a_greeting_is_answered() {
    let outputs = bench().handle(greeting("g-1", "Ada")).unwrap();
    assert_eq!(outputs.len(), 1);
    assert_eq!(outputs[0].topic, "greeted");
    let event: Value = serde_json::from_slice(outputs[0].value.as_deref().unwrap()).unwrap();
    assert_eq!(event["subject"], "g-1");
    assert_eq!(event["data"], json!({ "message": "Hello, Ada!" }));
}

#[test]
fn the_same_greeting_again_is_not_answered_again() {
    let mut bench = bench();
    assert_eq!(bench.handle(greeting("g-1", "Ada")).unwrap().len(), 1);
    assert_eq!(bench.handle(greeting("g-1", "Ada")), Ok(vec![]));
    assert_eq!(bench.handle(greeting("g-2", "Ada")).unwrap().len(), 1);
}

#[test]
fn a_greeting_to_nobody_is_rejected() {
    let outcome = bench().handle(greeting("g-1", " "));
    assert_eq!(outcome, Err(Failure::Reject("there is nobody to greet".to_owned())));
}
