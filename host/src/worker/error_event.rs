//! The record on the error topic: the event that could not be processed, byte for byte, and why.
//!
//! A CloudEvent in structured mode, so that people read it with Kafka's console tools. Bytes that are UTF-8 stand as a
//! string; others, and strings that JSON would blow up beyond it, as Base64: so an error event is never more than about
//! 1.4 times its event. Its id derives from where the event lies and who failed it, so a repeated attempt gives the same.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::{Digest, Event, Failure, Header, Record};

/// The layout of `data`. Raised when a field changes its meaning.
const FORMAT: u32 = 1;
/// Ids of error events derive from this. A change gives repeated error events new ids.
const NAMESPACE: Uuid = Uuid::from_u128(0x6b1d_8f0e_52f7_4c7b_9d3a_1f0c_7e55_a0e1);

/// Who failed an event, and when.
#[derive(Clone, Debug)]
pub struct Provenance<'a> {
    /// The app.
    pub app: &'a str,
    /// The function.
    pub function: &'a str,
    /// Its version.
    pub version: Digest,
    /// Which host.
    pub instance: &'a str,
    /// How often it was tried.
    pub attempts: u32,
    /// When, in milliseconds since the Unix epoch.
    pub failed_at_ms: u64,
}

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    time: String,
    datacontenttype: &'static str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    format: u32,
    class: &'static str,
    reason: &'a str,
    attempts: u32,
    function: &'a str,
    version: String,
    host: &'static str,
    instance: &'a str,
    first_failed_at: String,
    event: Original<'a>,
}

#[derive(Serialize)]
struct Original<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp_ms: Option<u64>,
    #[serde(flatten)]
    key: Key<'a>,
    headers: Vec<Named<'a>>,
    #[serde(flatten)]
    value: Value<'a>,
}

#[derive(Serialize)]
enum Key<'a> {
    #[serde(rename = "key")]
    Text(Option<&'a str>),
    #[serde(rename = "keyBase64")]
    Bytes(String),
}

#[derive(Serialize)]
enum Value<'a> {
    #[serde(rename = "value")]
    Text(Option<&'a str>),
    #[serde(rename = "valueBase64")]
    Bytes(String),
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    #[serde(flatten)]
    value: Value<'a>,
}

/// The text of some bytes when that is the better way to write them.
fn text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    // JSON writes a control character with six bytes, Base64 any three bytes with four.
    let blown_up = text.bytes().filter(|b| *b < 0x20 && !matches!(b, b'\n' | b'\r' | b'\t')).count();
    let escaped = text.bytes().filter(|b| matches!(b, b'"' | b'\\' | b'\n' | b'\r' | b'\t')).count();
    (5 * blown_up + escaped <= text.len() / 3 + 2).then_some(text)
}

impl<'a> Key<'a> {
    fn of(bytes: Option<&'a [u8]>) -> Self {
        match bytes {
            None => Self::Text(None),
            Some(bytes) => text(bytes).map_or_else(|| Self::Bytes(BASE64.encode(bytes)), |t| Self::Text(Some(t))),
        }
    }
}

impl<'a> Value<'a> {
    fn of(bytes: Option<&'a [u8]>) -> Self {
        match bytes {
            None => Self::Text(None),
            Some(bytes) => text(bytes).map_or_else(|| Self::Bytes(BASE64.encode(bytes)), |t| Self::Text(Some(t))),
        }
    }
}

/// The subject of an event that is a CloudEvent.
fn subject(value: Option<&[u8]>) -> Option<String> {
    #[derive(Deserialize)]
    struct Subject {
        subject: Option<String>,
    }
    let parsed: Subject = serde_json::from_slice(value?).ok()?;
    parsed.subject.filter(|subject| !subject.is_empty())
}

/// The error event of an event.
///
/// # Errors
/// Never in practice: everything in it is a string or a number.
pub fn record(
    topic: &std::sync::Arc<str>,
    event: &Event,
    failure: &Failure,
    by: &Provenance<'_>,
) -> serde_json::Result<Record> {
    let place =
        format!("{}/{}/{}/{}/{}", by.app, by.function, event.partition.topic, event.partition.number, event.offset);
    let time = rfc3339(by.failed_at_ms);
    let value = CloudEvent {
        specversion: "1.0",
        id: Uuid::new_v5(&NAMESPACE, place.as_bytes()).to_string(),
        source: format!("/{}/{}", by.app, by.function),
        event_type: "fnhost.error",
        subject: subject(event.value.as_deref()),
        time: time.clone(),
        datacontenttype: "application/json",
        data: Data {
            format: FORMAT,
            class: failure.class.name(),
            reason: &failure.reason,
            attempts: by.attempts,
            function: by.function,
            version: by.version.to_string(),
            host: env!("CARGO_PKG_VERSION"),
            instance: by.instance,
            first_failed_at: time,
            event: Original {
                topic: &event.partition.topic,
                partition: event.partition.number,
                offset: event.offset,
                timestamp_ms: event.timestamp_ms,
                key: Key::of(event.key.as_deref()),
                headers: event
                    .headers
                    .iter()
                    .map(|h| Named { name: &h.name, value: Value::of(h.value.as_deref()) })
                    .collect(),
                value: Value::of(event.value.as_deref()),
            },
        },
    };
    let header = Header { name: "content-type".to_owned(), value: Some(b"application/cloudevents+json".to_vec()) };
    Ok(Record {
        topic: std::sync::Arc::clone(topic),
        partition: None,
        key: event.key.clone(),
        value: Some(serde_json::to_vec(&value)?),
        headers: vec![header],
    })
}

/// A time as RFC 3339 in UTC with milliseconds. Beyond the year 9999 it stays at its end.
pub fn rfc3339(ms: u64) -> String {
    const YEAR_10000_MS: u64 = 253_402_300_800_000;
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(ms.min(YEAR_10000_MS - 1));
    humantime::format_rfc3339_millis(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Class, Partition};
    use proptest::prelude::*;

    fn event(key: Option<&[u8]>, value: Option<&[u8]>) -> Event {
        Event {
            partition: Partition::new("order-received", 3),
            offset: 41,
            timestamp_ms: Some(1_795_230_001_022),
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            headers: vec![Header { name: "a".to_owned(), value: None }],
        }
    }

    fn written(event: &Event) -> serde_json::Value {
        let by = Provenance {
            app: "fulfilment",
            function: "inventory",
            version: Digest::of(b"x"),
            instance: "a",
            attempts: 2,
            failed_at_ms: 1_795_230_001_500,
        };
        let failure = Failure::new(Class::Rejected, "no such product");
        let record = record(&"error".into(), event, &failure, &by).unwrap();
        assert_eq!(record.key, event.key);
        serde_json::from_slice(&record.value.unwrap()).unwrap()
    }

    #[test]
    fn an_error_event_says_who_failed_what_where_and_why() {
        let json = written(&event(Some(b"k-1"), Some(br#"{"subject":"o-1"}"#)));
        assert_eq!(json["subject"], "o-1");
        assert_eq!(json["time"], "2026-11-21T03:00:01.500Z");
        let data = &json["data"];
        assert_eq!(
            (data["class"].as_str(), data["reason"].as_str(), data["attempts"].as_u64()),
            (Some("rejected"), Some("no such product"), Some(2))
        );
        assert_eq!(data["event"]["offset"], 41);
        assert_eq!(data["event"]["value"], r#"{"subject":"o-1"}"#);
        assert_eq!(data["event"]["headers"][0], serde_json::json!({"name": "a", "value": null}));
    }

    #[test]
    fn the_same_failure_gives_the_same_id() {
        let event = event(None, None);
        assert_eq!(written(&event)["id"], written(&event)["id"]);
        assert!(written(&event)["data"]["event"]["value"].is_null());
    }

    proptest! {
        #[test]
        fn any_bytes_come_back_as_they_were_and_stay_small(value in prop::collection::vec(any::<u8>(), 0..600)) {
            let json = written(&event(None, Some(&value)));
            let original = &json["data"]["event"];
            let back = match original.get("valueBase64") {
                Some(encoded) => BASE64.decode(encoded.as_str().unwrap()).unwrap(),
                None => original["value"].as_str().unwrap().as_bytes().to_vec(),
            };
            let limit = value.len() * 14 / 10 + 250;
            prop_assert_eq!(back, value);
            prop_assert!(serde_json::to_vec(original).unwrap().len() <= limit);
        }
    }
}
