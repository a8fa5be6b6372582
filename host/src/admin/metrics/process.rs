//! What the process is and spends, by the names that all programs have for it.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{Counter, Error, IntGauge};
use rustix::time::{ClockId, clock_gettime};

use super::{Register, list};

/// The process of this host.
pub(super) struct Process {
    cpu: Counter,
    memory: IntGauge,
}

impl Process {
    pub(super) fn new(new: &Register<'_>) -> Result<Self, Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        new.seconds_gauge(&list::START_TIME)?.set(now.as_secs_f64());
        Ok(Self { cpu: new.seconds_counter(&list::CPU)?, memory: new.gauge(&list::MEMORY)? })
    }

    /// Looks what it has spent and what it holds by now.
    pub(super) fn look(&self) {
        let spent = clock_gettime(ClockId::ProcessCPUTime);
        let spent = spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9;
        // Two that look at once may come in the wrong order.
        self.cpu.inc_by((spent - self.cpu.get()).max(0.0));
        self.memory.set(resident_bytes().unwrap_or(0));
    }
}

/// `VmRSS`, which the kernel tells in kB.
pub(super) fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
