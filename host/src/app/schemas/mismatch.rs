//! What does not fit a schema, in words for whoever sent it.

use std::fmt;

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value;

/// One thing that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Mismatch {
    /// Where: a JSON Pointer (RFC 6901). A long one is cut.
    pub pointer: String,
    /// What is wrong there, such as `-1 is less than the minimum of 1`. Long values are cut.
    pub detail: String,
}

impl Mismatch {
    /// At most so many are named.
    pub const COUNT_MAX: usize = 32;

    /// A longer pointer or detail is cut.
    const CHARS_MAX: usize = 240;

    /// A longer value is cut where a detail quotes it.
    const VALUE_CHARS_MAX: usize = 64;

    /// A mismatch, cut to its limits.
    pub(super) fn new(pointer: String, detail: String) -> Self {
        Self { pointer: cut(pointer, Self::CHARS_MAX), detail: cut(detail, Self::CHARS_MAX) }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pointer.as_str() {
            "" => f.write_str(&self.detail),
            pointer => write!(f, "{pointer}: {}", self.detail),
        }
    }
}

/// Adds what an error says: one mismatch, or one for each property that must not be there.
pub(super) fn collect(error: &ValidationError<'_>, mismatches: &mut Vec<Mismatch>) {
    let pointer = error.instance_path().as_str();
    match error.kind() {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let unknown = |name: &String| Mismatch::new(beneath(pointer, name), "this property is not known".into());
            mismatches.extend(unexpected.iter().take(Mismatch::COUNT_MAX).map(unknown));
        }
        Kind::PropertyNames { error: inner } => {
            let name = inner.instance().as_str().unwrap_or_default();
            mismatches.push(Mismatch::new(beneath(pointer, name), format!("this property's name: {}", say(inner))));
        }
        Kind::FalseSchema => mismatches.push(Mismatch::new(pointer.into(), "this must not be here".into())),
        _ => mismatches.push(Mismatch::new(pointer.into(), say(error))),
    }
}

/// The error in words, with its value shortened.
fn say(error: &ValidationError<'_>) -> String {
    let value: &Value = error.instance();
    let shown = match value {
        Value::Object(_) => "this object".into(),
        Value::Array(_) => "this list".into(),
        other => cut(other.to_string(), Mismatch::VALUE_CHARS_MAX),
    };
    error.masked_with(shown).to_string()
}

/// The pointer to a member.
fn beneath(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn cut(text: String, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}
