//! Ends the process when a call of librdkafka hangs.
//!
//! `send_offsets_to_transaction` is known to ignore its timeout (librdkafka issues 5456 and 5511). A worker that waits for
//! it for ever would hold its partitions while it beats no more; a process that ends is replaced, and exactly-once makes
//! ending safe at any moment. Calls that return, be it with an error, never trip this.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a call may take that was asked to take five seconds.
const HANG: Duration = Duration::from_secs(90);
const NOT_IN_CALL: u64 = u64::MAX;

/// Watches the calls of one membership.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    /// When the call under way was made, in milliseconds since `born`. Written by the worker, read by the watchdog.
    since_ms: Arc<AtomicU64>,
    born: Instant,
}

impl Guard {
    /// Starts a watchdog thread that lives as long as a clone of the guard.
    pub(super) fn new(name: &str) -> std::io::Result<Self> {
        let guard = Self { since_ms: Arc::new(AtomicU64::new(NOT_IN_CALL)), born: Instant::now() };
        let (since, born) = (Arc::downgrade(&guard.since_ms), guard.born);
        std::thread::Builder::new().name(format!("watchdog {name}")).spawn(move || {
            while let Some(since) = since.upgrade() {
                let since = since.load(Ordering::Relaxed);
                if since != NOT_IN_CALL && millis(born).saturating_sub(since) > millis_of(HANG) {
                    tracing::error!(limit = ?HANG, "a call of librdkafka hangs; ending the process, nothing is lost by that");
                    std::process::abort();
                }
                std::thread::sleep(Duration::from_secs(1));
            }
        })?;
        Ok(guard)
    }

    /// Makes a call under watch.
    pub(super) fn watch<T>(&self, call: impl FnOnce() -> T) -> T {
        self.since_ms.store(millis(self.born), Ordering::Relaxed);
        let returned = call();
        self.since_ms.store(NOT_IN_CALL, Ordering::Relaxed);
        returned
    }
}

fn millis(born: Instant) -> u64 {
    millis_of(born.elapsed())
}

fn millis_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NOT_IN_CALL - 1)
}
