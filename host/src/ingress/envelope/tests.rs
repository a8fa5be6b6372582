use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::app::schemas::Schemas;
use crate::app::{App, Route, TopicSpec};

const BODY: &str = r#"{ "products": [{ "quantity": 1, "productCode": "P-1001" }] , "note": 1.50 }"#;

/// A route `POST /orders` with these schemas for body and event, and its id at `id`.
fn target(body: &Value, event: Option<&Value>, id: &str) -> Target {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, schema: &Value| {
        std::fs::write(dir.path().join(format!("{name}.schema.json")), schema.to_string()).unwrap();
    };
    write("body", body);
    event.iter().for_each(|schema| write("event", schema));
    let topic = TopicSpec {
        partitions: 6,
        replication: None,
        retention: Duration::from_secs(1),
        message_bytes_max: 1_048_588,
        schema: event.map(|_| "event".to_owned()),
        validate: true,
    };
    let route = Route {
        method: "POST".to_owned(),
        path: "/orders".to_owned(),
        body: "body".to_owned(),
        topic: "order-received".into(),
        event_type: "ppe4peeps.order-received".to_owned(),
        member: "order".to_owned(),
        id: id.to_owned(),
        body_bytes_max: 1024,
    };
    let app = App {
        name: "fulfilment".to_owned(),
        root: dir.path().to_owned(),
        topics: BTreeMap::from([(Arc::from("order-received"), topic)]),
        routes: vec![route.clone()],
        schedules: Vec::new(),
        functions: vec![],
        workers: BTreeMap::new(),
    };
    Target::new(&app, &Schemas::load(dir.path()).unwrap(), &route).unwrap()
}

fn schema(id: &str, rest: &Value) -> Value {
    let mut schema = serde_json::json!({ "$id": format!("fnhost:/schemas/{id}.schema.json") });
    schema.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    schema
}

fn open() -> Value {
    schema("body", &serde_json::json!({}))
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_795_243_381_003)
}

fn event(target: &Target, key: Option<&str>, body: &str) -> String {
    String::from_utf8(compose(target, key, body.as_bytes(), now()).unwrap().record.value.unwrap()).unwrap()
}

fn problem(target: &Target, body: &str) -> Value {
    serde_json::to_value(compose(target, None, body.as_bytes(), now()).unwrap_err()).unwrap()
}

#[test]
fn a_body_becomes_a_cloud_event_keyed_by_its_id() {
    let composed = compose(&target(&open(), None, "/id"), Some("k-1"), BODY.as_bytes(), now()).unwrap();
    insta::assert_snapshot!(String::from_utf8(composed.record.value.unwrap()).unwrap(), @r#"{"specversion":"1.0","id":"53b98d2b-0aad-53c7-8324-b8f347f48969","source":"/fulfilment/ingress","type":"ppe4peeps.order-received","subject":"9f42ff46-3cf0-559d-868d-24867f5813f4","time":"2026-11-21T06:43:01.003Z","datacontenttype":"application/json","data":{"order":{"id":"9f42ff46-3cf0-559d-868d-24867f5813f4","note":1.50,"products":[{"productCode":"P-1001","quantity":1}]}}}"#);
    assert_eq!(composed.record.key.as_deref(), Some(composed.id.as_bytes()));
    assert_eq!(&*composed.record.topic, "order-received");
    assert_eq!(composed.record.partition, None);
    let header = Header { name: "content-type".to_owned(), value: Some(b"application/cloudevents+json".to_vec()) };
    assert_eq!(composed.record.headers, [header]);
}

#[test]
fn a_retried_request_is_the_same_event_byte_for_byte() {
    let target = target(&open(), None, "/id");
    let respelt = r#"{"note":1.50,"products":[{"productCode":"\u0050-1001","quantity":1}]}"#;
    assert_eq!(event(&target, Some("k-1"), BODY), event(&target, Some("k-1"), respelt));
    assert_ne!(event(&target, Some("k-1"), BODY), event(&target, Some("k-2"), BODY));
}

#[test]
fn a_client_that_puts_the_id_it_was_given_into_the_body_repeats_the_event() {
    let target = target(&open(), None, "/id");
    let first = compose(&target, None, BODY.as_bytes(), now()).unwrap();
    let again = BODY.replacen('{', &format!("{{\"id\":\"{}\",", first.id), 1);
    assert_eq!(event(&target, None, &again).as_bytes(), first.record.value.unwrap());
}

#[test]
fn an_id_in_the_body_wins_over_a_key() {
    let composed = compose(&target(&open(), None, "/id"), Some("k-1"), br#"{"id":"mine"}"#, now()).unwrap();
    assert_eq!(composed.id, "mine");
}

#[test]
fn without_key_and_id_every_request_is_another_event() {
    let target = target(&open(), None, "/id");
    let ids = [(); 2].map(|()| compose(&target, None, BODY.as_bytes(), now()).unwrap().id);
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn an_id_may_lie_deep_in_the_body() {
    let target = target(&open(), None, "/meta/0/ref");
    let event: Value = serde_json::from_str(&event(&target, Some("k"), r#"{"meta":[{"a":1}]}"#)).unwrap();
    assert_eq!(event.pointer("/data/order/meta/0/ref"), event.get("subject"));
}

#[test]
fn an_id_that_cannot_be_one_is_refused_at_its_place() {
    let target = target(&open(), None, "/id");
    let long = format!(r#"{{"id":"{}"}}"#, "i".repeat(256));
    for body in [r#"{"id":""}"#, r#"{"id":7}"#, r#"{"id":null}"#, "[]", "\"text\"", &long] {
        let problem = problem(&target, body);
        assert_eq!(problem["status"], 422, "{body}");
        assert_eq!(problem["errors"][0]["pointer"], "/id", "{body}");
    }
}

#[test]
fn an_event_that_does_not_fit_its_topic_is_refused_where_the_body_is_at_fault() {
    let fit = serde_json::json!({ "properties": {
        "subject": { "maxLength": 4 },
        "time": { "maxLength": 3 },
        "data": { "properties": { "order": { "properties": { "note": { "type": "string" } } } } },
    } });
    let problem = problem(&target(&open(), Some(&schema("event", &fit)), "/id"), r#"{"id":"12345","note":1}"#);
    assert_eq!(problem["status"], 422);
    let mut errors: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|e| (&e["pointer"], &e["detail"])).collect();
    errors.sort_by_key(|(pointer, _)| pointer.as_str());
    assert_eq!(errors.len(), 3);
    assert!(errors[0].1.as_str().unwrap().starts_with("the event's /time: "), "{errors:?}");
    assert_eq!((errors[1].0, errors[2].0), (&Value::from("/id"), &Value::from("/note")));
}

#[test]
fn a_body_is_held_against_its_own_schema_too() {
    let body = schema("body", &serde_json::json!({ "properties": { "note": { "maximum": 1 } } }));
    let problem = problem(&target(&body, None, "/id"), BODY);
    assert_eq!(problem["title"], "the order does not fit its schema");
    assert_eq!(problem["errors"][0]["pointer"], "/note");
}
