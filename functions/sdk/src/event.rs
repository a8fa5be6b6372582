//! Records as CloudEvents: what becomes of a [`RawEvent`] before the handler sees it.
//!
//! Events are CloudEvents 1.0 in structured mode: one JSON document in the record's value. Attributes and data are
//! read in one pass and borrow from the record. Whatever cannot be read so is rejected, and only then is it read
//! again, step by step, to say what is wrong and where: good events do not pay for bad ones.
//!
//! Key, headers and topic are not looked at: an event may be written with Kafka's console tools.
//!
//! A function that is given events of several types takes their data [`Unread`], looks at the type, and has it read then.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::{ErrorEvent, Failure, RawEvent};

/// A CloudEvent whose data is a `T`.
#[derive(Debug, Clone)]
pub struct Event<'a, T> {
    /// Unique within `source`.
    pub id: Cow<'a, str>,
    /// Who published it.
    pub source: Cow<'a, str>,
    /// What happened.
    pub kind: Cow<'a, str>,
    /// What it happened to. CloudEvents lets it be absent; here it is the key of everything that follows. Empty on an
    /// [`ErrorEvent`] of an event that had none, and there alone: what answers it then has neither subject nor key.
    pub subject: Cow<'a, str>,
    /// When it happened, as it was written (RFC 3339).
    pub time: Option<Cow<'a, str>>,
    /// When its record was written, in milliseconds since the Unix epoch, by the clock of its producer or of the broker
    /// (the topic's `message.timestamp.type` says which). It lies on the topic: whoever handles the event sees the same.
    pub timestamp: Option<u64>,
    /// What there is to say about it.
    pub data: T,
    /// How long the document is: what an output that passes it on needs, about.
    pub(crate) bytes: usize,
}

/// The document as it is written. An attribute that is absent is empty here, since CloudEvents allows none to be.
#[derive(Deserialize)]
struct Document<'a, T> {
    #[serde(borrow, default)]
    specversion: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    source: Cow<'a, str>,
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    subject: Cow<'a, str>,
    #[serde(borrow, default)]
    time: Cow<'a, str>,
    data: Option<T>,
}

impl<'a, T: Deserialize<'a>> Event<'a, T> {
    /// Reads the CloudEvent in the value of `event`.
    ///
    /// # Errors
    ///
    /// [`Failure::Reject`] with the reason, when there is none, or its data is no `T`.
    pub fn decode(event: &'a RawEvent) -> Result<Self, Failure> {
        let Some(value) = &event.value else {
            return Err(Failure::reject("the event has no value (null), so it is no CloudEvent"));
        };
        let json = std::str::from_utf8(value)
            .map_err(|error| Failure::reject(format!("the event's value is not UTF-8: {error}")))?;
        match read(json) {
            Some(read) => Ok(Self { timestamp: event.timestamp, ..read }),
            None => Err(Failure::reject(explain::<T>(json))),
        }
    }
}

/// Data of a type that the event's type decides.
///
/// ```
/// use fnhost_sdk::prelude::*;
/// use fnhost_sdk::{Tick, Unread};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Put {
///     amount: u32,
/// }
///
/// fn handle(event: Event<'_, Unread<'_>>, context: &mut Context<'_>) -> Outcome {
///     match event.kind.as_ref() {
///         Tick::TYPE => {
///             let tick = event.read::<Tick<'_>>()?;
///             context.log.info("baskets", &format!("schedule {} has a tick", tick.data.schedule));
///             Ok(vec![])
///         }
///         "shop.put" => {
///             let put = event.read::<Put>()?;
///             context.log.info("baskets", &format!("{} are put", put.data.amount));
///             Ok(vec![])
///         }
///         other => Err(Failure::reject(format!("an event of type `{other}` does not belong here"))),
///     }
/// }
///
/// fnhost_sdk::function!(handle, source = "/shop/baskets");
/// # fn main() {}
/// ```
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(transparent)]
pub struct Unread<'a>(#[serde(borrow)] &'a RawValue);

impl<'a> Event<'a, Unread<'a>> {
    /// The event with its data as a `T`.
    ///
    /// # Errors
    ///
    /// [`Failure::Reject`] with the reason, when its data is no `T`.
    pub fn read<T: Deserialize<'a>>(self) -> Result<Event<'a, T>, Failure> {
        let Self { id, source, kind, subject, time, timestamp, data: Unread(json), bytes } = self;
        let data = match serde_json::from_str(json.get()) {
            Ok(data) => data,
            // Read again, to say where: good events do not pay for bad ones.
            Err(error) => {
                let reason = traced::<T>("data", json.get()).err().unwrap_or_else(|| error.to_string());
                return Err(Failure::reject(unexpected(&reason)));
            }
        };
        Ok(Event { id, source, kind, subject, time, timestamp, data, bytes })
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Option<Event<'a, T>> {
    let document: Document<'a, T> = object(json).then(|| serde_json::from_str(json).ok())??;
    if fault(&document).is_some() {
        return None;
    }
    Some(Event {
        id: document.id,
        source: document.source,
        kind: document.kind,
        subject: document.subject,
        time: (!document.time.is_empty()).then_some(document.time),
        timestamp: None,
        data: document.data?,
        bytes: json.len(),
    })
}

/// Whether `json` begins as an object does. serde also takes an array for a struct, its fields in order.
fn object(json: &str) -> bool {
    json.trim_ascii_start().starts_with('{')
}

/// What is wrong with a document that could be read.
fn fault<T>(document: &Document<'_, T>) -> Option<String> {
    if document.specversion.is_empty() {
        return Some("`specversion` is missing".into());
    }
    if document.specversion != "1.0" {
        return Some(format!("its `specversion` is `{}`, and only `1.0` is known", document.specversion));
    }
    for (name, value) in
        [("id", &document.id), ("source", &document.source), ("type", &document.kind), ("subject", &document.subject)]
    {
        // The host cannot say what an event was about that did not say so itself.
        let may_be = name == "subject" && document.kind == ErrorEvent::TYPE;
        if value.is_empty() && !may_be {
            return Some(format!("`{name}` is missing"));
        }
    }
    document.data.is_none().then(|| "`data` is missing".into())
}

/// Why `json` is no event of `T`: first as JSON, then as a CloudEvent, then as a `T`.
#[cold]
fn explain<'a, T: Deserialize<'a>>(json: &'a str) -> String {
    if let Err(error) = serde_json::from_str::<IgnoredAny>(json) {
        return format!("the event's value is not JSON: {error}");
    }
    if !object(json) {
        return "the event's value is JSON, but no object".into();
    }
    let reason = match traced::<Document<'a, &RawValue>>("", json) {
        Err(reason) => Some(reason),
        Ok(document) => fault(&document).or_else(|| traced::<T>("data", document.data?.get()).err()),
    };
    unexpected(reason.as_deref().unwrap_or("it cannot be read"))
}

fn unexpected(reason: &str) -> String {
    format!("the event is not the CloudEvent expected here: {reason}")
}

/// Reads a `T`, which lies at `place`, and keeps track of where a fault lies.
pub(crate) fn traced<'a, T: Deserialize<'a>>(place: &str, json: &'a str) -> Result<T, String> {
    trace(json).map_err(|(path, error)| {
        let reason = error.to_string();
        let reason = unplaced(&reason, &error);
        match (place, path.as_str()) {
            ("", ".") => reason.to_owned(),
            (place, ".") => format!("{place}: {reason}"),
            ("", path) => format!("{path}: {reason}"),
            (place, path) => format!("{place}.{path}: {reason}"),
        }
    })
}

/// Reads a `T`, or says what is wrong and on which path; the path is `.` when it is all of it.
pub(crate) fn trace<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, (String, serde_json::Error)> {
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json))
        .map_err(|error| (error.path().to_string(), error.into_inner()))
}

/// What `error` says, without line and column: in a document of one line the path says more.
pub(crate) fn unplaced<'a>(reason: &'a str, error: &serde_json::Error) -> &'a str {
    let position = format!(" at line {} column {}", error.line(), error.column());
    reason.strip_suffix(position.as_str()).unwrap_or(reason)
}
