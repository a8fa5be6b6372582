//! Locks: one way to take them, for the whole host.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock. One whose holder panicked still guards good data: nothing in here panics half-way through a change.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
