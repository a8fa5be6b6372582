//! The event inside an error event, byte for byte, in about 1.4 times its own bytes at most.
//!
//! Bytes that are UTF-8 stand as a string; others, and strings that JSON would blow up, as Base64. Headers that JSON would
//! blow up stand as Base64 of Kafka's own encoding. Whoever may write to an input topic must not be able to make an error
//! event that its topic refuses: what is too large even so, which only an event can be that its producer compressed, is
//! left out, with its length and hash ([`Original::without`]).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;

use crate::event::{Digest, Event, Header};

/// A part up to this length is never left out.
const KEPT_BYTES_MAX: usize = 4096;
/// More headers than these are not named one by one.
const HEADERS_NAMED_MAX: usize = 128;

/// The event as it was.
#[derive(Serialize)]
pub(super) struct Original<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp_ms: Option<u64>,
    #[serde(flatten)]
    key: Option<Key<'a>>,
    #[serde(flatten)]
    headers: Option<Headers<'a>>,
    #[serde(flatten)]
    value: Option<Value<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    omitted: Vec<Omitted>,
}

/// A part that is not there.
#[derive(Serialize)]
struct Omitted {
    part: &'static str,
    bytes: usize,
    sha256: String,
}

#[derive(Serialize)]
enum Key<'a> {
    #[serde(rename = "key")]
    Text(Option<&'a str>),
    #[serde(rename = "keyBase64")]
    Bytes(String),
}

#[derive(Serialize)]
enum Headers<'a> {
    #[serde(rename = "headers")]
    Named(Vec<Named<'a>>),
    #[serde(rename = "headersBase64")]
    Encoded(String),
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    #[serde(flatten)]
    value: Value<'a>,
}

#[derive(Serialize)]
enum Value<'a> {
    #[serde(rename = "value")]
    Text(Option<&'a str>),
    #[serde(rename = "valueBase64")]
    Bytes(String),
}

impl<'a> Original<'a> {
    /// All of it.
    pub(super) fn of(event: &'a Event) -> Self {
        Self {
            topic: &event.partition.topic,
            partition: event.partition.number,
            offset: event.offset,
            timestamp_ms: event.timestamp_ms,
            key: Some(written(event.key.as_deref(), Key::Text, Key::Bytes)),
            headers: Some(Headers::of(&event.headers)),
            value: Some(Value::of(event.value.as_deref())),
            omitted: Vec::new(),
        }
    }

    /// All of it but for its large parts.
    pub(super) fn without(event: &'a Event) -> Self {
        let mut original = Self::of(event);
        let mut omit = |part, bytes: &[u8]| {
            let is_large = bytes.len() > KEPT_BYTES_MAX;
            if is_large {
                original.omitted.push(Omitted { part, bytes: bytes.len(), sha256: Digest::of(bytes).hex() });
            }
            is_large
        };
        let encoded = kafka_encoding(&event.headers);
        let key = omit("key", event.key.as_deref().unwrap_or_default());
        let headers = omit("headers", &encoded);
        let value = omit("value", event.value.as_deref().unwrap_or_default());
        original.key = original.key.filter(|_| !key);
        original.headers = original.headers.filter(|_| !headers);
        original.value = original.value.filter(|_| !value);
        original
    }
}

/// The text of some bytes when that is the better way to write them.
fn text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    // JSON writes a control character with six bytes, Base64 any three bytes with four.
    let blown_up = text.bytes().filter(|b| *b < 0x20 && !matches!(b, b'\n' | b'\r' | b'\t')).count();
    let escaped = text.bytes().filter(|b| matches!(b, b'"' | b'\\' | b'\n' | b'\r' | b'\t')).count();
    (5 * blown_up + escaped <= text.len() / 3 + 2).then_some(text)
}

/// Bytes in the better of the two ways to write them.
fn written<'a, W>(bytes: Option<&'a [u8]>, as_text: fn(Option<&'a str>) -> W, as_base64: fn(String) -> W) -> W {
    match bytes.map(|bytes| text(bytes).ok_or(bytes)).transpose() {
        Ok(text) => as_text(text),
        Err(bytes) => as_base64(BASE64.encode(bytes)),
    }
}

impl<'a> Value<'a> {
    fn of(bytes: Option<&'a [u8]>) -> Self {
        written(bytes, Self::Text, Self::Bytes)
    }
}

impl<'a> Headers<'a> {
    fn of(headers: &'a [Header]) -> Self {
        if headers.len() > HEADERS_NAMED_MAX || !headers.iter().all(is_plain) {
            return Self::Encoded(BASE64.encode(kafka_encoding(headers)));
        }
        Self::Named(headers.iter().map(|h| Named { name: &h.name, value: Value::of(h.value.as_deref()) }).collect())
    }
}

/// Whether JSON writes the name without blowing it up.
fn is_plain(header: &Header) -> bool {
    text(header.name.as_bytes()).is_some()
}

/// Headers as a record of Kafka has them: for each the length of its name, the name, the length of its value, -1 for none,
/// and the value; lengths as zigzag varints (Kafka protocol, "Record", format 2).
fn kafka_encoding(headers: &[Header]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for header in headers {
        varint(&mut encoded, Some(header.name.len()));
        encoded.extend(header.name.as_bytes());
        varint(&mut encoded, header.value.as_ref().map(Vec::len));
        encoded.extend(header.value.iter().flatten());
    }
    encoded
}

/// A length, or -1.
fn varint(to: &mut Vec<u8>, length: Option<usize>) {
    // Zigzag: n is written as 2n, -1 as 1.
    let mut left = length.map_or(1, |length| length << 1);
    loop {
        let [low, ..] = left.to_le_bytes();
        left >>= 7;
        if left == 0 {
            return to.push(low & 0x7f);
        }
        to.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Partition;
    use proptest::prelude::*;

    fn event(key: Option<Vec<u8>>, value: Option<Vec<u8>>, headers: Vec<Header>) -> Event {
        let partition = Partition::new("order-received", 3);
        Event { partition, offset: 41, timestamp_ms: Some(1_795_230_001_022), key, value, headers }
    }

    fn json(original: &Original<'_>) -> serde_json::Value {
        serde_json::to_value(original).unwrap()
    }

    fn bytes(object: &serde_json::Value, name: &str) -> Option<Vec<u8>> {
        match object.get(format!("{name}Base64")) {
            Some(encoded) => Some(BASE64.decode(encoded.as_str().unwrap()).unwrap()),
            None => object[name].as_str().map(|text| text.as_bytes().to_vec()),
        }
    }

    fn headers() -> impl Strategy<Value = Vec<Header>> {
        let header = ("[a-z\\x00-\\x1f]{0,9}", prop::option::of(prop::collection::vec(any::<u8>(), 0..20)));
        prop::collection::vec(header.prop_map(|(name, value)| Header { name, value }), 0..9)
    }

    proptest! {
        #[test]
        fn any_bytes_come_back_as_they_were_and_stay_small(
            key in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
            value in prop::option::of(prop::collection::vec(any::<u8>(), 0..600)),
            headers in headers(), times in prop::sample::select(vec![1_usize, 2000]),
        ) {
            let headers: Vec<Header> = headers.iter().cycle().take(headers.len() * times).cloned().collect();
            let event = event(key, value, headers);
            let json = json(&Original::of(&event));
            prop_assert_eq!(&bytes(&json, "key"), &event.key);
            prop_assert_eq!(&bytes(&json, "value"), &event.value);
            let encoded = kafka_encoding(&event.headers);
            match json.get("headers") {
                None => prop_assert_eq!(bytes(&json, "headers"), Some(encoded)),
                Some(all) => {
                    let read = |h: &serde_json::Value| Header {
                        name: h["name"].as_str().unwrap().to_owned(), value: bytes(h, "value"),
                    };
                    let all: Vec<Header> = all.as_array().unwrap().iter().map(read).collect();
                    prop_assert_eq!(&all, &event.headers);
                }
            }
            let weight = event.size_bytes() + 2 * event.headers.len();
            let written = serde_json::to_vec(&json).unwrap().len();
            prop_assert!(written <= weight * 14 / 10 + KEPT_BYTES_MAX, "{} of {}", written, weight);
        }
    }

    #[test]
    fn a_hundred_ordinary_headers_stay_legible() {
        let ordinary = |n: usize| Header { name: format!("header-{n}"), value: Some(b"some value".to_vec()) };
        let event = event(None, None, (0..100).map(ordinary).collect());
        assert_eq!(json(&Original::of(&event))["headers"][99]["name"], "header-99");
    }

    #[test]
    fn headers_that_json_blows_up_stand_in_the_encoding_of_kafka() {
        let none = Header { name: String::new(), value: None };
        let event = event(None, None, vec![none; 90_000]);
        let written = json(&Original::of(&event));
        assert_eq!(bytes(&written, "headers"), Some([0, 1].repeat(90_000)));
        assert!(written.get("headers").is_none());
        let long = Header { name: "n".repeat(200), value: Some(vec![7; 70]) };
        assert_eq!(kafka_encoding(&[long])[..2], [0x90, 3]);
    }

    #[test]
    fn large_parts_can_be_left_out_and_small_ones_stay() {
        let event = event(Some(b"key".to_vec()), Some(vec![b'x'; 5000]), vec![]);
        let written = json(&Original::without(&event));
        assert_eq!((written["key"].as_str(), written.get("value")), (Some("key"), None));
        assert_eq!(written["headers"], serde_json::json!([]));
        let sha256 = Digest::of(&[b'x'; 5000]).hex();
        assert_eq!(written["omitted"], serde_json::json!([{"part": "value", "bytes": 5000, "sha256": sha256}]));
    }
}
