//! The first events of a version: what it does wrong in them costs none of them.
//!
//! For its first [`EVENTS`], or [`TIME`] when they do not come, a version that was deployed is on trial on each host, with the version
//! before it at hand. What the worker makes of that is in `worker/trial.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::event::Digest;
use crate::invocation::Handler;

/// How many events of its function a version is on trial for, on each host.
pub const EVENTS: u64 = 1000;
/// How long it is on trial at most.
pub const TIME: Duration = Duration::from_secs(600);

/// A version on trial.
pub struct Trial {
    /// Which.
    pub version: Digest,
    /// What handles its events if it cannot.
    pub previous: Arc<dyn Handler>,
    left: AtomicU64,
    until: Instant,
}

impl Trial {
    /// Begins.
    pub fn new(version: Digest, previous: Arc<dyn Handler>) -> Self {
        Self { version, previous, left: AtomicU64::new(EVENTS), until: Instant::now() + TIME }
    }

    /// So many events were handled by it, and committed.
    pub fn passed(&self, events: u64) {
        let less = |left: u64| Some(left.saturating_sub(events));
        // It gives no error for a function that always gives a value.
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok();
    }

    /// How many more events it has to stand.
    pub fn events_left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    /// Whether it is over, and the version has stood it.
    pub fn is_over(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0 || Instant::now() >= self.until
    }
}

/// A version that did what a version must not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blame {
    /// Of which function.
    pub function: String,
    /// Which version.
    pub version: Digest,
    /// What it did.
    pub reason: String,
}
