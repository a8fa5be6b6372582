//! Orders, and posting them until somebody has taken them.

use serde_json::{Value, json};

use super::hosts::agent;

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
