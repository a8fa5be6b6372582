//! An event on one line, for people: time, partition@offset, key, value.
//!
//! Control characters are escaped, so that no event can play with the terminal. What is cut ends with `…`.

use std::io;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The longest line where there is no terminal, in characters.
const CHARS_MAX: usize = 200;

/// How much of a line is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// All of it, headers too.
    Full,
    /// At most this many characters.
    Chars(usize),
}

impl Width {
    /// What fits into the terminal that stdout is.
    pub(super) fn of_stdout() -> Self {
        match rustix::termios::tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 => Self::Chars(size.ws_col.into()),
            _ => Self::Chars(CHARS_MAX),
        }
    }
}

/// An event, as a host writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    partition: i32,
    offset: i64,
    timestamp: Option<&'a str>,
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    key_base64: Option<&'a str>,
    #[serde(borrow, default)]
    headers: Vec<Header<'a>>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    value_base64: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header<'a> {
    name: String,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    value_base64: Option<&'a str>,
}

/// The line of an event.
pub(super) fn of(json: &str, width: Width) -> serde_json::Result<String> {
    let event: Event<'_> = serde_json::from_str(json)?;
    let time = event.timestamp.unwrap_or("-");
    let mut line = format!("{time}  {}@{}  ", event.partition, event.offset);
    line.push_str(&shown(event.key, event.key_base64, "-"));
    if width == Width::Full {
        for Header { name, value, value_base64 } in &event.headers {
            line.push_str(&format!("  {}={}", escaped(name), shown(*value, *value_base64, "null")));
        }
    }
    line.push_str("  ");
    line.push_str(&shown(event.value, event.value_base64, "null"));
    Ok(match width {
        Width::Full => line,
        Width::Chars(max) => cut(line, max),
    })
}

/// Bytes that the host wrote as JSON. Kafka's null reads as no value here.
fn shown(plain: Option<&RawValue>, base64: Option<&str>, null: &str) -> String {
    match (plain.map(RawValue::get), base64) {
        (Some(text), _) if text.starts_with('"') => {
            serde_json::from_str::<String>(text).map_or_else(|_| text.into(), |t| escaped(&t))
        }
        (Some(document), _) => escaped(document),
        (None, Some(base64)) => format!("base64:{base64}"),
        (None, None) => null.to_owned(),
    }
}

fn escaped(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.into() }).collect()
}

fn cut(mut line: String, max: usize) -> String {
    if line.chars().count() > max {
        let end = line.char_indices().nth(max.saturating_sub(1)).map_or(0, |(at, _)| at);
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_legible_line() {
        let event = r#"{"topic":"orders","partition":2,"offset":17,"timestamp":"2026-11-21T06:43:01.003Z","key":"4711","headers":[{"name":"trace","value":"a\nb"},{"name":"raw","valueBase64":"/w=="}],"value":{"id":"4711"}}"#;
        let lines = [
            of(event, Width::Full).unwrap(),
            of(event, Width::Chars(200)).unwrap(),
            of(event, Width::Chars(48)).unwrap(),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r#"
        2026-11-21T06:43:01.003Z  2@17  4711  trace=a\nb  raw=base64:/w==  {"id":"4711"}
        2026-11-21T06:43:01.003Z  2@17  4711  {"id":"4711"}
        2026-11-21T06:43:01.003Z  2@17  4711  {"id":"47…
        "#);
        assert_eq!(lines[2].chars().count(), 48);
    }

    #[test]
    fn null_bytes_and_control_characters_are_told_apart_and_do_no_harm() {
        let line = |rest: &str| of(&format!(r#"{{"partition":0,"offset":1,{rest}}}"#), Width::Chars(200)).unwrap();
        let lines = [
            line(r#""value":null"#),
            line(r#""key":"","value":"\u001b[2J\u0007""#),
            line(r#""keyBase64":"/g==","valueBase64":"/w==""#),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        -  0@1  -  null
        -  0@1    \u{1b}[2J\u{7}
        -  0@1  base64:/g==  base64:/w==
        ");
    }
}
