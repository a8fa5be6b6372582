//! Error events as the tests read them: held against their schema, and the original taken out again.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use base64::Engine as _;
use fnhost::app::schemas::Schemas;
use fnhost::event::{Event, Header, Offset, Partition};
use fnhost::worker::error_event::KEY_BYTES_MAX;
use serde_json::Value;

use super::world::{World, workspace};
use crate::kafka::Isolation;

/// One error event.
#[derive(Clone, Debug)]
pub(crate) struct ErrorEvent {
    /// Its `data`.
    pub(crate) data: Value,
    /// The event that failed, as it was.
    pub(crate) original: Event,
}

impl ErrorEvent {
    /// A text of its data, such as `class`.
    pub(crate) fn text(&self, member: &str) -> &str {
        self.data[member].as_str().unwrap_or_else(|| panic!("no `{member}` in {}", self.data))
    }

    /// Reads one, which must fit `schemas/error.schema.json` and have its event's key.
    pub(crate) fn of(event: &Event) -> Self {
        let value = event.value.as_deref().unwrap();
        let schema = schemas().get("error").unwrap();
        if let Err(mismatches) = schema.check_bytes(value) {
            panic!("an error event does not fit its schema: {mismatches:?}\n{}", String::from_utf8_lossy(value));
        }
        let whole: Value = serde_json::from_slice(value).unwrap();
        let data = whole["data"].clone();
        let original = original(&data["event"]);
        if original.key.as_ref().is_none_or(|key| key.len() <= KEY_BYTES_MAX) {
            assert_eq!(event.key, original.key, "an error event has the key of its event");
        }
        Self { data, original }
    }
}

impl World {
    /// All error events of an app's functions, by function and the place of the event that failed. There is one for
    /// each of both at most.
    pub(crate) fn error_events(&self, app: &str) -> BTreeMap<(String, Partition, Offset), ErrorEvent> {
        let mut all = BTreeMap::new();
        for event in self.kafka().read(&["error"], Isolation::Committed) {
            let value: Value = serde_json::from_slice(event.value.as_deref().unwrap()).unwrap();
            if !value["source"].as_str().unwrap().starts_with(&format!("/{app}/")) {
                continue;
            }
            let error = ErrorEvent::of(&event);
            let place = (error.text("function").to_owned(), error.original.partition.clone(), error.original.offset);
            let before = all.insert(place, error);
            assert!(before.is_none(), "a second error event for one event: {before:?}");
        }
        all
    }
}

fn schemas() -> &'static Schemas {
    static SCHEMAS: OnceLock<Schemas> = OnceLock::new();
    SCHEMAS.get_or_init(|| Schemas::load(&workspace().join("schemas")).unwrap())
}

fn original(event: &Value) -> Event {
    let headers = match bytes(event, "headers") {
        Some(encoded) => decoded(&encoded),
        None => named(event["headers"].as_array().unwrap()),
    };
    Event {
        partition: Partition::new(
            event["topic"].as_str().unwrap(),
            i32::try_from(event["partition"].as_i64().unwrap()).unwrap(),
        ),
        offset: event["offset"].as_i64().unwrap(),
        timestamp_ms: event["timestamp_ms"].as_u64(),
        key: bytes(event, "key"),
        value: bytes(event, "value"),
        headers,
    }
}

fn named(headers: &[Value]) -> Vec<Header> {
    headers.iter().map(|h| Header { name: h["name"].as_str().unwrap().to_owned(), value: bytes(h, "value") }).collect()
}

/// Headers in the encoding of a Kafka record.
fn decoded(mut encoded: &[u8]) -> Vec<Header> {
    let mut headers = Vec::new();
    while !encoded.is_empty() {
        let name = String::from_utf8(part(&mut encoded).unwrap()).unwrap();
        headers.push(Header { name, value: part(&mut encoded) });
    }
    headers
}

/// A length as a zigzag varint, and as many bytes; -1 is none.
fn part(encoded: &mut &[u8]) -> Option<Vec<u8>> {
    let mut zigzag = 0_usize;
    for shift in (0..).step_by(7) {
        let (byte, rest) = encoded.split_first().unwrap();
        *encoded = rest;
        zigzag |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let (part, rest) = (zigzag != 1).then(|| encoded.split_at(zigzag / 2))?;
    *encoded = rest;
    Some(part.to_vec())
}

/// What stands as text under `name`, or in base64 beside it.
fn bytes(object: &Value, name: &str) -> Option<Vec<u8>> {
    match object.get(format!("{name}Base64")) {
        Some(encoded) => Some(base64::engine::general_purpose::STANDARD.decode(encoded.as_str().unwrap()).unwrap()),
        None => object[name].as_str().map(|text| text.as_bytes().to_vec()),
    }
}
