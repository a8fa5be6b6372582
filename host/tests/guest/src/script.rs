//! The event's value as a script.

use std::borrow::Cow;
use std::str::FromStr;

use fnhost_sdk::bindings::fnhost::function::types::{Event, Failure};
use serde_json::Value;

/// The script of `event`: its value, or what a value in JSON has under `do`. No value is no script.
pub(crate) fn of(event: &Event) -> Result<Cow<'_, str>, Failure> {
    let text = std::str::from_utf8(event.value.as_deref().unwrap_or_default())
        .map_err(|_| Failure::reject("the script is not UTF-8"))?;
    if !text.trim_start().starts_with('{') {
        return Ok(text.into());
    }
    let json: Value =
        serde_json::from_str(text).map_err(|error| Failure::reject(format!("the script is not JSON: {error}")))?;
    match json.get("do") {
        Some(Value::String(script)) => Ok(script.clone().into()),
        _ => Err(Failure::reject("the script has no text under `do`")),
    }
}

/// One step: a command, and what follows it.
pub(crate) struct Step<'a> {
    pub(crate) command: &'a str,
    /// What follows the command, without the spaces around it.
    rest: &'a str,
}

impl<'a> Step<'a> {
    pub(crate) fn of(step: &'a str) -> Self {
        let (command, rest) = split(step.trim());
        Self { command, rest }
    }

    /// Everything after the command.
    pub(crate) fn text(&self) -> &'a str {
        self.rest
    }

    /// Everything after the first `words` words that follow the command.
    pub(crate) fn text_after(&self, words: usize) -> &'a str {
        (0..words).fold(self.rest, |rest, _| split(rest).1)
    }

    /// The word number `index` after the command.
    pub(crate) fn word(&self, index: usize) -> Result<&'a str, Failure> {
        match split(self.text_after(index)).0 {
            "" => Err(Failure::reject(format!("step `{}` needs more words", self.command))),
            word => Ok(word),
        }
    }

    /// That word as a number.
    pub(crate) fn number<T: FromStr>(&self, index: usize) -> Result<T, Failure> {
        let word = self.word(index)?;
        word.parse().map_err(|_| Failure::reject(format!("step `{}`: `{word}` is no number here", self.command)))
    }
}

fn split(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    (word, rest.trim_start())
}
