//! State as values of a type. They are kept as JSON, so that people can read what a function keeps.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::event::{trace, unplaced};
use crate::{Failure, State};

/// A reason shows as many characters of a key, and of a path, at most.
const SHOWN_CHARS_MAX: usize = 100;

/// State as values of a type.
///
/// Values are JSON, so what a type lets its JSON be read as is what it may become: a field that is added later needs
/// `#[serde(default)]`, for values that were written without it.
pub trait TypedState: State {
    /// The value under `key`, or none when there is none.
    ///
    /// # Errors
    ///
    /// [`Failure::Reject`] when what is there is no `T`. The reason has the key, and what is wrong and where. It quotes
    /// nothing of the value, apart from keys of maps on the way there.
    fn get_json<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, Failure> {
        self.get(key).map(|value| decode(key, &value)).transpose()
    }

    /// Puts `value` under `key`, in place of what was there.
    ///
    /// Equal values are equal bytes as long as they are written in one order: a `BTreeMap` is, a `HashMap` is not.
    ///
    /// # Errors
    ///
    /// [`Failure::Reject`] when `value` is nothing that JSON can hold. What was there stays.
    fn set_json(&mut self, key: &[u8], value: &(impl Serialize + ?Sized)) -> Result<(), Failure> {
        let value = serde_json::to_vec(value).map_err(|error| {
            Failure::reject(format!("state under `{}` cannot be written as JSON: {error}", shown_key(key)))
        })?;
        self.set(key, &value);
        Ok(())
    }
}

impl<S: State + ?Sized> TypedState for S {}

fn decode<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, Failure> {
    let json = std::str::from_utf8(value).map_err(|error| unreadable(key, &format!("it is not UTF-8: {error}")))?;
    serde_json::from_str(json).map_err(|error| unreadable(key, &explain::<T>(json, &error)))
}

#[cold]
fn unreadable(key: &[u8], reason: &str) -> Failure {
    Failure::reject(format!("state under `{}` cannot be read: {reason}", shown_key(key)))
}

/// Why `json` is no `T`.
#[cold]
fn explain<T: DeserializeOwned>(json: &str, error: &serde_json::Error) -> String {
    if error.classify() != Category::Data {
        return format!("it is not JSON: {error}");
    }
    let fault = unquoted(unplaced(&error.to_string(), error));
    match trace::<T>(json) {
        Err((path, _)) if path != "." => format!("{}: {fault}", shown(&path)),
        _ => fault,
    }
}

/// What serde says is wrong, without what it quotes of the value.
fn unquoted(fault: &str) -> String {
    // These name fields and types, and nothing that was read.
    const QUOTE_NOTHING: [&str; 3] =
        ["missing field `", "duplicate field `", "data did not match any variant of untagged enum "];
    // After these comes what was read, and at the end what the type wants, if there is anything.
    const QUOTE: [&str; 5] = ["invalid type", "invalid value", "invalid length", "unknown variant", "unknown field"];
    const WANT_NOTHING: [&str; 2] = ["`, there are no variants", "`, there are no fields"];

    if QUOTE_NOTHING.iter().any(|beginning| fault.starts_with(beginning)) {
        return fault.to_owned();
    }
    let Some(found) = QUOTE.iter().find(|beginning| fault.starts_with(**beginning)) else {
        return "its type refuses it".to_owned();
    };
    match fault.rsplit_once(", expected ") {
        Some((_, wanted)) if !WANT_NOTHING.iter().any(|end| fault.ends_with(end)) => {
            format!("{found}, expected {wanted}")
        }
        _ => (*found).to_owned(),
    }
}

fn shown_key(key: &[u8]) -> String {
    shown(&String::from_utf8_lossy(key))
}

/// `text` as it can stand in one line of a reason.
fn shown(text: &str) -> String {
    let printable = |char: char| if char.is_control() { char::REPLACEMENT_CHARACTER } else { char };
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).map(printable).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}
