//! JSON text taken apart and laid out, with nothing read into it: numbers keep their digits, members their order, and
//! one that stands twice stands twice. What is given must be JSON; of other text it makes nothing in particular.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What is longer is broken into lines.
const WIDTH: usize = 110;
/// What is deeper is not laid out: as deep as serde_json reads.
const DEPTH_MAX: usize = 128;

/// The text without what is blank between its parts.
pub(super) fn compact(json: &str) -> String {
    let mut outside = Outside::default();
    json.chars().filter(|&c| !outside.next(c) || !c.is_ascii_whitespace()).collect()
}

/// The object or list that `bytes` are, in its compact form; `None` when they are something else.
pub(super) fn document(bytes: &[u8]) -> Option<String> {
    let text = str::from_utf8(bytes).ok()?;
    if !text.trim_ascii_start().starts_with(['{', '[']) || depth(text) > DEPTH_MAX {
        return None;
    }
    serde_json::from_str::<&RawValue>(text).ok().map(|_| compact(text))
}

/// The members of an object: the name as it stands in the text, and the value.
pub(super) fn members(json: &str) -> Vec<(&str, &str)> {
    let members: Members<'_> = serde_json::from_str(json).unwrap_or_default();
    members.0.into_iter().map(|(name, value)| (name.get(), value.get())).collect()
}

/// The values of a list.
pub(super) fn items(json: &str) -> Vec<&str> {
    let items: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
    items.into_iter().map(RawValue::get).collect()
}

/// The text for people: on a line what fits on one, everything else a part a line. Ends without a line break.
pub fn pretty(json: &str) -> String {
    let mut out = String::new();
    lay(&compact(json), Place { indent: 0, before: 0 }, &mut out);
    out
}

/// Where a value is written.
#[derive(Clone, Copy)]
struct Place {
    /// How far its lines are moved in.
    indent: usize,
    /// What stands on its first line already, and will stand behind it.
    before: usize,
}

fn lay(json: &str, place: Place, out: &mut String) {
    let line = spaced(json);
    if place.indent + place.before + line.chars().count() <= WIDTH {
        return out.push_str(&line);
    }
    let indent = place.indent + 2;
    match json.chars().next() {
        Some('{') => parts(out, place.indent, ('{', '}'), members(json), |(name, value), out| {
            out.push_str(name);
            out.push_str(": ");
            lay(value, Place { indent, before: name.chars().count() + 3 }, out);
        }),
        Some('[') => parts(out, place.indent, ('[', ']'), items(json), |value, out| {
            lay(value, Place { indent, before: 1 }, out);
        }),
        _ => out.push_str(&line),
    }
}

/// Each part on lines of its own, between brackets.
fn parts<T>(
    out: &mut String,
    indent: usize,
    brackets: (char, char),
    parts: Vec<T>,
    mut write: impl FnMut(T, &mut String),
) {
    let begin = |out: &mut String, indent: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', indent));
    };
    out.push(brackets.0);
    let last = parts.len().saturating_sub(1);
    for (i, part) in parts.into_iter().enumerate() {
        begin(out, indent + 2);
        write(part, out);
        if i < last {
            out.push(',');
        }
    }
    begin(out, indent);
    out.push(brackets.1);
}

/// Compact text on one line, as people write it.
fn spaced(json: &str) -> String {
    let mut outside = Outside::default();
    let mut before = ' ';
    let mut out = String::with_capacity(json.len() * 5 / 4);
    for c in json.chars() {
        let structure = outside.next(c);
        if (before == '{') != (structure && c == '}') {
            out.push(' ');
        }
        out.push(c);
        if structure && matches!(c, ',' | ':') {
            out.push(' ');
        }
        before = if structure { c } else { ' ' };
    }
    out
}

fn depth(json: &str) -> usize {
    let mut outside = Outside::default();
    let (mut depth, mut deepest) = (0_usize, 0);
    for c in json.chars() {
        match (outside.next(c), c) {
            (true, '{' | '[') => depth += 1,
            (true, '}' | ']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Tells what stands in a string from what stands outside of it.
#[derive(Default)]
struct Outside {
    in_string: bool,
    escaped: bool,
}

impl Outside {
    /// Whether the next character stands outside of strings. A quotation mark is taken as a part of its string.
    fn next(&mut self, c: char) -> bool {
        let outside = !self.in_string && c != '"';
        match c {
            '"' if !self.escaped => self.in_string = !self.in_string,
            _ => {}
        }
        self.escaped = self.in_string && c == '\\' && !self.escaped;
        outside
    }
}

/// An object as its members, in their order.
#[derive(Default)]
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Vec<(&'de RawValue, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(All).map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn what_fits_on_a_line_stands_on_one_and_numbers_keep_their_digits() {
        let json = "{\"a\":[1.10, 1e400],\n \"b\" : {},\"c\":[ ],\"text\":\"a, {b}: \\\" [\"}";
        assert_eq!(pretty(json), r#"{ "a": [1.10, 1e400], "b": {}, "c": [], "text": "a, {b}: \" [" }"#);
    }

    #[test]
    fn what_does_not_fit_is_broken_at_the_outermost_brackets() {
        let long = "x".repeat(WIDTH - 20);
        let json = format!(r#"{{"z":[{{"id":1}},{{"text":"{long}"}}],"a":{{"b":true}}}}"#);
        let expected = format!(
            "{{\n  \"z\": [\n    {{ \"id\": 1 }},\n    {{ \"text\": \"{long}\" }}\n  ],\n  \"a\": {{ \"b\": true }}\n}}"
        );
        assert_eq!(pretty(&json), expected);
    }

    #[test]
    fn only_objects_and_lists_are_documents_and_none_that_is_too_deep() {
        assert_eq!(document(b" {\"a\" : 1} ").as_deref(), Some(r#"{"a":1}"#));
        let deep = "[".repeat(200) + &"]".repeat(200);
        for other in ["1", "\"{}\"", "null", "{", "{} {}", "", deep.as_str()] {
            assert_eq!(document(other.as_bytes()), None, "{other}");
        }
        assert_eq!(document(b"[\xff]"), None);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<i32>().prop_map(Value::from), ".{0,60}".prop_map(Value::from), Just(Value::Null)];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(".{0,20}", inner, 0..6).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn laid_out_text_says_the_same_and_becomes_the_same_again(value in value()) {
            let text = value.to_string();
            let laid_out = pretty(&text);
            prop_assert_eq!(serde_json::from_str::<Value>(&laid_out).unwrap(), value);
            prop_assert_eq!(compact(&laid_out), text);
        }
    }
}
