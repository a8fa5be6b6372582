//! The traits over what the host offers a component.

use crate::bindings::fnhost::function::state;
use crate::bindings::wasi::config::store;
use crate::bindings::wasi::logging::logging;
use crate::{Config, Failure, Level, Log, State};

/// The host's state, configuration and log.
#[must_use]
pub fn imports() -> (impl State, impl Config, impl Log) {
    (HostState, HostConfig, HostLog)
}

struct HostState;

impl State for HostState {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        state::get(key)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) {
        state::set(key, value);
    }

    fn delete(&mut self, key: &[u8]) {
        state::delete(key);
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
        state::scan(prefix, after, limit).into_iter().map(|entry| (entry.key, entry.value)).collect()
    }
}

struct HostConfig;

impl Config for HostConfig {
    fn get(&self, key: &str) -> Result<Option<String>, Failure> {
        store::get(key).map_err(|error| match error {
            store::Error::Upstream(reason) | store::Error::Io(reason) => {
                Failure::retry(format!("config key `{key}` cannot be read: {reason}"))
            }
        })
    }
}

struct HostLog;

impl Log for HostLog {
    fn write(&mut self, level: Level, part: &str, message: &str) {
        logging::log(level, part, message);
    }
}
