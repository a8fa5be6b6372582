//! A guest's time. It begins at the event's timestamp, moves on by a microsecond at each reading, and jumps to the end
//! of every wait, so that a wait costs nothing and two runs see the same times.
//!
//! Everything that a guest can wait for is ready at once: timers, because time has jumped to them; its streams, because
//! they never block. So all pollables are alike.

use wasmtime::component::Resource;

use super::contract::wasi::clocks::monotonic_clock::{self, Duration, Instant};
use super::contract::wasi::clocks::wall_clock::{self, Datetime};
use super::contract::wasi::io::poll::{self, Pollable};
use super::ended::Ended;

/// How far time moves when it is read. A guest that waits by reading it gets to the end.
const READING_NS: u64 = 1_000;
/// What both clocks say of themselves.
const RESOLUTION_NS: u32 = 1_000;

/// The clocks of one invocation.
pub(super) struct Time {
    /// Nanoseconds since the Unix epoch; far beyond any real timestamp it stops.
    now_ns: u64,
}

impl Time {
    /// Clocks that begin at the event's timestamp, or at the epoch when it has none.
    pub(super) fn beginning(timestamp_ms: Option<u64>) -> Self {
        Self { now_ns: timestamp_ms.unwrap_or(0).saturating_mul(1_000_000) }
    }

    fn read(&mut self) -> u64 {
        self.now_ns = self.now_ns.saturating_add(READING_NS);
        self.now_ns
    }

    fn wait_until(&mut self, instant_ns: u64) -> Resource<Pollable> {
        self.now_ns = self.now_ns.max(instant_ns);
        ready()
    }
}

/// What stands for anything that a guest can wait for.
pub(super) fn ready() -> Resource<Pollable> {
    Resource::new_own(0)
}

impl monotonic_clock::Host for Time {
    fn now(&mut self) -> wasmtime::Result<Instant> {
        Ok(self.read())
    }

    fn resolution(&mut self) -> wasmtime::Result<Duration> {
        Ok(RESOLUTION_NS.into())
    }

    fn subscribe_instant(&mut self, when: Instant) -> wasmtime::Result<Resource<Pollable>> {
        Ok(self.wait_until(when))
    }

    fn subscribe_duration(&mut self, when: Duration) -> wasmtime::Result<Resource<Pollable>> {
        Ok(self.wait_until(self.now_ns.saturating_add(when)))
    }
}

impl wall_clock::Host for Time {
    fn now(&mut self) -> wasmtime::Result<Datetime> {
        let now = std::time::Duration::from_nanos(self.read());
        Ok(Datetime { seconds: now.as_secs(), nanoseconds: now.subsec_nanos() })
    }

    fn resolution(&mut self) -> wasmtime::Result<Datetime> {
        Ok(Datetime { seconds: 0, nanoseconds: RESOLUTION_NS })
    }
}

impl poll::Host for Time {
    fn poll(&mut self, waited_for: Vec<Resource<Pollable>>) -> wasmtime::Result<Vec<u32>> {
        if waited_for.is_empty() {
            return Err(Ended::Refused("it polled an empty list, which WASI forbids".into()).into());
        }
        Ok((0..).take(waited_for.len()).collect())
    }
}

impl poll::HostPollable for Time {
    fn ready(&mut self, _: Resource<Pollable>) -> wasmtime::Result<bool> {
        Ok(true)
    }

    fn block(&mut self, _: Resource<Pollable>) -> wasmtime::Result<()> {
        Ok(())
    }

    fn drop(&mut self, _: Resource<Pollable>) -> wasmtime::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_begins_at_the_events_timestamp_and_moves_on_by_a_microsecond() {
        let mut time = Time::beginning(Some(1_700_000_000_123));
        let first = wall_clock::Host::now(&mut time).unwrap();
        assert_eq!((first.seconds, first.nanoseconds), (1_700_000_000, 123_001_000));
        let second = monotonic_clock::Host::now(&mut time).unwrap();
        assert_eq!(second, 1_700_000_000_123_002_000);
    }

    #[test]
    fn an_event_without_timestamp_begins_at_the_epoch() {
        let now = wall_clock::Host::now(&mut Time::beginning(None)).unwrap();
        assert_eq!((now.seconds, now.nanoseconds), (0, 1_000));
    }

    #[test]
    fn a_wait_jumps_to_its_end_and_never_back() {
        let mut time = Time::beginning(None);
        monotonic_clock::Host::subscribe_duration(&mut time, 3_600_000_000_000).unwrap();
        monotonic_clock::Host::subscribe_instant(&mut time, 5).unwrap();
        assert_eq!(monotonic_clock::Host::now(&mut time).unwrap(), 3_600_000_001_000);
    }

    #[test]
    fn the_end_of_time_is_no_fault() {
        let mut time = Time::beginning(Some(u64::MAX));
        monotonic_clock::Host::subscribe_duration(&mut time, u64::MAX).unwrap();
        assert_eq!(monotonic_clock::Host::now(&mut time).unwrap(), u64::MAX);
    }

    #[test]
    fn everything_polled_is_ready_and_nothing_polled_is_a_fault() {
        let mut time = Time::beginning(None);
        assert_eq!(poll::Host::poll(&mut time, vec![ready(), ready()]).unwrap(), [0, 1]);
        assert!(poll::Host::poll(&mut time, vec![]).unwrap_err().is::<Ended>());
    }
}
