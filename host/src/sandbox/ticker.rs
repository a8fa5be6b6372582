//! When to look at what a guest has spent, and the limit on how many guests run at once.
//!
//! A thread advances the engine's epoch every few milliseconds while a guest runs. A guest looks at the epoch at every loop
//! and call, which costs it about a tenth; nothing else can stop it. When nothing has run for [`IDLE_TICKS`], the
//! thread sleeps until somebody enters. While the whole process stood still (a suspended machine, `SIGSTOP`) epochs
//! stand still too, but for [`CATCH_UP_TICKS`]: a guest is not blamed for it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use wasmtime::Engine;

use crate::sync::lock;

/// One epoch: the grain of `limits.time`. A thousand wake-ups a second cost a twentieth of a busy host.
const TICK: Duration = Duration::from_millis(5);
/// How long the thread goes on ticking after the last guest: the next event most often comes soon.
const IDLE_TICKS: u32 = 20;
/// How many epochs one late tick may make up for.
const CATCH_UP_TICKS: u32 = 4;

/// The thread, stopped when this is dropped.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    engine: Engine,
    /// How many guests are running. Written by [`Ticker::enter`] and [`Running`]'s drop.
    running: AtomicUsize,
    running_max: usize,
    /// How many threads wait for one of them to end.
    waiting: AtomicUsize,
    /// Guards nothing but the wait.
    gate: Mutex<()>,
    freed: Condvar,
    /// Whether the thread sleeps. Written by the thread, cleared by who wakes it.
    asleep: AtomicBool,
    stop: AtomicBool,
}

/// A guest is running, until this is dropped.
pub(super) struct Running<'a>(&'a Shared);

impl Ticker {
    /// Starts the thread.
    pub(super) fn start(engine: Engine, running_max: usize) -> Result<Self, std::io::Error> {
        let shared = Arc::new(Shared {
            engine,
            running: AtomicUsize::new(0),
            running_max: running_max.max(1),
            waiting: AtomicUsize::new(0),
            gate: Mutex::new(()),
            freed: Condvar::new(),
            asleep: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("ticker".into()).spawn(move || of_thread.tick())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Waits until there is room for one more guest, and keeps epochs advancing while it runs.
    pub(super) fn enter(&self) -> Running<'_> {
        let shared = &*self.shared;
        while !shared.try_enter() {
            shared.wait();
        }
        if shared.asleep.load(Ordering::SeqCst)
            && shared.asleep.swap(false, Ordering::SeqCst)
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
        Running(shared)
    }

    /// How many epochs make up `time`. One more, since the current one is under way.
    pub(super) fn epochs(time: Duration) -> u64 {
        u64::try_from(time.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX / 2).max(1).saturating_add(1)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has no way to fail, and nobody to tell.
            drop(thread.join());
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        if self.0.waiting.load(Ordering::SeqCst) > 0 {
            self.0.freed.notify_one();
        }
    }
}

impl Shared {
    fn try_enter(&self) -> bool {
        let room = |running| (running < self.running_max).then_some(running + 1);
        self.running.fetch_update(Ordering::SeqCst, Ordering::Relaxed, room).is_ok()
    }

    /// Waits for a guest to end, or a tick: a notice that came too early is no harm.
    fn wait(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let gate = lock(&self.gate);
        drop(self.freed.wait_timeout(gate, TICK));
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    fn tick(&self) {
        let mut idle: u32 = 0;
        let mut last = Instant::now();
        while !self.stop.load(Ordering::SeqCst) {
            thread::park_timeout(TICK);
            let ticks = u32::try_from(last.elapsed().as_nanos() / TICK.as_nanos()).unwrap_or(u32::MAX);
            last = if ticks > CATCH_UP_TICKS { Instant::now() } else { last + TICK * ticks };
            for _ in 0..ticks.min(CATCH_UP_TICKS) {
                self.engine.increment_epoch();
            }

            idle = if self.running.load(Ordering::SeqCst) > 0 { 0 } else { idle + 1 };
            if idle > IDLE_TICKS {
                self.sleep();
                (idle, last) = (0, Instant::now());
            }
        }
    }

    /// Sleeps until a guest enters, or the end.
    fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        // A guest that entered before it could see that sleeps begin is seen here.
        while self.asleep.load(Ordering::SeqCst)
            && self.running.load(Ordering::SeqCst) == 0
            && !self.stop.load(Ordering::SeqCst)
        {
            thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_never_shorter_in_epochs() {
        assert_eq!(Ticker::epochs(Duration::ZERO), 2);
        assert_eq!(Ticker::epochs(TICK), 2);
        assert_eq!(Ticker::epochs(TICK + Duration::from_nanos(1)), 3);
        assert_eq!(Ticker::epochs(TICK * 50), 51);
        assert!(Ticker::epochs(Duration::MAX) > 1 << 60);
    }

    #[test]
    fn no_more_guests_run_at_once_than_there_is_room_for() {
        let ticker = Ticker::start(Engine::default(), 2).unwrap();
        let (most, now) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let running = ticker.enter();
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::yield_now();
                        now.fetch_sub(1, Ordering::SeqCst);
                        drop(running);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 2);
        assert_eq!(ticker.shared.running.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn the_thread_wakes_for_a_guest_after_it_fell_asleep() {
        let ticker = Ticker::start(Engine::default(), 1).unwrap();
        let eventually = |what: &dyn Fn() -> bool| {
            let begin = Instant::now();
            while !what() {
                assert!(begin.elapsed() < Duration::from_secs(30), "never happened");
                thread::yield_now();
            }
        };
        for _ in 0..3 {
            eventually(&|| ticker.shared.asleep.load(Ordering::SeqCst));
            let running = ticker.enter();
            assert!(!ticker.shared.asleep.load(Ordering::SeqCst));
            drop(running);
        }
    }
}
