//! Which version of each function is active: from the deployments topic to what the next batch is handled with.
//!
//! ```text
//! deploy, rollback ──▶ Ledger.write ──▶ <app>.deployments ──▶ Follower ──▶ Loader ──▶ Deploy.advance ──▶ next batch
//!                      (one writer)      (compacted topic)     (each host)  (compiled, off the workers' threads)
//! ```
//!
//! The topic is the one truth, and every host follows it: [`book`] is what it says, [`record`] how it is written, [`ledger`] reads
//! and writes it, [`follow`] brings a host up to it, [`modules`] keeps bytes at hand. Workers take a snapshot when a batch begins ([`Deploy::active`]) and keep it
//! until the batch is committed, so no event is handled by two versions and no batch mixes them. A partition's position names the
//! number that its owner had reached, and whoever takes the partition over reaches it first: versions never go back by moving.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use self::book::Number;
use self::shadow::Shadow;
use self::trial::{Blame, Trial};
use crate::event::Digest;
use crate::invocation::Handler;
use crate::sync::lock;

pub mod book;
pub mod follow;
pub mod ledger;
pub mod modules;
pub mod record;
pub mod shadow;
pub mod trial;

/// The active version of every function, by the function's name.
pub type Versions = BTreeMap<String, Arc<dyn Handler>>;

/// What a batch is handled with.
#[derive(Clone, Default)]
pub struct Active {
    /// The version of each function.
    pub versions: Versions,
    /// The newest deployment that is in them, and none before it is missing.
    pub number: Number,
    /// Those of them that are on trial, by the function's name.
    pub trials: BTreeMap<String, Arc<Trial>>,
    /// Candidates beside them, by the function's name.
    pub shadows: BTreeMap<String, Arc<Shadow>>,
}

/// What a deployment makes of a function on a host.
pub struct Step {
    /// What handles its events.
    pub version: Arc<dyn Handler>,
    /// What that is on trial against.
    pub previous: Option<Arc<dyn Handler>>,
    /// What is beside it.
    pub shadow: Option<Arc<Shadow>>,
}

/// The active versions of an app.
pub struct Deploy {
    active: RwLock<Arc<Active>>,
    /// Versions that were taken back here, and have to be everywhere. At most one a function.
    blamed: Mutex<BTreeMap<String, Blame>>,
    /// The highest number that was met anywhere.
    seen: AtomicU64,
}

impl Deploy {
    /// Begins with these versions, before any deployment.
    pub fn new(versions: Versions) -> Self {
        let active = Active { versions, ..Active::default() };
        Self { active: RwLock::new(Arc::new(active)), blamed: Mutex::default(), seen: AtomicU64::new(0) }
    }

    /// From now on, snapshots have this version of a function. Batches keep those that they began with.
    pub fn activate(&self, function: &str, version: Arc<dyn Handler>) {
        self.change(|active| drop(active.versions.insert(function.to_owned(), version)));
    }

    /// From now on, snapshots have deployment `number`, which changes nothing here.
    pub fn pass(&self, number: Number) {
        self.change(|active| active.number = active.number.max(number));
    }

    /// From now on, snapshots have deployment `number`: this version of this function, on trial when there is one before it to go
    /// back to, and this candidate beside it. All is seen at once, or a batch could commit what the next owner does not wait for.
    pub fn advance(&self, number: Number, function: &str, step: Step) {
        let Step { version, previous, shadow } = step;
        self.change(|active| {
            active.number = active.number.max(number);
            match previous {
                Some(previous) => {
                    let trial = Trial::new(version.digest(), previous);
                    active.trials.insert(function.to_owned(), Arc::new(trial));
                }
                // A deployment that leaves the version as it is ends no trial of it.
                None => {
                    active.trials.retain(|name, trial| name != function || trial.version == version.digest());
                }
            }
            match shadow {
                Some(shadow) => drop(active.shadows.insert(function.to_owned(), shadow)),
                None => drop(active.shadows.remove(function)),
            }
            active.versions.insert(function.to_owned(), version);
        });
    }

    /// A position names this number.
    pub fn see(&self, number: Number) {
        self.seen.fetch_max(number, Ordering::Relaxed);
    }

    /// The highest number that was met, here or in a position.
    pub fn seen(&self) -> Number {
        self.seen.load(Ordering::Relaxed).max(self.active().number)
    }

    /// A version did what it must not do: from now on, snapshots have the one before it, and every host is to go back to that.
    pub fn blame(&self, blame: Blame) {
        self.change(|active| {
            let trial = active.trials.get(&blame.function).filter(|trial| trial.version == blame.version).cloned();
            // A newer version may be on trial by now.
            let Some(trial) = trial else { return };
            active.trials.remove(&blame.function);
            active.versions.insert(blame.function.clone(), Arc::clone(&trial.previous));
        });
        lock(&self.blamed).insert(blame.function.clone(), blame);
    }

    /// What is to be told of: it stays until [`Deploy::told`].
    pub fn blamed(&self) -> Vec<Blame> {
        lock(&self.blamed).values().cloned().collect()
    }

    /// Every host knows of it.
    pub fn told(&self, blame: &Blame) {
        lock(&self.blamed).retain(|_, known| known != blame);
    }

    /// So many events of a function were handled under this snapshot, and committed.
    pub fn passed(&self, active: &Active, function: &str, events: u64) {
        let Some(trial) = active.trials.get(function) else { return };
        trial.passed(events);
        if trial.is_over() {
            self.change(|active| {
                active.trials.retain(|name, known| name != function || known.version != trial.version);
            });
        }
    }

    fn change(&self, change: impl FnOnce(&mut Active)) {
        change(Arc::make_mut(&mut self.active.write().unwrap_or_else(PoisonError::into_inner)));
    }

    /// A snapshot. What it holds stays alive as long as the snapshot does.
    pub fn active(&self) -> Arc<Active> {
        Arc::clone(&self.active.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The digest of each function's active version.
    pub fn digests(&self) -> BTreeMap<String, Digest> {
        self.active().versions.iter().map(|(name, handler)| (name.clone(), handler.digest())).collect()
    }
}

/// What stands in a position's metadata: the deployment that its owner had reached. Nothing before the first one.
pub fn note(number: Number) -> String {
    if number == 0 { String::new() } else { format!("deployment={number}") }
}

/// The deployment that a position's metadata names; 0 when it names none.
pub fn noted(note: &str) -> Number {
    note.strip_prefix("deployment=").and_then(|number| number.parse().ok()).unwrap_or(0)
}
