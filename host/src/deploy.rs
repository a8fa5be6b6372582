//! Which version of each function is active.
//!
//! Workers take a snapshot when a batch begins ([`Deploy::active`]) and keep it until the batch is committed, so no event
//! is handled by two versions and no batch mixes them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::event::Digest;
use crate::invocation::Handler;

/// The active version of every function, by the function's name.
pub type Versions = BTreeMap<String, Arc<dyn Handler>>;

/// The active versions of an app.
pub struct Deploy {
    active: RwLock<Arc<Versions>>,
}

impl Deploy {
    /// Begins with these versions.
    pub fn new(versions: Versions) -> Self {
        Self { active: RwLock::new(Arc::new(versions)) }
    }

    /// From now on, snapshots have this version of a function. Batches keep those that they began with.
    pub fn activate(&self, function: &str, version: Arc<dyn Handler>) {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut active).insert(function.to_owned(), version);
    }

    /// A snapshot. What it holds stays alive as long as the snapshot does.
    pub fn active(&self) -> Arc<Versions> {
        Arc::clone(&self.active.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The digest of each function's active version.
    pub fn digests(&self) -> BTreeMap<String, Digest> {
        self.active().iter().map(|(name, handler)| (name.clone(), handler.digest())).collect()
    }
}
