//! How events ended, as `expected.json` has it: what was published and what changed, or why an event failed.
//!
//! The same types are read from a file and made from what a function did, and written in one way ([`text_of`]); so
//! what came out can be compared with what was expected, and can take its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::form::{Published, bytes, entry, key_of};
use super::json;
use super::read::{Object, Value};
use crate::app::fault::undeclared;
use crate::app::{App, Function};
use crate::event::{self, Change, Class};

/// How an event ended for one function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// What is published, in this order.
    pub outputs: Vec<Published>,
    /// What changes in the function's state, ordered by key.
    pub changes: Vec<Change>,
    /// Why it failed, if it did. Then nothing is published or changed.
    pub failure: Option<Failed>,
}

/// Why an event failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The kind, and what happened.
    pub failure: event::Failure,
    /// How often it was tried.
    pub attempts: u32,
}

/// How a flow ended: what is on the app's topics beside the events that were put there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FlowEnding {
    /// By topic, in the order of the topic.
    pub(super) published: BTreeMap<Arc<str>, Vec<Published>>,
    /// On the error topic, in its order.
    pub(super) errors: Vec<ErrorEvent>,
}

/// An error event, without what differs from one build to the next: versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ErrorEvent {
    /// Who failed.
    pub(super) function: String,
    /// Where the event came from.
    pub(super) topic: String,
    /// Its key.
    pub(super) key: Option<Vec<u8>>,
    pub(super) failed: Failed,
}

impl Failed {
    /// The same without the places in machine code that a trap's reason ends with: they differ from one build to the next.
    pub(super) fn without_places(mut self) -> Self {
        let reason = &mut self.failure.reason;
        if self.failure.class == Class::Trapped
            && let Some(end) = reason.rfind("; at ")
        {
            reason.truncate(end);
        }
        self
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("class", self.failure.class.name())?;
        map.serialize_entry("reason", &self.failure.reason)?;
        if self.attempts > 1 {
            map.serialize_entry("attempts", &self.attempts)?;
        }
        Ok(())
    }

    fn read(object: &Object<'_>) -> Option<Self> {
        let class = object.required("class");
        let known = Class::ALL.map(Class::name);
        let found = class.as_ref().and_then(|name| Class::ALL.into_iter().find(|class| class.name() == name));
        if let (None, Some(name), Some(at)) = (found, class, object.get("class")) {
            at.report(undeclared(format!("no failure is of class `{name}`"), &name, &known, ""));
        }
        let reason = object.required("reason");
        let attempts = object.get("attempts").map_or(Some(1), |value| value.count("`attempts`"));
        Some(Self { failure: event::Failure::new(found?, reason?), attempts: attempts? })
    }
}

impl Ending {
    /// Reads how an event ended for `function`.
    pub(super) fn read(value: Value<'_>, function: &Function) -> Option<Self> {
        let object = value.object("the end of an event")?;
        object.only(&["outputs", "changes", "failure"]);
        let list = |name: &str| object.get(name).and_then(|value| value.list(&format!("`{name}`")));
        let outputs = list("outputs").into_iter().flatten().filter_map(|value| Published::read(value, function));
        let outputs = outputs.collect();
        let changes = list("changes").into_iter().flatten().filter_map(read_change).collect();
        let failure = object.get("failure").and_then(|value| {
            let failure = value.object("a failure")?;
            failure.only(&["class", "reason", "attempts"]);
            Failed::read(&failure)
        });
        Some(Self { outputs, changes, failure })
    }

    /// The same without what differs from one build to the next.
    pub(super) fn without_places(self) -> Self {
        Self { failure: self.failure.map(Failed::without_places), ..self }
    }
}

fn read_change(value: Value<'_>) -> Option<Change> {
    let object = value.object("a change")?;
    object.only(&["key", "keyBase64", "value", "valueBase64"]);
    Some((key_of(&object)?, super::form::value_of(&object)))
}

/// A change of state, as it is written.
pub struct WrittenChange<'a>(pub &'a Change);

impl Serialize for WrittenChange<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        entry(&mut map, "key", Some(&self.0.0))?;
        entry(&mut map, "value", self.0.1.as_deref())?;
        map.end()
    }
}

impl Serialize for Failed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.write(&mut map)?;
        map.end()
    }
}

impl Serialize for Ending {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.outputs.is_empty() {
            map.serialize_entry("outputs", &self.outputs)?;
        }
        if !self.changes.is_empty() {
            map.serialize_entry("changes", &self.changes.iter().map(WrittenChange).collect::<Vec<_>>())?;
        }
        if let Some(failed) = &self.failure {
            map.serialize_entry("failure", failed)?;
        }
        map.end()
    }
}

impl FlowEnding {
    /// The same without what differs from one build to the next.
    pub(super) fn without_places(mut self) -> Self {
        for error in &mut self.errors {
            error.failed = error.failed.clone().without_places();
        }
        self
    }

    /// Reads what is on the topics of `app`.
    pub(super) fn read(value: Value<'_>, app: &App) -> Option<Self> {
        let object = value.object("the end of a flow")?;
        let known: Vec<&str> = app.topics.keys().map(|topic| &**topic).collect();
        let mut ending = Self::default();
        for member in object.members() {
            let name = member.name.as_str();
            let events = member.value.list(&format!("what is on topic `{name}`"));
            match app.topics.get_key_value(name) {
                None => member.at.report(undeclared(format!("app.toml declares no topic `{name}`"), name, &known, "")),
                Some(_) if name == App::ERROR_TOPIC => {
                    ending.errors = events.into_iter().flatten().filter_map(ErrorEvent::read).collect();
                }
                Some((topic, _)) => {
                    let events: Vec<_> = events.into_iter().flatten().filter_map(Published::read_on_topic).collect();
                    // An empty list says what is so without it.
                    if !events.is_empty() {
                        ending.published.insert(Arc::clone(topic), events);
                    }
                }
            }
        }
        Some(ending)
    }
}

impl ErrorEvent {
    fn read(value: Value<'_>) -> Option<Self> {
        let object = value.object("an error event")?;
        object.only(&["function", "topic", "key", "keyBase64", "class", "reason", "attempts"]);
        let (function, topic) = (object.required("function"), object.required("topic"));
        let (key, failed) = (bytes(&object, "key").unwrap_or_default(), Failed::read(&object));
        Some(Self { function: function?, topic: topic?, key, failed: failed? })
    }
}

impl Serialize for ErrorEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("function", &self.function)?;
        map.serialize_entry("topic", &self.topic)?;
        if self.key.is_some() {
            entry(&mut map, "key", self.key.as_deref())?;
        }
        self.failed.write(&mut map)?;
        map.end()
    }
}

impl Serialize for FlowEnding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (topic, events) in &self.published {
            map.serialize_entry(&**topic, events)?;
        }
        if !self.errors.is_empty() {
            map.serialize_entry(App::ERROR_TOPIC, &self.errors)?;
        }
        map.end()
    }
}

/// The text that `expected.json` has for this, with a line break at its end.
pub(super) fn text_of(ending: &impl Serialize) -> String {
    // It is strings and numbers under names that are strings: that cannot fail.
    serde_json::to_string(ending).map(|text| json::pretty(&text)).unwrap_or_default() + "\n"
}
