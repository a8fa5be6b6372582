//! In what two verdicts on one event differ, in words.

use serde_json::Value;

use crate::deploy::shadow::{Difference, TEXT_BYTES_MAX};
use crate::event::{Change, Class, Effects, Failure, Output, cut};
use crate::worker::verdict::Verdict;

/// What differs first, what the active version did, and what the candidate would have done; `None` when they do the same.
pub(super) fn difference(active: &Verdict, candidate: &Verdict) -> Option<(Difference, String, String)> {
    let (difference, active, candidate) = match (active, candidate) {
        (Verdict::Apply(one), Verdict::Apply(other)) => match outputs(&one.outputs, &other.outputs) {
            Some((one, other)) => (Difference::Outputs, one, other),
            None => changes(&one.changes, &other.changes).map(|(one, other)| (Difference::State, one, other))?,
        },
        (Verdict::Fail { failure: one, .. }, Verdict::Fail { failure: other, .. }) if is_alike(one, other) => {
            return None;
        }
        _ => (Difference::Verdict, verdict(active), verdict(candidate)),
    };
    Some((difference, cut(active, TEXT_BYTES_MAX), cut(candidate, TEXT_BYTES_MAX)))
}

/// Whether two failures are one: what a function says counts word by word, what the host found only by its class, for a trap names
/// places in the code.
fn is_alike(one: &Failure, other: &Failure) -> bool {
    let is_said = matches!(one.class, Class::Rejected | Class::RetriesExhausted);
    one.class == other.class && (!is_said || one.reason == other.reason)
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Apply(Effects { outputs, changes }) => {
            format!("applied, {} outputs and {} changes of state", outputs.len(), changes.len())
        }
        Verdict::Fail { failure: Failure { class, reason }, .. } => format!("failed, {class}: {reason}"),
    }
}

fn outputs(one: &[Output], other: &[Output]) -> Option<(String, String)> {
    let longest = one.len().max(other.len());
    let at = (0..longest).find(|&i| one.get(i) != other.get(i))?;
    let (Some(a), Some(b)) = (one.get(at), other.get(at)) else {
        let said = |output: Option<&Output>| match output {
            Some(output) => format!("output {} to `{}`: {}", at + 1, output.topic, bytes(output.value.as_deref())),
            None => format!("no output {}", at + 1),
        };
        return Some((said(one.get(at)), said(other.get(at))));
    };
    let said = |what: &str, one: String, other: String| {
        let what = format!("output {} to `{}`, {what}", at + 1, a.topic);
        Some((format!("{what}: {one}"), format!("{what}: {other}")))
    };
    if a.topic != b.topic {
        let to = |output: &Output| format!("output {} to `{}`", at + 1, output.topic);
        return Some((to(a), to(b)));
    }
    if a.key != b.key {
        return said("key", bytes(a.key.as_deref()), bytes(b.key.as_deref()));
    }
    if a.headers != b.headers {
        let headers = |output: &Output| {
            let header = |h: &crate::event::Header| format!("{}={}", h.name, bytes(h.value.as_deref()));
            output.headers.iter().map(header).collect::<Vec<_>>().join(" ")
        };
        return said("headers", headers(a), headers(b));
    }
    match (json(a.value.as_deref()), json(b.value.as_deref())) {
        (Some(one), Some(other)) if one != other => {
            let (pointer, one, other) = apart(String::new(), &one, &other);
            said(if pointer.is_empty() { "value" } else { &pointer }, one, other)
        }
        _ => said("value", bytes(a.value.as_deref()), bytes(b.value.as_deref())),
    }
}

/// The JSON Pointer of the first place where two values differ, and what is there.
fn apart(pointer: String, one: &Value, other: &Value) -> (String, String, String) {
    let below = |key: &str, one: Option<&Value>, other: Option<&Value>| {
        let pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
        match (one, other) {
            (Some(one), Some(other)) => apart(pointer, one, other),
            _ => (pointer, text(one), text(other)),
        }
    };
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let key = one.keys().chain(other.keys()).find(|key| one.get(*key) != other.get(*key));
            key.map(|key| below(key, one.get(key), other.get(key)))
        }
        (Value::Array(one), Value::Array(other)) => {
            let at = (0..one.len().max(other.len())).find(|&i| one.get(i) != other.get(i));
            at.map(|i| below(&i.to_string(), one.get(i), other.get(i)))
        }
        _ => None,
    }
    .unwrap_or_else(|| (pointer.clone(), text(Some(one)), text(Some(other))))
}

fn text(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), Value::to_string)
}

fn json(value: Option<&[u8]>) -> Option<Value> {
    serde_json::from_slice(value?).ok()
}

fn changes(one: &[Change], other: &[Change]) -> Option<(String, String)> {
    let longest = one.len().max(other.len());
    let at = (0..longest).find(|&i| one.get(i) != other.get(i))?;
    let said = |change: Option<&Change>| match change {
        None => "no such change".to_owned(),
        Some((key, None)) => format!("key {} deleted", bytes(Some(key))),
        Some((key, Some(value))) => format!("key {} set to {}", bytes(Some(key)), bytes(Some(value))),
    };
    Some((said(one.get(at)), said(other.get(at))))
}

/// Bytes as text where they are UTF-8.
fn bytes(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "null".to_owned(),
        // More than is shown of them is not looked at.
        Some(bytes) => String::from_utf8_lossy(bytes.get(..TEXT_BYTES_MAX).unwrap_or(bytes)).into_owned(),
    }
}
