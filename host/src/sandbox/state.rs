//! A guest's state: reads go to the view that the worker gave, with this invocation's own writes laid over it; writes
//! are kept here until the outcome is known.
//!
//! A call beyond a limit ends the invocation: what was written before it goes with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::contract::fnhost::function::state::{Entry, Host};
use super::ended::Ended;
use crate::invocation::View;

/// The longest key.
const KEY_BYTES_MAX: usize = 1 << 10;
/// The longest value.
const VALUE_BYTES_MAX: usize = 64 << 10;
/// How many keys one invocation may write.
const CHANGES_MAX: usize = 1024;
/// How many pairs one scan gives.
const SCAN_PAIRS_MAX: usize = 1024;
/// How many bytes of keys and values one scan gives.
const SCAN_BYTES_MAX: usize = 1 << 20;
/// How many pairs are taken from the view at a time, so that little more is copied than the guest gets.
const SCAN_STEP_PAIRS: usize = 32;

/// The state that one invocation sees, and what it wants to change.
pub(super) struct State {
    view: Arc<dyn View>,
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl State {
    pub(super) fn over(view: Arc<dyn View>) -> Self {
        Self { view, changes: BTreeMap::new() }
    }

    /// What the invocation wrote. The view is let go.
    pub(super) fn into_changes(self) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        self.changes
    }

    fn change(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), Ended> {
        check_key(&key)?;
        if let Some(value) = &value
            && value.len() > VALUE_BYTES_MAX
        {
            let what =
                format!("a value of {} bytes is too long for the state: {VALUE_BYTES_MAX} is the most", value.len());
            return Err(Ended::StateTooLarge(what));
        }
        if self.changes.len() >= CHANGES_MAX && !self.changes.contains_key(&key) {
            return Err(Ended::StateTooLarge(format!(
                "one event may write {CHANGES_MAX} keys, and this would be one more"
            )));
        }
        self.changes.insert(key, value);
        Ok(())
    }

    fn pairs(&self, prefix: &[u8], after: Option<Vec<u8>>, limit: usize) -> Vec<Entry> {
        let limit = limit.min(SCAN_PAIRS_MAX);
        let (mut entries, mut bytes, mut after) = (Vec::new(), 0, after);
        while entries.len() < limit {
            let wanted = SCAN_STEP_PAIRS.min(limit - entries.len());
            let step = self.view.scan(prefix, after.as_deref(), wanted, &self.changes);
            let is_last = step.len() < wanted;
            for (key, value) in step {
                bytes += key.len() + value.len();
                if bytes > SCAN_BYTES_MAX {
                    return entries;
                }
                entries.push(Entry { key, value });
            }
            if is_last {
                break;
            }
            after = entries.last().map(|last| last.key.clone());
        }
        entries
    }
}

fn check_key(key: &[u8]) -> Result<(), Ended> {
    match key.len() {
        0 => Err(Ended::StateTooLarge("a state key is empty, and must have 1 byte at least".into())),
        1..=KEY_BYTES_MAX => Ok(()),
        len => {
            Err(Ended::StateTooLarge(format!("a state key of {len} bytes is too long: {KEY_BYTES_MAX} is the most")))
        }
    }
}

impl Host for State {
    fn get(&mut self, key: Vec<u8>) -> wasmtime::Result<Option<Vec<u8>>> {
        check_key(&key)?;
        Ok(match self.changes.get(&key) {
            Some(written) => written.clone(),
            None => self.view.get(&key).map(<[u8]>::to_vec),
        })
    }

    fn set(&mut self, key: Vec<u8>, value: Vec<u8>) -> wasmtime::Result<()> {
        Ok(self.change(key, Some(value))?)
    }

    fn delete(&mut self, key: Vec<u8>) -> wasmtime::Result<()> {
        Ok(self.change(key, None)?)
    }

    fn scan(&mut self, prefix: Vec<u8>, after: Option<Vec<u8>>, limit: u32) -> wasmtime::Result<Vec<Entry>> {
        Ok(self.pairs(&prefix, after, usize::try_from(limit)?))
    }
}
