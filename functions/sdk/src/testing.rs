//! What a native test puts in the host's place.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::{Config, Failure, Level, Log, Outcome, RawEvent, State};

/// A function as its `invoke` is.
pub type Invoke = fn(&RawEvent, &mut dyn State, &dyn Config, &mut dyn Log) -> Outcome;

/// State in memory. It keeps what the host keeps, without the host's limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryState(BTreeMap<Vec<u8>, Vec<u8>>);

impl MemoryState {
    /// How many pairs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl State for MemoryState {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(key).cloned()
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        self.0.insert(key.to_vec(), value.to_vec());
    }

    fn delete(&mut self, key: &[u8]) {
        self.0.remove(key);
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.0
            .range::<[u8], _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}

/// A `config` table in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryConfig(BTreeMap<String, String>);

impl<const N: usize> From<[(&str, &str); N]> for MemoryConfig {
    fn from(table: [(&str, &str); N]) -> Self {
        Self(table.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }
}

impl Config for MemoryConfig {
    fn get(&self, key: &str) -> Result<Option<String>, Failure> {
        Ok(self.0.get(key).cloned())
    }
}

/// What was logged: level, part and message of each line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryLog(pub Vec<(Level, String, String)>);

impl Log for MemoryLog {
    fn write(&mut self, level: Level, part: &str, message: &str) {
        self.0.push((level, part.to_owned(), message.to_owned()));
    }
}

/// One partition's worth of a function: events go in one after the other, state is kept.
#[derive(Debug)]
pub struct Bench {
    invoke: Invoke,
    /// What the function keeps.
    pub state: MemoryState,
    /// What the function is configured with.
    pub config: MemoryConfig,
    /// What the function logged.
    pub log: MemoryLog,
}

impl Bench {
    /// A bench for `invoke` with this configuration, and nothing in its state.
    pub fn new<const N: usize>(invoke: Invoke, config: [(&str, &str); N]) -> Self {
        Self { invoke, state: MemoryState::default(), config: config.into(), log: MemoryLog::default() }
    }

    /// Hands an event with this value to the function. As on the host, a failure leaves the state as it was.
    ///
    /// # Errors
    ///
    /// When the function fails.
    pub fn handle(&mut self, value: impl AsRef<[u8]>) -> Outcome {
        self.handle_raw(&RawEvent {
            topic: "input".to_owned(),
            timestamp: Some(0),
            key: None,
            value: Some(value.as_ref().to_vec()),
            headers: vec![],
        })
    }

    /// Hands this event to the function. As on the host, a failure leaves the state as it was.
    ///
    /// # Errors
    ///
    /// When the function fails.
    pub fn handle_raw(&mut self, event: &RawEvent) -> Outcome {
        let before = self.state.clone();
        let outcome = (self.invoke)(event, &mut self.state, &self.config, &mut self.log);
        if outcome.is_err() {
            self.state = before;
        }
        outcome
    }
}
