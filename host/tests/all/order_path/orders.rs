//! Orders, posting them until somebody has taken them, and what became of them.

use std::collections::BTreeMap;

use fnhost::event::Event;
use serde_json::{Value, json};

use super::hosts::agent;
use super::world::World;
use crate::kafka::Isolation;

/// An order that can be filled.
pub(crate) fn order(number: usize) -> Value {
    json!({
        "products": [{ "productCode": format!("P-10{:02}", number % 10 + 1), "quantity": number % 5 + 1 }],
        "customer": {
            "firstName": "Ada",
            "lastName": format!("Lovelace {number}"),
            "emailAddress": format!("ada.{number}@example.com"),
            "shippingAddress": { "line1": "1 Analytical Way", "city": "London", "state": "LDN", "postalCode": "N1" },
        },
    })
}

/// An order that inventory must reject.
pub(crate) fn bad_order(number: usize) -> Value {
    let mut order = order(number);
    order["products"][0]["productCode"] = "P-9999".into();
    order
}

/// The event of an order, as a host would write it to `order-received`.
pub(crate) fn order_event(id: &str) -> Value {
    let mut order = order(3);
    order["id"] = id.into();
    json!({
        "specversion": "1.0", "id": format!("by-hand-{id}"), "source": "/by-hand", "type": "ppe4peeps.order-received",
        "subject": id, "time": "2026-01-02T03:04:05Z", "datacontenttype": "application/json",
        "data": { "order": order },
    })
}

impl World {
    /// How often each order was shipped, by the notifications that customers would get.
    pub(crate) fn shipped(&self) -> BTreeMap<String, usize> {
        count_shipped(&self.kafka().read(&["notification"], Isolation::Committed))
    }

    /// Waits until each of these orders was shipped.
    pub(crate) fn await_shipped(&self, ids: &[String]) {
        let all = |events: &[Event]| {
            let counts = count_shipped(events);
            ids.iter().all(|id| counts.contains_key(id))
        };
        let what = format!("{} orders are shipped", ids.len());
        self.kafka().read_until(&what, &["notification"], Isolation::Committed, all);
    }
}

fn count_shipped(notifications: &[Event]) -> BTreeMap<String, usize> {
    let shipped = notifications.iter().map(json_of).filter(|json| json["data"]["stage"] == "shipped");
    shipped.fold(BTreeMap::new(), |mut counts, json| {
        *counts.entry(json["subject"].as_str().unwrap().to_owned()).or_default() += 1;
        counts
    })
}

/// An event's value, which is JSON.
pub(crate) fn json_of(event: &Event) -> Value {
    serde_json::from_slice(event.value.as_deref().unwrap()).unwrap()
}

/// Status and body of one POST to `/orders`. 0 when nobody answered.
pub(crate) fn post(agent: &ureq::Agent, host: &str, key: Option<&str>, body: &[u8]) -> (u16, String) {
    let mut request = agent.post(format!("http://{host}/orders")).header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    match request.send(body) {
        Ok(mut answer) => (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap_or_default()),
        Err(_) => (0, String::new()),
    }
}

/// Posts one order and gives its id.
pub(crate) fn place(host: &str, order: &Value) -> String {
    let (status, body) = post(&agent(), host, None, order.to_string().as_bytes());
    assert_eq!(status, 202, "{body}");
    id_of(&body)
}

/// Posts an order to one host after the other until one has taken it. With a key that is safe, whatever became of the
/// attempts before. Gives the order's id.
pub(crate) fn place_surely(agent: &ureq::Agent, hosts: &[String], key: &str, order: &Value) -> String {
    let body = order.to_string();
    for attempt in 0..100_000 {
        let host = &hosts[attempt % hosts.len()];
        match post(agent, host, Some(key), body.as_bytes()) {
            (202, answer) => return id_of(&answer),
            (0 | 503 | 504, _) => std::thread::yield_now(),
            (status, answer) => panic!("{key} was answered {status}: {answer}"),
        }
    }
    panic!("nobody took {key}");
}

fn id_of(answer: &str) -> String {
    let answer: Value = serde_json::from_str(answer).unwrap();
    answer["id"].as_str().unwrap().to_owned()
}
