//! Part of an event that a function reads and passes on as it is.

use std::ops::Deref;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::event::traced;

/// A value beside the JSON it was read from.
///
/// Written again it is that JSON, byte for byte: fields that this function does not know stay, and numbers and
/// escapes keep their spelling. In a struct it needs `#[serde(borrow)]`.
#[derive(Debug, Clone, Copy)]
pub struct Verbatim<'a, T> {
    json: &'a RawValue,
    value: T,
}

impl<'a, T> Verbatim<'a, T> {
    /// The JSON as it was in the event.
    pub fn json(&self) -> &'a str {
        self.json.get()
    }
}

impl<T> Deref for Verbatim<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<'de: 'a, 'a, T: Deserialize<'a>> Deserialize<'de> for Verbatim<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&'de RawValue>::deserialize(deserializer)?;
        match serde_json::from_str(json.get()) {
            Ok(value) => Ok(Self { json, value }),
            Err(_) => Err(D::Error::custom(traced::<T>("", json.get()).err().unwrap_or_default())),
        }
    }
}

impl<T> Serialize for Verbatim<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}
