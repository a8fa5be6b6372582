//! The record on the error topic: the event that could not be processed, byte for byte, and why.
//!
//! A CloudEvent in structured mode, so that people read it with Kafka's console tools. It is never more than about 1.4 times
//! its event: what could make it larger is written shorter (`original`). Its key is the event's, so that what is said about
//! one key stays in order; a key beyond [`KEY_BYTES_MAX`], which stands inside anyway, is hashed. Its id derives from where
//! the event lies and who failed it, so a repeated attempt gives the same.

mod original;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::original::Original;
use crate::event::{Digest, Event, Failure, Header, Record};

/// The layout of `data`. Raised when a field changes its meaning.
const FORMAT: u32 = 1;
/// Ids of error events derive from this. A change gives repeated error events new ids.
const NAMESPACE: Uuid = Uuid::from_u128(0x6b1d_8f0e_52f7_4c7b_9d3a_1f0c_7e55_a0e1);

/// A longer key of an event is not the key of its error event; the SHA-256 of it is, in hexadecimal digits.
pub const KEY_BYTES_MAX: usize = 4096;
/// A longer subject of an event is not the subject of its error event.
const SUBJECT_BYTES_MAX: usize = 256;
/// What a record costs in its batch beside key, value and headers: less than this.
const RECORD_BYTES: usize = 256;

/// Where error events go.
#[derive(Clone, Debug)]
pub struct ErrorTopic {
    /// Its name.
    pub name: std::sync::Arc<str>,
    /// The largest record batch that it takes.
    pub message_bytes_max: usize,
}

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
    /// What says in which trace it is.
    pub carried: &'a [Header],
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

/// The header of outputs and error events that names the version they are of.
pub const VERSION_HEADER: &str = "fnhost-version";

/// Says which version a record is of.
pub(super) fn version_header(version: Digest) -> Header {
    Header { name: VERSION_HEADER.to_owned(), value: Some(version.to_string().into_bytes()) }
}

/// The subject of an event that is a CloudEvent.
fn subject(value: Option<&[u8]>) -> Option<String> {
    #[derive(Deserialize)]
    struct Subject {
        subject: Option<String>,
    }
    let parsed: Subject = serde_json::from_slice(value?).ok()?;
    parsed.subject.filter(|subject| (1..=SUBJECT_BYTES_MAX).contains(&subject.len()))
}

/// The error event of an event. When it would be too large for its topic, large parts of the event are left out of it.
///
/// # Errors
/// Never in practice: everything in it is a string or a number.
pub fn record(topic: &ErrorTopic, event: &Event, failure: &Failure, by: &Provenance<'_>) -> serde_json::Result<Record> {
    let whole = written(topic, event, failure, by, Original::of(event))?;
    if whole.size_bytes() + RECORD_BYTES <= topic.message_bytes_max {
        return Ok(whole);
    }
    tracing::warn!(
        partition = %event.partition, offset = event.offset, bytes = event.size_bytes(),
        "an event is too large for an error event, which names its large parts by their hashes; the event itself stays where it lies",
    );
    written(topic, event, failure, by, Original::without(event))
}

fn written(
    topic: &ErrorTopic,
    event: &Event,
    failure: &Failure,
    by: &Provenance<'_>,
    original: Original<'_>,
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
            event: original,
        },
    };
    let header = Header { name: "content-type".to_owned(), value: Some(b"application/cloudevents+json".to_vec()) };
    let key = event.key.as_ref().map(|key| match key.len() {
        ..=KEY_BYTES_MAX => key.clone(),
        _ => Digest::of(key).hex().into_bytes(),
    });
    Ok(Record {
        topic: std::sync::Arc::clone(&topic.name),
        partition: None,
        key,
        value: Some(serde_json::to_vec(&value)?),
        headers: [&[header, version_header(by.version)], by.carried].concat(),
    })
}

/// A time in milliseconds since the Unix epoch; 0 for one before it.
pub fn epoch_ms(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// A time as RFC 3339 in UTC with milliseconds. Beyond the year 9999 it stays at its end.
pub fn rfc3339(ms: u64) -> String {
    const YEAR_10000_MS: u64 = 253_402_300_800_000;
    let time = UNIX_EPOCH + Duration::from_millis(ms.min(YEAR_10000_MS - 1));
    humantime::format_rfc3339_millis(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Class, Partition};

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

    fn record_of(event: &Event, message_bytes_max: usize) -> Record {
        let by = Provenance {
            app: "fulfilment",
            function: "inventory",
            version: Digest::of(b"x"),
            instance: "a",
            attempts: 2,
            carried: &[],
            failed_at_ms: 1_795_230_001_500,
        };
        let failure = Failure::new(Class::Rejected, "no such product");
        record(&ErrorTopic { name: "error".into(), message_bytes_max }, event, &failure, &by).unwrap()
    }

    fn json(record: &Record) -> serde_json::Value {
        serde_json::from_slice(record.value.as_deref().unwrap()).unwrap()
    }

    fn written(event: &Event) -> serde_json::Value {
        let record = record_of(event, 2 << 20);
        assert_eq!(record.key, event.key);
        json(&record)
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

    #[test]
    fn the_largest_event_of_a_topic_fits_twice_its_size_whatever_is_in_it() {
        const INPUT: usize = 1_048_588;
        let large = |byte: u8| Some(vec![byte; INPUT - 100]);
        let subject = format!(r#"{{"subject":"{}"}}"#, "s".repeat(INPUT - 200)).into_bytes();
        let no_header = Header { name: String::new(), value: Some(Vec::new()) };
        let bytes = |key, value| Event { key, value, ..event(None, None) };
        let odd = [
            bytes(large(0xff), None),
            bytes(large(b'k'), None),
            bytes(large(b'"'), None),
            bytes(None, large(0)),
            bytes(None, large(b'"')),
            bytes(None, large(0x7f)),
            bytes(None, Some(subject)),
            Event { headers: vec![no_header; INPUT / 2 - 100], ..event(None, None) },
        ];
        for event in odd {
            let record = record_of(&event, 2 * INPUT);
            let json = json(&record);
            assert!(json["data"]["event"].get("omitted").is_none(), "{} bytes", event.size_bytes());
            assert!(record.size_bytes() + RECORD_BYTES <= 2 * INPUT);
        }
    }

    #[test]
    fn an_event_too_large_for_its_error_event_is_named_by_its_hash() {
        let record = record_of(&event(Some(b"k-1"), Some(&vec![b'x'; 100_000])), 50_000);
        assert_eq!(record.key.as_deref(), Some(&b"k-1"[..]));
        let original = &json(&record)["data"]["event"];
        assert_eq!(original["omitted"][0]["bytes"], 100_000);
        assert_eq!((original["key"].as_str(), original["offset"].as_i64()), (Some("k-1"), Some(41)));
    }

    #[test]
    fn a_long_key_is_hashed_and_stands_inside() {
        let key = vec![b'k'; KEY_BYTES_MAX + 1];
        let record = record_of(&event(Some(&key), None), 2 << 20);
        assert_eq!(record.key, Some(Digest::of(&key).hex().into_bytes()));
        assert_eq!(json(&record)["data"]["event"]["key"].as_str().map(str::len), Some(key.len()));
    }
}
