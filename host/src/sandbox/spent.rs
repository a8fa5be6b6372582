//! How long a guest has run: what its thread spent on it, not what went by.
//!
//! A machine that is busy elsewhere must not fail an event that would take microseconds, so the clock on the wall only decides when
//! to look. A guest cannot wait for anything, so what it spends is what it does. The first look comes after a fraction of
//! the limit, which most calls never reach: they cost no system call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::UpdateDeadline;

/// The first look comes after this part of the limit.
const FIRST_LOOK: u32 = 8;

/// What one guest may spend.
#[derive(Debug)]
pub(super) struct Spent {
    limit: Duration,
    /// Set when nobody waits for it any more.
    stop: Option<Arc<AtomicBool>>,
    /// The thread's clock at the first look.
    first: Option<Duration>,
}

impl Spent {
    /// Nothing yet, of at most `limit`, or until `stop` is set.
    pub(super) fn up_to(limit: Duration, stop: Option<Arc<AtomicBool>>) -> Self {
        Self { limit, stop, first: None }
    }

    /// When to look first, by the clock on the wall.
    pub(super) fn first_look(limit: Duration) -> Duration {
        limit / FIRST_LOOK
    }

    /// Looks: may it go on until the next epoch?
    pub(super) fn look(&mut self) -> UpdateDeadline {
        if self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            return UpdateDeadline::Interrupt;
        }
        let now = thread_time();
        let first = *self.first.get_or_insert(now);
        // Before the first look it spent at most what had gone by then.
        let spent = now.saturating_sub(first).saturating_add(Self::first_look(self.limit));
        if spent >= self.limit { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(1) }
    }
}

/// What this thread has spent since it began.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}
