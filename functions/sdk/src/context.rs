//! What a handler is given beside its event.

use serde::Serialize;

use crate::{Config, Event, Failure, Log, Output, State, output};

/// What a handler is given beside its event: all that it can reach, so that a test can put something else there.
pub struct Context<'a> {
    /// The function's key-value pairs.
    pub state: &'a mut dyn State,
    /// The function's `config` table in `app.toml`.
    pub config: &'a dyn Config,
    /// The host's log.
    pub log: &'a mut dyn Log,
    /// CloudEvents `source` of what the function publishes.
    source: &'static str,
    /// How many outputs were made: tells outputs of one event apart.
    made: u32,
}

impl<'a> Context<'a> {
    /// A context of the function that publishes as `source`.
    pub fn new(source: &'static str, state: &'a mut dyn State, config: &'a dyn Config, log: &'a mut dyn Log) -> Self {
        Self { state, config, log, source, made: 0 }
    }

    /// A CloudEvent of type `kind` for `topic` that answers `event`.
    ///
    /// It has the subject and the time of `event`, the subject as its key, and an id derived from `event`, `topic`
    /// and the number of outputs made before it: a repeated event gives the same bytes. What is about something else, or
    /// happened at another time, answers an `event` whose `subject` or `time` was changed.
    ///
    /// # Errors
    ///
    /// When `data` is nothing that JSON can hold.
    pub fn output<T>(
        &mut self,
        event: &Event<'_, T>,
        topic: &str,
        kind: &str,
        data: &impl Serialize,
    ) -> Result<Output, Failure> {
        let ordinal = self.made;
        self.made += 1;
        output::answer(event, self.source, topic, kind, ordinal, data)
    }
}
