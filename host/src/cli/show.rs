//! Events as `demo` and `dev` show them: a line each, legible without colour.

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::worker::error_event::rfc3339;
use crate::worker::tap::Passed;

/// Longer keys are cut.
const KEY_CHARS_MAX: usize = 36;

/// One line: the time of day in UTC, where, about what, by whom, and what came of it.
pub(super) fn line(out: &mut dyn Write, topic: &str, key: &str, function: &str, what: &str) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = rfc3339(u64::try_from(now.as_millis()).unwrap_or_default());
    let time = now.split_once('T').map_or(now.as_str(), |(_, time)| time.trim_end_matches('Z'));
    writeln!(out, "{time}  {topic:<24} {key:<14} {function:<13} {}", what.trim_end())
}

/// An event that was handled.
pub(super) fn passed(out: &mut dyn Write, event: &Passed) -> io::Result<()> {
    line(out, &event.partition.topic, &key(event), &event.function, &verdict(event))
}

/// The key as people read it.
pub(super) fn key(event: &Passed) -> String {
    let Some(key) = &event.key else { return "(no key)".to_owned() };
    let key = String::from_utf8_lossy(key);
    let printable: String = key.chars().map(|c| if c.is_control() { '.' } else { c }).collect();
    match printable.char_indices().nth(KEY_CHARS_MAX) {
        None => printable,
        Some((end, _)) => format!("{}…", printable.get(..end).unwrap_or_default()),
    }
}

fn verdict(event: &Passed) -> String {
    match &event.failure {
        Some(failure) => format!("error event: {}, {}", failure.class, failure.reason),
        None if event.outputs.is_empty() && event.changes == 0 => "applied, without effect".to_owned(),
        None if event.outputs.is_empty() => "applied".to_owned(),
        None => format!("applied -> {}", event.outputs.join(", ")),
    }
}
