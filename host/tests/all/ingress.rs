//! The public listener over real connections, in front of a publisher that does as told.

use std::cell::RefCell;
use std::path::PathBuf;

use fnhost::app::App;
use fnhost::ingress::Options;
use proptest::prelude::*;
use serde_json::Value;

use self::wire::{Answer, BODY_BYTES_MAX, Door, Fate, request, root};

mod limits;
pub(crate) mod wire;

const ROUTE: &str = "POST /orders";

fn example(name: &str) -> String {
    std::fs::read_to_string(root().join("schemas/examples/order").join(name)).unwrap()
}

fn order() -> String {
    example("valid/one-product-without-id.json")
}

fn examples(kind: &str) -> Vec<PathBuf> {
    let dir = root().join("schemas/examples/order").join(kind);
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

/// The only event that was stored.
fn event(door: &Door) -> Value {
    let [record] = <[_; 1]>::try_from(door.stored()).unwrap();
    serde_json::from_slice(&record.value.unwrap()).unwrap()
}

/// `data` of each event that was stored, as it lies on the topic.
fn data(door: &Door) -> Vec<String> {
    let text = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap()).unwrap();
    door.stored().into_iter().map(|r| text(r.value).split_once("\"data\":").unwrap().1.to_owned()).collect()
}

fn status_and_title(answer: &Answer) -> (u16, String) {
    (answer.status, answer.problem()["title"].as_str().unwrap().to_owned())
}

#[test]
fn an_order_is_accepted_when_the_broker_has_it() {
    let door = Door::open();
    let answer = door.post(&order(), "");
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/json");
    let accepted = answer.json();
    let id = accepted["id"].as_str().unwrap();
    assert_eq!(accepted, serde_json::json!({ "id": id, "topic": "order-received", "partition": 3, "offset": 0 }));
    assert_eq!(answer.header("location"), format!("/orders/{id}"));

    let event = event(&door);
    assert_eq!(event["subject"], id);
    assert_eq!(event["data"]["order"]["id"], id);
    assert_eq!(event["time"], "2026-11-21T06:43:01.003Z");
    assert_eq!(door.stored()[0].key.as_deref(), Some(id.as_bytes()));
    door.counted(ROUTE, 202, 1);
}

#[test]
fn every_valid_example_is_accepted_and_no_invalid_one() {
    let door = Door::open();
    for path in examples("valid") {
        let answer = door.post(&std::fs::read_to_string(&path).unwrap(), "");
        assert_eq!(answer.status, 202, "{}: {answer:?}", path.display());
    }
    let stored = door.stored().len();
    for path in examples("invalid") {
        let answer = door.post(&std::fs::read_to_string(&path).unwrap(), "");
        let status = if path.ends_with("not-json.json") { 400 } else { 422 };
        assert_eq!(answer.status, status, "{}: {answer:?}", path.display());
        answer.problem();
    }
    assert_eq!(door.stored().len(), stored);
}

#[test]
fn a_refused_order_names_each_place_that_is_wrong() {
    let door = Door::open();
    let mut order: Value = serde_json::from_str(&order()).unwrap();
    order["products"][0]["quantity"] = Value::from(-1);
    let problem = door.post(&order.to_string(), "").problem();
    assert_eq!(problem["type"], "about:blank");
    assert_eq!(problem["title"], "the order does not fit its schema");
    assert_eq!(problem["errors"][0]["pointer"], "/products/0/quantity");
    assert_eq!(problem["errors"][0]["detail"], "-1 is less than the minimum of 1");
}

#[test]
fn a_request_retried_with_its_key_is_the_same_event() {
    let door = Door::open();
    let respelt = serde_json::to_string(&serde_json::from_str::<Value>(&order()).unwrap()).unwrap();
    let ids: Vec<Value> = [order(), order(), respelt]
        .iter()
        .map(|body| door.post(body, "idempotency-key: \"8e03978e-40d5\"\r\n").json()["id"].clone())
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let stored = door.stored();
    assert!(stored.iter().all(|record| *record == stored[0]));

    let other = door.post(&order(), "idempotency-key: another\r\n").json();
    assert_ne!(other["id"], ids[0]);
}

#[test]
fn numbers_reach_the_topic_digit_by_digit() {
    let door = Door::open();
    let body = order().replace("\"quantity\": 1 ", "\"quantity\": 12345678901234567890123 ");
    assert_eq!(door.post(&body, "").status, 202);
    assert!(data(&door)[0].contains("\"quantity\":12345678901234567890123}"), "{:?}", data(&door));
}

#[test]
fn an_id_of_the_callers_own_wins_over_a_key() {
    let door = Door::open();
    let body = example("valid/id-is-given.json");
    let own: Value = serde_json::from_str(&body).unwrap();
    let answer = door.post(&body, "idempotency-key: k-1\r\n");
    assert_eq!(answer.json()["id"], own["id"]);
    assert_eq!(event(&door)["subject"], own["id"]);
}

#[test]
fn requests_that_are_not_meant_for_a_route_are_refused() {
    let door = Door::open();
    let send = |method, path, headers| {
        let mut client = door.listening.client();
        client.send(request(method, path, headers, &order()));
        client.answer().unwrap()
    };
    for path in ["/", "/order", "/orders/", "/orders/1", "/ORDERS", "//orders", "/orders%20"] {
        assert_eq!(send("POST", path, "").status, 404, "{path}");
    }
    assert_eq!(status_and_title(&send("POST", "/", "")).1, "nothing is served at this path");
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "BREW", "post"] {
        let answer = send(method, "/orders", "");
        assert_eq!((answer.status, answer.header("allow")), (405, "POST"), "{method}");
        answer.problem();
    }
    assert_eq!(send("POST", "/orders?from=here", "").status, 202);
    door.counted("none", 404, 8);
    door.counted("none", 405, 6);
}

#[test]
fn what_is_not_said_to_be_plain_json_is_refused() {
    let door = Door::open();
    for kind in ["text/plain", "application/cloudevents+json", "application/json; charset=latin1", ""] {
        let answer = door.post(&order(), &format!("content-type: {kind}\r\n"));
        assert_eq!(answer.status, 415, "{kind}");
        assert_eq!(answer.header("accept"), "application/json");
        answer.problem();
    }
    assert_eq!(door.post(&order(), "content-encoding: gzip\r\n").header("accept-encoding"), "identity");
    assert_eq!(door.post(&order(), "content-type: application/json; charset=UTF-8\r\n").status, 202);
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    let door = Door::open();
    let answer = door.post("{\"products\": [\n  1,\n]}", "");
    assert_eq!(status_and_title(&answer), (400, "the body is not JSON".to_owned()));
    assert_eq!(answer.problem()["detail"], "trailing comma at line 3 column 1");
    let twice = order().replacen("\"products\"", "\"customer\": {}, \"products\"", 1);
    let problem = door.post(&twice, "").problem();
    assert_eq!((&problem["status"], &problem["errors"][0]["pointer"]), (&Value::from(400), &Value::from("/customer")));
}

#[test]
fn a_key_that_cannot_be_used_is_refused() {
    let door = Door::open();
    for key in ["", "a b", "\"\"", &"k".repeat(256), "a\r\nidempotency-key: b"] {
        let answer = door.post(&order(), &format!("idempotency-key: {key}\r\n"));
        assert_eq!(status_and_title(&answer), (400, "the Idempotency-Key cannot be used".to_owned()), "{key}");
    }
    assert_eq!(door.stored(), []);
}

#[test]
fn what_the_broker_does_not_take_is_never_accepted() {
    let door = Door::open();
    let cases = [(Fate::TooLarge, 413, ""), (Fate::Refused, 500, ""), (Fate::Away, 503, "5"), (Fate::Unknown, 504, "")];
    for (fate, status, retry_after) in cases {
        door.next(fate);
        let answer = door.post(&order(), "");
        assert_eq!((answer.status, answer.header("retry-after")), (status, retry_after));
        answer.problem();
        door.counted(ROUTE, status, 1);
    }
    assert_eq!(door.stored(), []);
}

#[test]
fn a_publisher_that_panics_costs_one_request() {
    let door = Door::open();
    door.next(Fate::Panics);
    assert_eq!(status_and_title(&door.post(&order(), "")).0, 500);
    door.counted(ROUTE, 500, 1);
    assert_eq!(door.post(&order(), "").status, 202);
}

#[test]
fn an_unknown_outcome_tells_how_to_try_again() {
    let door = Door::open();
    door.next(Fate::Unknown);
    let detail = door.post(&order(), "").problem()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("may have been accepted"), "{detail}");
    assert!(detail.contains("send the same request again with the same Idempotency-Key"), "{detail}");
}

#[test]
fn a_broker_that_is_away_is_told_before_the_body_is_read() {
    let door = Door::open();
    door.set_reachable(false);
    let mut client = door.listening.client();
    client.send("POST /orders HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n");
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"));
    door.set_reachable(true);
    client.send("1234567890");
    client.send(request("POST", "/orders", "", &order()));
    assert_eq!(client.answer().unwrap().status, 202);
}

/// Bodies near to an order, and far from one.
fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let order = order();
    let damaged = (0..order.len(), any::<u8>(), 0..4_usize).prop_map(move |(at, byte, cut)| {
        let mut bytes = order.clone().into_bytes();
        bytes.splice(at..(at + cut).min(bytes.len()), [byte]);
        bytes
    });
    let text = "[\\[\\]{}\",:\\\\u0-9a-e .+-]{0,200}".prop_map(String::into_bytes);
    prop_oneof![damaged, text, prop::collection::vec(any::<u8>(), 0..200)]
}

#[test]
fn no_body_makes_the_server_fail() {
    let door = Door::open();
    let client = RefCell::new(door.listening.client());
    proptest!(|(body in any_body())| {
        let head = format!(
            "POST /orders HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len(),
        );
        let mut client = client.borrow_mut();
        client.send([head.as_bytes(), &body].concat());
        let answer = client.answer().unwrap();
        prop_assert!([202, 400, 422].contains(&answer.status), "{:?}", answer);
        if answer.status != 202 {
            answer.problem();
        }
    });
}

#[test]
fn a_body_up_to_the_limit_is_taken_and_none_beyond_it() {
    let door = Door::open();
    let padded = |bytes: usize| format!("{}{}", order(), " ".repeat(bytes - order().len()));
    assert_eq!(door.post(&padded(BODY_BYTES_MAX), "").status, 202);
    let answer = door.post(&padded(BODY_BYTES_MAX + 1), "");
    assert_eq!(status_and_title(&answer), (413, "the body is too large".to_owned()));
    let chunked = |bytes: usize| format!("{:x}\r\n{}\r\n0\r\n\r\n", bytes, padded(bytes));
    let answer = |bytes| door.post(&chunked(bytes), "transfer-encoding: chunked\r\n").status;
    assert_eq!((answer(BODY_BYTES_MAX), answer(BODY_BYTES_MAX + 1)), (202, 413));
}

#[test]
fn defaults_are_these() {
    insta::assert_debug_snapshot!(Options::default(), @r"
    Options {
        server: Limits {
            connections_max: 1024,
            connection_age_max: 600s,
            last_request_timeout: 60s,
            header_read_timeout: 10s,
            header_bytes_max: 16384,
        },
        requests_max: 256,
        body_read_timeout: 10s,
        publish_timeout: 30s,
    }
    ");
}

#[test]
fn routes_that_cannot_be_served_are_refused_with_what_to_change() {
    let refused = |change: &dyn Fn(&mut App)| {
        let mut app = wire::app();
        change(&mut app);
        wire::ingress(&app, Options::default()).err().unwrap().to_string()
    };
    insta::assert_snapshot!(refused(&|app| app.routes[0].body = "ordre".to_owned()), @"route `POST /orders` needs schema `ordre`, which is not in the schemas folder: add `ordre.schema.json`");
    insta::assert_snapshot!(refused(&|app| app.routes[0].topic = "order-recieved".into()), @r#"route `POST /orders` writes to topic `order-recieved`, which app.toml does not declare: add `[topics.order-recieved]`"#);
    insta::assert_snapshot!(refused(&|app| app.routes.push(app.routes[0].clone())), @r#"route `POST /orders` is declared twice: remove one `[[routes]]` table or change its path"#);
    insta::assert_snapshot!(refused(&|app| app.routes[0].method = "P OST".to_owned()), @r#"route `P OST /orders`: `method = "P OST"` cannot be used: it is no HTTP method"#);
    insta::assert_snapshot!(refused(&|app| app.routes[0].path = "orders?a".to_owned()), @r#"route `POST orders?a`: `path = "orders?a"` cannot be used: it must begin with `/` and hold neither query nor blanks"#);
    insta::assert_snapshot!(refused(&|app| app.routes[0].id = "id".to_owned()), @r#"route `POST /orders`: `id = "id"` cannot be used: it must be a JSON Pointer to a member, such as `/id`"#);
}
