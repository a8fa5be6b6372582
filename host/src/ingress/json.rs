//! JSON text in its one form: a body with blanks gone, members ordered by name and strings escaped in one way.
//!
//! So the same content gives the same bytes, however a client spells it. Numbers stay as they were sent, digit by
//! digit: `serde_json::Value` would round those that a double cannot hold, and an event must not say other than its
//! request did. For the same reason a member that stands twice is refused: readers differ in which of the two counts.
//!
//! [`read`] lets serde_json judge the grammar and the depth (128 levels), so what it hands on is JSON.

use std::collections::BTreeMap;

use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// A JSON text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Json<'a> {
    Object(BTreeMap<String, Json<'a>>),
    List(Vec<Json<'a>>),
    Text(String),
    /// A number as it was sent, `true`, `false` or `null`.
    Plain(&'a str),
}

/// Why a body is not taken as JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Where as a JSON Pointer, when it is known.
    pub(super) pointer: Option<String>,
    /// What is wrong, with line and column.
    pub(super) detail: String,
}

/// Reads a body: as it will be written, and as schemas see it.
pub(super) fn read(body: &[u8]) -> Result<(Json<'_>, Value), Fault> {
    let told = |detail: String| Fault { pointer: None, detail };
    let value = serde_json::from_slice(body).map_err(|error| told(error.to_string()))?;
    let text = str::from_utf8(body).map_err(|error| told(error.to_string()))?;
    let json = Reader { text, at: 0 }.value().map_err(|wrong| {
        let before = text.get(..wrong.at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        Fault { pointer: Some(wrong.pointer), detail: format!("{} at line {line} column {column}", wrong.what) }
    })?;
    Ok((json, value))
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Object(members) => members.serialize(serializer),
            Self::List(values) => values.serialize(serializer),
            Self::Text(text) => text.serialize(serializer),
            Self::Plain(token) => {
                let raw: &RawValue = serde_json::from_str(token).map_err(S::Error::custom)?;
                raw.serialize(serializer)
            }
        }
    }
}

/// Reads text that is known to be JSON; of other text it makes nothing in particular.
struct Reader<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
}

/// What [`Reader`] stumbled over.
struct Wrong {
    pointer: String,
    what: &'static str,
    /// In bytes.
    at: usize,
}

impl Wrong {
    /// Seen from the object or list around it.
    fn under(mut self, name: &str) -> Self {
        self.pointer.insert_str(0, &format!("/{}", name.replace('~', "~0").replace('/', "~1")));
        self
    }
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Result<Json<'a>, Wrong> {
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.list(),
            Some(b'"') => self.string().map(Json::Text),
            _ => Ok(Json::Plain(self.token())),
        }
    }

    fn object(&mut self) -> Result<Json<'a>, Wrong> {
        let mut members = BTreeMap::new();
        self.at += 1;
        while self.peek() == Some(b'"') {
            let start = self.at;
            let name = self.string()?;
            self.skip(b':');
            let value = self.value().map_err(|wrong| wrong.under(&name))?;
            if members.contains_key(&name) {
                let wrong = Wrong { pointer: String::new(), what: "the member stands here a second time", at: start };
                return Err(wrong.under(&name));
            }
            members.insert(name, value);
            self.skip(b',');
        }
        self.skip(b'}');
        Ok(Json::Object(members))
    }

    fn list(&mut self) -> Result<Json<'a>, Wrong> {
        let mut values = Vec::new();
        self.at += 1;
        while self.peek().is_some_and(|byte| byte != b']') {
            values.push(self.value().map_err(|wrong| wrong.under(&values.len().to_string()))?);
            self.skip(b',');
        }
        self.skip(b']');
        Ok(Json::List(values))
    }

    fn string(&mut self) -> Result<String, Wrong> {
        let start = self.at;
        let mut bytes = self.text.bytes().enumerate().skip(start + 1);
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'\\' => drop(bytes.next()),
                b'"' => {
                    self.at = at + 1;
                    break;
                }
                _ => {}
            }
        }
        let token = self.text.get(start..self.at).unwrap_or_default();
        let wrong = |_| Wrong { pointer: String::new(), what: "the string cannot be read", at: start };
        serde_json::from_str(token).map_err(wrong)
    }

    fn token(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.find([',', ']', '}', ' ', '\t', '\r', '\n']).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// The next byte that is not blank.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes past `byte`, if it comes next.
    fn skip(&mut self, byte: u8) {
        if self.peek() == Some(byte) {
            self.at += 1;
        }
    }
}

/// A JSON Pointer (RFC 6901) to a member of an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    /// From the root to the object that holds the member.
    parents: Vec<String>,
    member: String,
}

impl Pointer {
    /// `None` when it is no pointer, or points at the whole body.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut names = text.strip_prefix('/')?.split('/').map(unescape).collect::<Option<Vec<_>>>()?;
        let member = names.pop()?;
        Some(Self { parents: names, member })
    }

    /// The member's name.
    pub(super) fn member(&self) -> &str {
        &self.member
    }

    /// The object that holds, or is to hold, the member.
    pub(super) fn home<'j, 'a>(&self, body: &'j mut Json<'a>) -> Option<&'j mut BTreeMap<String, Json<'a>>> {
        let mut home = body;
        for name in &self.parents {
            home = match home {
                Json::Object(members) => members.get_mut(name)?,
                Json::List(values) => values.get_mut(name.parse::<usize>().ok()?)?,
                Json::Text(_) | Json::Plain(_) => return None,
            };
        }
        match home {
            Json::Object(members) => Some(members),
            _ => None,
        }
    }
}

/// `~1` is `/`, `~0` is `~`, and no other `~` may stand in a pointer.
fn unescape(name: &str) -> Option<String> {
    let stray = name.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1']));
    (!stray).then(|| name.replace("~1", "/").replace("~0", "~"))
}

#[cfg(test)]
mod tests;
