//! What the handles of one embedded broker, its writer and its upkeep have in common.

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::bell::Bell;
use super::catalog::Catalog;
use super::file::{Fault, File};
use super::groups::Groups;
use super::job::{Denied, Job, Stored, Work};
use super::queue::Queue;
use crate::broker::{Error, Pulse};
use crate::event::Partition;
use crate::sync::lock;

/// How often a thread that waits for the writer shows that it lives.
const BEAT: Duration = Duration::from_secs(1);

/// The wall clock: timestamps and ages of records come from it.
pub(super) type WallClock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What is shared.
pub(super) struct Shared {
    pub(super) file: File,
    pub(super) queue: Queue,
    /// Changed by the writer alone.
    pub(super) catalog: Arc<RwLock<Catalog>>,
    pub(super) groups: Groups,
    pub(super) clock: WallClock,
    /// Rung when upkeep is to look up, such as at the end.
    pub(super) upkeep: Bell,
    /// The newest exclusive writer of each name that has one.
    exclusives: Mutex<BTreeMap<String, u64>>,
    /// How many replays there are of each partition that has any.
    replays: Mutex<BTreeMap<Partition, usize>>,
}

impl Shared {
    pub(super) fn new(file: File, catalog: Catalog, clock: WallClock) -> Self {
        let catalog = Arc::new(RwLock::new(catalog));
        Self {
            file,
            queue: Queue::default(),
            groups: Groups::new(Arc::clone(&catalog)),
            catalog,
            clock,
            upkeep: Bell::default(),
            exclusives: Mutex::default(),
            replays: Mutex::default(),
        }
    }

    pub(super) fn catalog(&self) -> RwLockReadGuard<'_, Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now_ms(&self) -> u64 {
        let since = (self.clock)().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Has the writer do something, and waits until it is decided.
    pub(super) fn ask(&self, work: Work, pulse: &Pulse) -> Result<Vec<Stored>, Denied> {
        self.ask_within(work, pulse, None).unwrap_or(Err(Denied::Unanswered))
    }

    /// The same, at most until `until`; `None` when that was too early to know.
    pub(super) fn ask_within(
        &self,
        work: Work,
        pulse: &Pulse,
        until: Option<Instant>,
    ) -> Option<Result<Vec<Stored>, Denied>> {
        let (answer, answered) = sync_channel(1);
        // Who does not wait any more has nothing to hear.
        let done = Box::new(move |result| drop(answer.send(result)));
        if self.queue.push(Job { work, done }).is_err() {
            return Some(Err(Denied::Fault(self.file.why_not())));
        }
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            match answered.recv_timeout(left.unwrap_or(BEAT).min(BEAT)) {
                Ok(result) => return Some(result),
                Err(RecvTimeoutError::Disconnected) => return Some(Err(Denied::Unanswered)),
                Err(RecvTimeoutError::Timeout) if left.is_some_and(|left| left.is_zero()) => return None,
                Err(RecvTimeoutError::Timeout) => pulse.beat(),
            }
        }
    }

    /// Returns when all that was handed in before is decided.
    pub(super) fn barrier(&self) -> Result<(), Error> {
        self.ask(Work::Barrier, &Pulse::default())
            .map(drop)
            .map_err(|denied| self.error(denied, "waiting for the writer"))
    }

    /// Becomes the newest writer of a name.
    pub(super) fn take_name(&self, name: &str) -> u64 {
        let ticket = self.groups.ticket();
        lock(&self.exclusives).insert(name.to_owned(), ticket);
        ticket
    }

    /// Whether nobody took the name since.
    pub(super) fn has_name(&self, name: &str, ticket: u64) -> bool {
        lock(&self.exclusives).get(name) == Some(&ticket)
    }

    /// Gives a name back.
    pub(super) fn give_name_back(&self, name: &str, ticket: u64) {
        let mut exclusives = lock(&self.exclusives);
        if exclusives.get(name) == Some(&ticket) {
            exclusives.remove(name);
        }
    }

    /// A replay of a partition begins: nothing in it is deleted until it is over.
    pub(super) fn begin_replay(&self, partition: &Partition) {
        *lock(&self.replays).entry(partition.clone()).or_default() += 1;
    }

    /// A replay is over.
    pub(super) fn end_replay(&self, partition: &Partition) {
        let mut replays = lock(&self.replays);
        if let Some(count) = replays.get_mut(partition) {
            *count -= 1;
            if *count == 0 {
                replays.remove(partition);
            }
        }
    }

    /// Whether somebody replays a partition.
    pub(super) fn is_replayed(&self, partition: &Partition) -> bool {
        lock(&self.replays).contains_key(partition)
    }

    /// Where it is, for people.
    pub(super) fn endpoint(&self) -> String {
        self.file.path().display().to_string()
    }

    /// What a fault of the file means to whoever did not ask about a partition.
    pub(super) fn fault(&self, fault: Fault) -> Error {
        match fault {
            Fault::Broken(_) => Error::Bug { what: "the embedded broker's writer", cause: Box::new(fault) },
            Fault::Damaged(_) => Error::Unfit { name: self.endpoint(), reason: fault.to_string() },
            Fault::Storage(_) | Fault::Closed | Fault::Unknown => {
                Error::Away { endpoint: self.endpoint(), cause: Box::new(fault) }
            }
        }
    }

    /// What a fault of the file means to whoever reads a partition.
    pub(super) fn fault_in(&self, partition: &Partition, fault: Fault) -> Error {
        match fault {
            Fault::Damaged(_) => Error::Corrupt { partition: partition.clone(), cause: Box::new(fault) },
            other => self.fault(other),
        }
    }

    /// What it means that the writer did not do something.
    pub(super) fn error(&self, denied: Denied, what: &'static str) -> Error {
        match denied {
            Denied::Fault(fault) => self.fault(fault),
            Denied::NoSuchTopic(topic) => Error::NoSuchTopic { topic: topic.to_string() },
            other => Error::Bug { what, cause: other.to_string().into() },
        }
    }
}
