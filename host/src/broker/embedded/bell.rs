//! How a thread that waits for something learns that it came.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use crate::sync::lock;

/// Rung when there is something to look at. Whoever waits says how many rings were heard before the last look, so that none
/// is missed between looking and waiting.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rings: Mutex<u64>,
    rang: Condvar,
}

impl Bell {
    /// Wakes whoever waits.
    pub(super) fn ring(&self) {
        *lock(&self.rings) += 1;
        self.rang.notify_all();
    }

    /// How often it was rung.
    pub(super) fn heard(&self) -> u64 {
        *lock(&self.rings)
    }

    /// Waits until it was rung more often than `heard`, at most until `until`.
    pub(super) fn wait(&self, heard: u64, until: Instant) {
        let mut rings = lock(&self.rings);
        while *rings == heard {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            rings = self.rang.wait_timeout(rings, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
