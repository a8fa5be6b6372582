//! Events, keys and values as people write and read them in JSON.
//!
//! | bytes | stand as |
//! |---|---|
//! | Kafka's null | `"value": null` |
//! | a JSON object or list | `"value": { … }`: what is blank between its parts does not count |
//! | any other text | `"value": "…"` |
//! | what is no UTF-8 | `"valueBase64": "…"` |
//!
//! The same holds for keys (`key`, `keyBase64`), the values of headers and state. An event is an object of these with
//! `topic`, `timestamp` and `headers`; or a CloudEvent as it is, whose subject becomes the key and whose time the timestamp.
//!
//! An event that was read from a topic (`Written`) says its `partition` and `offset` too. Wherever an event is read from
//! JSON these may stand, and say nothing: where it will lie is for the broker. So what one verb prints another one takes.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::app::Function;
use crate::app::fault::{Fault, listed, undeclared};
use crate::event::{Event, Header, Partition};

pub mod json;
pub(crate) mod read;
mod stored;

pub(crate) use self::stored::Written;

use self::read::{Kind, Object, Value};

/// Bytes that may be null.
pub(crate) type Bytes = Option<Vec<u8>>;

/// The members of an event that is handed to a function.
const READ: [&str; 9] =
    ["topic", "partition", "offset", "timestamp", "key", "keyBase64", "headers", "value", "valueBase64"];
/// The members of a record that was published.
const PUBLISHED: [&str; 6] = ["topic", "key", "keyBase64", "headers", "value", "valueBase64"];
/// The same beneath the name of its topic.
const ON_TOPIC: [&str; 5] = ["key", "keyBase64", "headers", "value", "valueBase64"];
/// An object with this member is a CloudEvent.
const CLOUD_EVENT: &str = "specversion";

/// Who reads events, and from where.
pub(crate) struct Reads<'a> {
    /// The function, when it is one.
    function: Option<&'a str>,
    topics: Vec<&'a str>,
    /// The topic of an event that names none.
    default: Option<&'a str>,
}

impl<'a> Reads<'a> {
    /// One function. An event that names no topic is from `default`, or from the only one that it reads.
    pub(crate) fn of(function: &'a Function, default: Option<&'a str>) -> Self {
        let topics: Vec<&str> = function.input.iter().map(|topic| &**topic).collect();
        let only = if let [only] = topics.as_slice() { Some(*only) } else { None };
        Self { function: Some(&function.name), default: default.or(only), topics }
    }

    /// All functions of an app.
    pub(crate) fn of_all(functions: &'a [Arc<Function>]) -> Self {
        let mut topics: Vec<&str> = functions.iter().flat_map(|f| f.input.iter().map(|topic| &**topic)).collect();
        topics.sort_unstable();
        topics.dedup();
        Self { function: None, topics, default: None }
    }

    /// The topic that `object` names, if it is read. `object` is reported when it names none and has to.
    fn topic(&self, object: &Object<'_>) -> Option<Arc<str>> {
        let Some(named) = object.get("topic") else {
            if self.default.is_none() {
                let fault = Fault::new(format!("{} has no `topic`", object.title()));
                object.report(fault.hint(format!("say from which one it is: {}", listed(&self.topics))));
            }
            return self.check(object, self.default?);
        };
        let topic = named.string(&format!("`topic` of {}", object.title()))?;
        if !self.topics.contains(&topic.as_str()) {
            named.report(self.unread(&topic));
            return None;
        }
        Some(topic.into())
    }

    /// The default, if it is read: it may have come from the command line.
    fn check(&self, object: &Object<'_>, default: &str) -> Option<Arc<str>> {
        if !self.topics.contains(&default) {
            object.report(self.unread(default));
            return None;
        }
        Some(default.into())
    }

    fn unread(&self, topic: &str) -> Fault {
        let message = match self.function {
            Some(function) => format!("function `{function}` does not read topic `{topic}`"),
            None => format!("no function reads topic `{topic}`"),
        };
        undeclared(message, topic, &self.topics, "nothing is read")
    }
}

/// An event for whoever `reads`. Its offset is still to be given.
pub(crate) fn event(value: Value<'_>, reads: &Reads<'_>) -> Option<Event> {
    let object = value.object("an event")?;
    if let Some(version) = object.get(CLOUD_EVENT) {
        // What is wrong with the CloudEvent itself is for the function to say.
        let text = |name| object.get(name).filter(|value| value.kind() == Kind::Text)?.string(name);
        let topic = reads.default.and_then(|default| reads.check(&object, default));
        if reads.default.is_none() {
            let fault = Fault::new("nobody says from which topic this CloudEvent is");
            version.report(fault.hint(format!(
                "write it as {{ \"topic\": \"…\", \"key\": \"…\", \"value\": {{ … }} }}; the topics are {}",
                listed(&reads.topics)
            )));
        }
        return Some(Event {
            partition: Partition::new(topic?, 0),
            offset: 0,
            timestamp_ms: text("time").and_then(|time| milliseconds(&time)),
            key: text("subject").map(String::into_bytes),
            value: Some(json::compact(value.raw()).into_bytes()),
            headers: Vec::new(),
        });
    }
    object.only(&READ);
    let topic = reads.topic(&object);
    let timestamp = object.get("timestamp").filter(|value| value.kind() != Kind::Null);
    let timestamp_ms = timestamp.and_then(|value| {
        let read = milliseconds(&value.string("`timestamp`")?);
        if read.is_none() {
            let fault = Fault::new("`timestamp` must be a time of RFC 3339, in UTC");
            value.report(fault.note("such as 2026-11-21T06:43:01.003Z"));
        }
        read
    });
    let (key, headers, value) = (bytes(&object, "key").unwrap_or_default(), headers(&object), value_of(&object));
    Some(Event { partition: Partition::new(topic?, 0), offset: 0, timestamp_ms, key, value, headers })
}

/// A time of RFC 3339 in milliseconds since the Unix epoch.
pub(crate) fn milliseconds(time: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339(time).ok()?;
    u64::try_from(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// The bytes under `name` or `nameBase64`; `None` when neither stands there.
pub(crate) fn bytes(object: &Object<'_>, name: &str) -> Option<Bytes> {
    let base64 = format!("{name}Base64");
    match (object.get(name), object.get(&base64)) {
        (None, None) => None,
        (Some(value), None) => Some(match value.kind() {
            Kind::Null => None,
            Kind::Text => value.string(&format!("`{name}`")).map(String::into_bytes),
            Kind::Object | Kind::List | Kind::Plain => Some(json::compact(value.raw()).into_bytes()),
        }),
        (None, Some(value)) => {
            let decoded = value.string(&format!("`{base64}`")).and_then(|text| {
                let decoded = BASE64.decode(text).ok();
                if decoded.is_none() {
                    value.report(Fault::new(format!("`{base64}` is no Base64")).note("RFC 4648, with padding"));
                }
                decoded
            });
            Some(decoded)
        }
        (Some(_), Some(value)) => {
            let fault = Fault::new(format!("{} has both `{name}` and `{base64}`", object.title()));
            value.report(fault.note("one of them is too much"));
            Some(None)
        }
    }
}

/// The bytes of the value, which must stand there.
pub(crate) fn value_of(object: &Object<'_>) -> Bytes {
    bytes(object, "value").unwrap_or_else(|| {
        object
            .report(Fault::new(format!("{} has no `value`", object.title())).hint("Kafka's null is `\"value\": null`"));
        None
    })
}

fn headers(object: &Object<'_>) -> Vec<Header> {
    let header = |value: Value<'_>| {
        let header = value.object("a header")?;
        header.only(&["name", "value", "valueBase64"]);
        Some(Header { value: value_of(&header), name: header.required("name")? })
    };
    let list = object.get("headers").and_then(|value| value.list("`headers`"));
    list.into_iter().flatten().filter_map(header).collect()
}

/// A record that was published, as far as a function decides about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where to; `None` where something else says it.
    pub topic: Option<Arc<str>>,
    /// `None` is Kafka's null.
    pub key: Option<Vec<u8>>,
    /// In this order.
    pub headers: Vec<Header>,
    /// `None` is Kafka's null.
    pub value: Option<Vec<u8>>,
}

impl Published {
    /// Reads one of `function`, which names its topic.
    pub(crate) fn read(value: Value<'_>, function: &Function) -> Option<Self> {
        let object = value.object("an output")?;
        object.only(&PUBLISHED);
        let (key, headers, value) = (bytes(&object, "key").unwrap_or_default(), headers(&object), value_of(&object));
        let name = object.required("topic")?;
        let topic = function.output.iter().find(|topic| ***topic == *name);
        if let (None, Some(at)) = (topic, object.get("topic")) {
            let known: Vec<&str> = function.output.iter().map(|topic| &**topic).collect();
            let message = format!("function `{}` writes to no topic `{name}`", function.name);
            at.report(undeclared(message, &name, &known, "it writes to none"));
        }
        Some(Self { topic: Some(Arc::clone(topic?)), key, headers, value })
    }

    /// Reads one that is to be sent, to a topic that something else names: an event, or a CloudEvent as it is. What it says
    /// of topic, place and time is not looked at.
    pub(crate) fn read_to_send(value: Value<'_>) -> Option<Self> {
        let object = value.object("an event")?;
        if object.get(CLOUD_EVENT).is_some() {
            let subject = object.get("subject").filter(|value| value.kind() == Kind::Text);
            return Some(Self {
                topic: None,
                key: subject.and_then(|subject| subject.string("`subject`")).map(String::into_bytes),
                headers: Vec::new(),
                value: Some(json::compact(value.raw()).into_bytes()),
            });
        }
        object.only(&READ);
        let (key, headers, value) = (bytes(&object, "key").unwrap_or_default(), headers(&object), value_of(&object));
        Some(Self { topic: None, key, headers, value })
    }

    /// Reads one beneath the name of its topic.
    pub(crate) fn read_on_topic(value: Value<'_>) -> Option<Self> {
        let object = value.object("an event")?;
        object.only(&ON_TOPIC);
        let (key, headers, value) = (bytes(&object, "key").unwrap_or_default(), headers(&object), value_of(&object));
        Some(Self { topic: None, key, headers, value })
    }
}

impl Serialize for Published {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(topic) = &self.topic {
            map.serialize_entry("topic", &**topic)?;
        }
        entries(&mut map, self.key.as_deref(), &self.headers, self.value.as_deref())?;
        map.end()
    }
}

/// Writes key, headers and value, without what there is none of.
fn entries<M: SerializeMap>(
    map: &mut M,
    key: Option<&[u8]>,
    headers: &[Header],
    value: Option<&[u8]>,
) -> Result<(), M::Error> {
    struct Of<'a>(&'a Header);
    impl Serialize for Of<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            map.serialize_entry("name", &self.0.name)?;
            entry(&mut map, "value", self.0.value.as_deref())?;
            map.end()
        }
    }
    if key.is_some() {
        entry(map, "key", key)?;
    }
    if !headers.is_empty() {
        map.serialize_entry("headers", &headers.iter().map(Of).collect::<Vec<_>>())?;
    }
    entry(map, "value", value)
}

/// Bytes, as they are shown.
#[derive(Debug, PartialEq, Eq)]
pub enum Shown<'a> {
    /// Kafka's null.
    Null,
    /// A JSON object or list, without blanks.
    Document(String),
    /// Other text.
    Text(&'a str),
    /// No text: in Base64.
    Base64(String),
}

impl<'a> Shown<'a> {
    /// The best way to show `bytes`.
    pub fn of(bytes: Option<&'a [u8]>) -> Self {
        let Some(bytes) = bytes else { return Self::Null };
        match (json::document(bytes), str::from_utf8(bytes)) {
            (Some(document), _) => Self::Document(document),
            (None, Ok(text)) => Self::Text(text),
            (None, Err(_)) => Self::Base64(BASE64.encode(bytes)),
        }
    }
}

/// Writes bytes as the member `name`, or `nameBase64`.
pub(crate) fn entry<M: SerializeMap>(map: &mut M, name: &str, bytes: Option<&[u8]>) -> Result<(), M::Error> {
    match Shown::of(bytes) {
        Shown::Null => map.serialize_entry(name, &()),
        Shown::Document(text) => {
            let raw: Box<RawValue> = RawValue::from_string(text).map_err(M::Error::custom)?;
            map.serialize_entry(name, &raw)
        }
        Shown::Text(text) => map.serialize_entry(name, text),
        Shown::Base64(text) => map.serialize_entry(&format!("{name}Base64"), &text),
    }
}

/// A pair of a function's state, and the topic from whose events it is.
pub(crate) type Pair = (Arc<str>, Vec<u8>, Vec<u8>);

/// Pairs of the state of whoever `reads`.
pub(crate) fn state(value: Value<'_>, reads: &Reads<'_>) -> Option<Vec<Pair>> {
    let pair = |value: Value<'_>| {
        let object = value.object("a pair")?;
        object.only(&["topic", "key", "keyBase64", "value", "valueBase64"]);
        let (topic, key, value) = (reads.topic(&object), key_of(&object), value_of(&object));
        if let (None, Some(at)) = (&value, object.get("value")) {
            at.report(Fault::new("a pair has a value").note("leave the pair out"));
        }
        Some((topic?, key?, value?))
    };
    Some(value.list("the state")?.into_iter().filter_map(pair).collect())
}

/// The bytes of the key, which must stand there.
pub(crate) fn key_of(object: &Object<'_>) -> Option<Vec<u8>> {
    let key = bytes(object, "key");
    if !matches!(key, Some(Some(_))) && object.get("keyBase64").is_none() {
        object.report(Fault::new(format!("{} has no `key`", object.title())));
    }
    key.flatten()
}
