//! What functions say while a bench runs them: kept, in place of being shown.
//!
//! The sandbox hands every line to `tracing` under the target `function`; a subscriber of the bench's own takes it from
//! there, on the thread that runs the function and for as long as it runs.

use std::fmt;
use std::sync::{Arc, Mutex};

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, span};

use crate::sync::lock;

/// The target of what functions say.
const TARGET: &str = "function";

/// A line that a function wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Which function.
    #[serde(skip)]
    pub function: String,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    /// The part of the function that says it, or `stdout` or `stderr`. Empty when it says none.
    pub from: String,
    /// What it says, on one line.
    pub message: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.from.is_empty() { "" } else { ": " };
        write!(f, "{:<5}  {}{colon}{}", self.level, self.from, self.message)
    }
}

/// Where lines are kept.
pub(super) struct Log {
    lines: Arc<Mutex<Vec<Line>>>,
    dispatch: Dispatch,
}

impl Log {
    pub(super) fn new() -> Self {
        let lines = Arc::default();
        Self { dispatch: Dispatch::new(Keep { lines: Arc::clone(&lines) }), lines }
    }

    /// What `run` gives, and the lines that were written meanwhile. What the host says is dropped.
    pub(super) fn of<T>(&self, run: impl FnOnce() -> T) -> (T, Vec<Line>) {
        let ran = tracing::dispatcher::with_default(&self.dispatch, run);
        (ran, std::mem::take(&mut *lock(&self.lines)))
    }
}

/// The subscriber. What bounds it is what the sandbox lets one invocation say.
struct Keep {
    lines: Arc<Mutex<Vec<Line>>>,
}

impl tracing::Subscriber for Keep {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Also the question whether an event would be of use, which is neither event nor span.
        !metadata.is_span() && metadata.target() == TARGET
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn event(&self, event: &Event<'_>) {
        let level = match *event.metadata().level() {
            Level::TRACE => "trace",
            Level::DEBUG => "debug",
            Level::INFO => "info",
            Level::WARN => "warn",
            Level::ERROR => "error",
        };
        let mut line = Line { function: String::new(), level, from: String::new(), message: String::new() };
        event.record(&mut line);
        lock(&self.lines).push(line);
    }

    // No span is enabled.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl Line {
    fn take(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message.insert_str(0, &value),
            "function" => self.function = value,
            "context" | "stream" => self.from = value,
            // What the host says in a function's place.
            name => self.message.push_str(&format!(" {name}={value}")),
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format!("{value:?}"));
    }
}
