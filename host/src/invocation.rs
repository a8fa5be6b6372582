//! The border between worker and sandbox: a [`Call`] goes in, an [`Outcome`] comes out.
//!
//! The worker calls a [`Handler`] with one event and a read-only [`View`] of the function's state; everything the
//! function does comes back as data. The sandbox's component is one handler; a native function in a bench another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::app::Function;
use crate::event::{Change, Digest, Event, Outcome};

/// What handles an event: one version of a function.
pub trait Handler: Send + Sync {
    /// Handles one event. Blocks at most the function's time limit (and a grain of the engine's clock), never panics,
    /// and keeps nothing for the next call.
    fn handle(&self, call: Call<'_>) -> Outcome;

    /// Which version this is.
    fn digest(&self) -> Digest;

    /// The interfaces that it imports, without their versions, and that give it something to reach.
    fn grants(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }

    /// The layout of the state that it keeps.
    fn state_format(&self) -> &str;

    /// What it calls itself in what it publishes, as far as it says.
    fn source(&self) -> Option<&str> {
        None
    }
}

/// One invocation.
pub struct Call<'a> {
    /// What is handled.
    pub event: &'a Event,
    /// Whose limits, outputs and configuration hold.
    pub function: &'a Arc<Function>,
    /// Where the guest's random numbers begin. The same for every attempt at the same event.
    pub seed: [u8; 32],
    /// The state as earlier events of the batch left it. The handler lets go of it before it returns.
    pub state: Arc<dyn View>,
    /// Ends the call soon once it is set, as its time limit does; for calls that somebody may stop waiting for.
    pub stop: Option<Arc<AtomicBool>>,
}

/// A function's state in one partition, as far as earlier events of the batch went.
pub trait View: Send + Sync {
    /// The value under `key`.
    fn get(&self, key: &[u8]) -> Option<&[u8]>;

    /// Up to `limit` pairs whose key begins with `prefix`, after `after` when given, ordered by key; `changes` are
    /// laid over what the view holds.
    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        changes: &BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    ) -> Vec<(Vec<u8>, Vec<u8>)>;
}

/// A state without anything in it.
pub struct NoState;

impl View for NoState {
    fn get(&self, _: &[u8]) -> Option<&[u8]> {
        None
    }

    fn scan(
        &self,
        _: &[u8],
        _: Option<&[u8]>,
        _: usize,
        _: &BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        Vec::new()
    }
}

/// The changes of one invocation in the order of their keys, as [`crate::event::Effects`] has them.
pub fn changes_of(changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> Vec<Change> {
    changes.into_iter().collect()
}
