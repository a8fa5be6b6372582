//! What a handler gets of a record, and what people read when it gets nothing.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::borrow::Cow;

use fnhost_sdk::testing::Bench;
use fnhost_sdk::{ErrorEvent, Event, Failure, RawEvent, Tick, Unread, Verbatim, prelude::*};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, Serialize)]
struct Basket<'a> {
    #[serde(borrow)]
    items: Vec<Item<'a>>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Item<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    amount: u8,
}

#[derive(Debug, Deserialize, Serialize)]
struct Carried<'a> {
    #[serde(borrow)]
    basket: Verbatim<'a, Basket<'a>>,
}

const GOOD: &str = r#"{"specversion":"1.0","id":"e-1","source":"/shop","type":"example.filled","subject":"b-1","time":"2026-11-21T06:43:01Z","datacontenttype":"application/json","data":{"basket":{"items":[{"name":"m\u0061sk","amount":2}],"note":"as it was"}}}"#;

fn record(value: Option<&[u8]>) -> RawEvent {
    RawEvent { topic: "in".into(), timestamp: None, key: None, value: value.map(<[u8]>::to_vec), headers: vec![] }
}

fn reason(value: Option<&[u8]>) -> String {
    match Event::<Carried<'_>>::decode(&record(value)) {
        Err(Failure::Reject(reason)) => reason,
        other => panic!("expected a rejection, got {other:?}"),
    }
}

fn reason_with(good: &str, bad: &str) -> String {
    assert!(GOOD.contains(good), "{good}");
    reason(Some(GOOD.replacen(good, bad, 1).as_bytes()))
}

#[test]
fn attributes_and_data_are_read_without_copying() {
    let record = record(Some(GOOD.as_bytes()));
    let event = Event::<Carried<'_>>::decode(&record).unwrap();
    assert!(matches!(event.id, Cow::Borrowed("e-1")));
    assert_eq!(
        (event.source.as_ref(), event.kind.as_ref(), event.subject.as_ref(), event.time.as_deref()),
        ("/shop", "example.filled", "b-1", Some("2026-11-21T06:43:01Z"))
    );
    assert_eq!(event.data.basket.items[0].name, "mask");
    assert_eq!(event.data.basket.items[0].amount, 2);
}

#[test]
fn time_may_be_absent_and_unknown_attributes_may_be_there() {
    let value = GOOD.replace(r#""time":"2026-11-21T06:43:01Z""#, r#""traceparent":"00-1","sampled":true"#);
    assert_eq!(Event::<Carried<'_>>::decode(&record(Some(value.as_bytes()))).unwrap().time, None);
}

#[test]
fn a_value_that_is_no_json_is_rejected_with_the_place() {
    assert_eq!(reason(None), "the event has no value (null), so it is no CloudEvent");
    assert_eq!(
        reason(Some(b"{\"id\":\"\xff\"}")),
        "the event's value is not UTF-8: invalid utf-8 sequence of 1 bytes from index 7"
    );
    assert_eq!(reason(Some(b"")), "the event's value is not JSON: EOF while parsing a value at line 1 column 0");
    assert_eq!(reason(Some(b"{\"id\": x}")), "the event's value is not JSON: expected value at line 1 column 8");
    for other in ["[]", "7", r#" ["1.0","e-1","/shop","example.filled","b-1","",{"basket":{"items":[]}}]"#] {
        assert_eq!(reason(Some(other.as_bytes())), "the event's value is JSON, but no object");
    }
    assert_eq!(
        reason(Some(format!("{GOOD}{GOOD}").as_bytes())),
        format!("the event's value is not JSON: trailing characters at line 1 column {}", GOOD.len() + 1)
    );
}

#[test]
fn a_document_that_is_no_cloudevent_is_rejected_with_the_attribute() {
    let cases = [
        (reason(Some(b"{}")), "`specversion` is missing"),
        (reason_with(r#""1.0""#, r#""0.3""#), "its `specversion` is `0.3`, and only `1.0` is known"),
        (reason_with(r#""1.0""#, "1.0"), "specversion: invalid type: floating point `1.0`, expected a string"),
        (reason_with(r#""id":"e-1","#, ""), "`id` is missing"),
        (reason_with(r#""id":"e-1""#, r#""id":"""#), "`id` is missing"),
        (reason_with(r#""id":"e-1""#, r#""id":null"#), "id: invalid type: null, expected a string"),
        (reason_with(r#""source":"/shop","#, ""), "`source` is missing"),
        (reason_with(r#""type":"example.filled","#, ""), "`type` is missing"),
        (reason_with(r#""subject":"b-1","#, ""), "`subject` is missing"),
        (reason_with(r#""subject":"b-1""#, r#""subject":"b-1","subject":"b-2""#), "duplicate field `subject`"),
        (reason_with(r#""data":{"#, r#""payload":{"#), "`data` is missing"),
        // An attribute at fault is named rather than the data, which may be of another version.
        (
            reason(Some(GOOD.replace("1.0", "0.3").replace("basket", "b").as_bytes())),
            "its `specversion` is `0.3`, and only `1.0` is known",
        ),
    ];
    for (reason, expected) in cases {
        assert_eq!(reason, format!("the event is not the CloudEvent expected here: {expected}"));
    }
}

#[test]
fn data_of_another_shape_is_rejected_with_the_path() {
    let cases = [
        (reason_with(r#""data":{"#, r#""data":7,"x":{"#), "data: invalid type: integer `7`, expected struct Carried"),
        (reason_with(r#""basket""#, r#""bucket""#), "data: missing field `basket`"),
        (
            reason_with(r#""amount":2"#, r#""amount":"2""#),
            "data.basket: items[0].amount: invalid type: string \"2\", expected u8",
        ),
        (
            reason_with(r#""amount":2"#, r#""amount":256"#),
            "data.basket: items[0].amount: invalid value: integer `256`, expected u8",
        ),
        (reason_with(r#","amount":2"#, ""), "data.basket: items[0]: missing field `amount`"),
    ];
    for (reason, expected) in cases {
        assert_eq!(reason, format!("the event is not the CloudEvent expected here: {expected}"));
    }
}

fn pass_on(event: Event<'_, Carried<'_>>, context: &mut Context<'_>) -> Outcome {
    Ok(vec![
        context.output(&event, "out", "example.passed", &event.data)?,
        context.output(&event, "out", "example.passed", &event.data)?,
        context.output(&event, "other", "example.passed", &event.data)?,
    ])
}

mod passing {
    fnhost_sdk::function!(super::pass_on, source = "/shop/pass");
}

mod elsewhere {
    fnhost_sdk::function!(super::pass_on, source = "/shop/elsewhere");
}

fn ids(outputs: &[Output]) -> Vec<String> {
    let id = |output: &Output| {
        let document: serde_json::Value = serde_json::from_slice(output.value.as_deref().unwrap()).unwrap();
        document["id"].as_str().unwrap().to_owned()
    };
    outputs.iter().map(id).collect()
}

#[test]
fn an_output_is_a_cloudevent_that_passes_on_what_it_was_given() {
    let outputs = Bench::new(passing::invoke, []).handle(GOOD).unwrap();
    let output = &outputs[0];
    assert_eq!(output.topic, "out");
    assert_eq!(output.key.as_deref(), Some(b"b-1".as_slice()));
    assert_eq!(output.headers.len(), 1);
    assert_eq!(output.headers[0].name, "content-type");
    assert_eq!(output.headers[0].value.as_deref(), Some(b"application/cloudevents+json; charset=UTF-8".as_slice()));
    // To the byte: a repeated event must give what it gave before, also after an update of the SDK.
    assert_eq!(
        std::str::from_utf8(output.value.as_deref().unwrap()).unwrap(),
        r#"{"specversion":"1.0","id":"3167ffce-594b-5d82-88a4-fe8a2e7a5085","source":"/shop/pass","type":"example.passed","subject":"b-1","time":"2026-11-21T06:43:01Z","datacontenttype":"application/json","data":{"basket":{"items":[{"name":"m\u0061sk","amount":2}],"note":"as it was"}}}"#
    );
}

#[test]
fn a_repeated_event_gives_the_same_bytes() {
    let mut bench = Bench::new(passing::invoke, []);
    assert_eq!(bench.handle(GOOD), bench.handle(GOOD));
}

#[test]
fn no_two_outputs_have_one_id() {
    let given = |bench: fnhost_sdk::testing::Invoke, value: &str| ids(&Bench::new(bench, []).handle(value).unwrap());
    let mut all = given(passing::invoke, GOOD);
    all.extend(given(elsewhere::invoke, GOOD));
    all.extend(given(passing::invoke, &GOOD.replace("e-1", "e-2")));
    all.extend(given(passing::invoke, &GOOD.replace("\"/shop\"", "\"/shop2\"")));
    let made = all.len();
    all.sort();
    all.dedup();
    assert_eq!((made, all.len()), (12, 12));
}

#[test]
fn an_output_has_no_time_when_the_event_has_none() {
    let value = GOOD.replace(r#""time":"2026-11-21T06:43:01Z","#, "");
    let outputs = Bench::new(passing::invoke, []).handle(value).unwrap();
    let text = String::from_utf8(outputs[0].value.clone().unwrap()).unwrap();
    assert!(!text.contains("\"time\""), "{text}");
}

/// An example of the schemas, as a record.
fn example(path: &str) -> RawEvent {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/examples").join(path);
    record(Some(&std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))))
}

#[test]
fn data_is_read_once_the_type_is_known_and_the_rest_stays() {
    let record = RawEvent { timestamp: Some(7), ..record(Some(GOOD.as_bytes())) };
    let event = Event::<Unread<'_>>::decode(&record).unwrap().read::<Carried<'_>>().unwrap();
    assert_eq!(
        (event.id.as_ref(), event.source.as_ref(), event.kind.as_ref(), event.subject.as_ref(), event.time.as_deref()),
        ("e-1", "/shop", "example.filled", "b-1", Some("2026-11-21T06:43:01Z"))
    );
    assert_eq!(event.timestamp, Some(7));
    assert_eq!(event.data.basket.items[0].name, "mask");
    assert!(matches!(event.id, Cow::Borrowed(_)));
}

#[test]
fn data_that_is_read_late_is_rejected_with_the_same_words() {
    for (good, bad) in [("\"amount\":2", "\"amount\":300"), ("\"items\"", "\"things\""), ("{\"basket\"", "{\"no\"")] {
        let bytes = GOOD.replacen(good, bad, 1);
        let record = record(Some(bytes.as_bytes()));
        let late = Event::<Unread<'_>>::decode(&record).unwrap().read::<Carried<'_>>();
        assert_eq!(late.map(|_| ()), Err(Failure::Reject(reason_with(good, bad))));
    }
    let record = record(Some(br#"{"specversion":"1.0"}"#));
    let missing = "the event is not the CloudEvent expected here: `id` is missing";
    assert_eq!(Event::<Unread<'_>>::decode(&record).map(|_| ()), Err(Failure::reject(missing)));
}

#[test]
fn ticks_of_schedules_are_read() {
    let tick = example("tick/valid/every-minute.json");
    let event = Event::<Tick<'_>>::decode(&tick).unwrap();
    assert_eq!((event.kind.as_ref(), event.subject.as_ref()), (Tick::TYPE, "minute"));
    assert_eq!((event.data.schedule.as_ref(), event.data.every_ms), ("minute", 60_000));
}

#[test]
fn error_events_are_read_and_have_no_subject_where_their_event_had_none() {
    let rejected = example("error/valid/rejected-by-inventory.json");
    let event = Event::<ErrorEvent<'_>>::decode(&rejected).unwrap();
    assert_eq!((event.kind.as_ref(), event.subject.is_empty()), (ErrorEvent::TYPE, false));
    let ErrorEvent { class, reason, attempts, function } = event.data;
    assert_eq!((class.as_ref(), attempts, function.as_ref()), ("rejected", 1, "inventory"));
    assert_eq!(reason, "product P-9999 is not in the catalogue");

    let binary = example("error/valid/trapped-on-a-binary-value.json");
    assert_eq!(Event::<ErrorEvent<'_>>::decode(&binary).unwrap().subject, "");

    fn pass_on(event: Event<'_, ErrorEvent<'_>>, context: &mut Context<'_>) -> Outcome {
        Ok(vec![context.output(&event, "failed", "example.failed", &event.data.function)?])
    }
    fnhost_sdk::function!(pass_on, source = "/shop/watch");
    let answered = |event| {
        let output = Bench::new(invoke, []).handle_raw(event).unwrap().remove(0);
        let value: serde_json::Value = serde_json::from_slice(output.value.as_deref().unwrap()).unwrap();
        (output.key, value.get("subject").cloned())
    };
    let id = "0199b3c4-5e05-7a10-8c2d-4f6e8a9b0005";
    assert_eq!(answered(&rejected), (Some(id.into()), Some(id.into())));
    assert_eq!(answered(&binary), (None, None));
}
