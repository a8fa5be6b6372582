//! Events as `demo` and `dev` show them: a line each, legible without colour.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use super::talk;
use crate::worker::error_event::{epoch_ms, rfc3339};
use crate::worker::tap::{Passed, Tap};

/// What waits to be shown at most, a batch each.
const WAITING_MAX: usize = 4096;
/// How long what still waits is written at the end: whoever reads it may have stopped.
const END_WITHIN: Duration = Duration::from_secs(1);
/// Longer keys are cut.
const KEY_CHARS_MAX: usize = 36;

/// Writes what is committed to stdout, on a thread of its own: who reads slowly holds up no worker.
pub(super) struct Printer {
    waiting: SyncSender<Vec<Passed>>,
    dropped: Arc<AtomicUsize>,
}

/// The end of a [`Printer`].
pub(super) struct Printing(Receiver<()>);

impl Printer {
    /// Begins.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn start() -> io::Result<(Self, Printing)> {
        let (waiting, next) = sync_channel::<Vec<Passed>>(WAITING_MAX);
        let (ended, end) = sync_channel(1);
        let dropped = Arc::new(AtomicUsize::new(0));
        let missing = Arc::clone(&dropped);
        std::thread::Builder::new().name("show".to_owned()).spawn(move || {
            for events in next {
                let mut out = io::stdout().lock();
                for event in &events {
                    // When nobody reads it, nothing is lost.
                    passed(&mut out, event).ok();
                }
                match missing.swap(0, Ordering::Relaxed) {
                    0 => {}
                    missing => talk(&format!("{missing} events are not shown: they came faster than they were read")),
                }
            }
            ended.send(()).ok();
        })?;
        Ok((Self { waiting, dropped }, Printing(end)))
    }
}

impl Tap for Printer {
    fn passed(&self, events: Vec<Passed>) {
        if let Err(TrySendError::Full(events)) = self.waiting.try_send(events) {
            self.dropped.fetch_add(events.len(), Ordering::Relaxed);
        }
    }
}

impl Printing {
    /// Waits, not for long, until everything is written. Its printer must be gone.
    pub(super) fn end(self) {
        // An error is an end too.
        self.0.recv_timeout(END_WITHIN).ok();
    }
}

/// One line: the time of day in UTC, where, about what, by whom, and what came of it.
pub(super) fn line(out: &mut dyn Write, topic: &str, key: &str, function: &str, what: &str) -> io::Result<()> {
    let now = rfc3339(epoch_ms(SystemTime::now()));
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
