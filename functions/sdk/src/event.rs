//! Records as CloudEvents: what becomes of a [`RawEvent`] before the handler sees it.
//!
//! Events are CloudEvents 1.0 in structured mode: one JSON document in the record's value. Attributes and data are
//! read in one pass and borrow from the record. Whatever cannot be read so is rejected, and only then is it read
//! again, step by step, to say what is wrong and where: good events do not pay for bad ones.
//!
//! Key, headers and topic are not looked at: an event may be written with Kafka's console tools.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::{Failure, RawEvent};

/// A CloudEvent whose data is a `T`.
#[derive(Debug, Clone)]
pub struct Event<'a, T> {
    /// Unique within `source`.
    pub id: Cow<'a, str>,
    /// Who published it.
    pub source: Cow<'a, str>,
    /// What happened.
    pub kind: Cow<'a, str>,
    /// What it happened to. CloudEvents lets it be absent; here it is the key of everything that follows.
    pub subject: Cow<'a, str>,
    /// When it happened, as it was written (RFC 3339).
    pub time: Option<Cow<'a, str>>,
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
            Some(event) => Ok(event),
            None => Err(Failure::reject(explain::<T>(json))),
        }
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
        if value.is_empty() {
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
    format!("the event is not the CloudEvent expected here: {}", reason.as_deref().unwrap_or("it cannot be read"))
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
