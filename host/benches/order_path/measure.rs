//! What the kernel says of a process, and what is told of many numbers.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// A process.
#[derive(Clone, Debug)]
pub(crate) struct Pid(String);

impl Pid {
    pub(crate) fn of(pid: &str) -> Self {
        Self(pid.to_owned())
    }

    pub(crate) fn own() -> Self {
        Self("self".to_owned())
    }

    /// User and system time so far. The kernel's 100 ticks a second are the grain. Of this process without its main
    /// thread, which only watches.
    pub(crate) fn cpu(&self) -> Duration {
        let all = ticks(&format!("/proc/{}/stat", self.0));
        let watching = if self.is_own() { ticks(&format!("/proc/self/task/{}/stat", std::process::id())) } else { 0 };
        Duration::from_millis((all - watching) * 10)
    }

    fn is_own(&self) -> bool {
        self.0 == "self"
    }

    /// The CPU time of each thread that lives, by name; those with one name together.
    pub(crate) fn cpu_by_thread(&self) -> BTreeMap<String, Duration> {
        let mut threads: BTreeMap<String, Duration> = BTreeMap::new();
        for thread in fs::read_dir(format!("/proc/{}/task", self.0)).unwrap() {
            let folder = thread.unwrap().path();
            if self.is_own() && folder.ends_with(std::process::id().to_string()) {
                continue;
            }
            // A thread may end meanwhile.
            let (Ok(name), Ok(times)) =
                (fs::read_to_string(folder.join("comm")), fs::read_to_string(folder.join("schedstat")))
            else {
                continue;
            };
            let nanos = times.split_whitespace().next().unwrap().parse().unwrap();
            *threads.entry(name.trim().to_owned()).or_default() += Duration::from_nanos(nanos);
        }
        threads
    }

    /// How many threads live.
    pub(crate) fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.0)).unwrap().count()
    }

    /// A line of its status, in MiB: `VmRSS`, or `VmHWM` for the most that ever was.
    pub(crate) fn mebibytes(&self, which: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let line = status.lines().find(|line| line.starts_with(which)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

/// User and system time in a `stat` file.
fn ticks(path: &str) -> u64 {
    let stat = fs::read_to_string(path).unwrap();
    // The second field is a name that may hold anything; fields 14 and 15 are meant.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

/// A moment: the clock, and the CPU time of a host and of its broker.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    at: Instant,
    host: Duration,
    broker: Option<Duration>,
}

/// What lies between two moments.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) took: Duration,
    pub(crate) host: Duration,
    pub(crate) broker: Option<Duration>,
}

impl Moment {
    pub(crate) fn now(host: &Pid, broker: Option<&Pid>) -> Self {
        Self { at: Instant::now(), host: host.cpu(), broker: broker.map(Pid::cpu) }
    }

    pub(crate) fn until(&self, end: &Self) -> Span {
        let broker = self.broker.zip(end.broker).map(|(begin, end)| end - begin);
        Span { took: end.at - self.at, host: end.host - self.host, broker }
    }
}

/// The middle one.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// The value that a share of all do not exceed. `sorted` has one at least.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// Microseconds, for so many.
pub(crate) fn micros_each(duration: Duration, count: usize) -> f64 {
    duration.as_secs_f64() * 1e6 / count as f64
}
