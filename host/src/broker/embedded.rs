//! A broker in one process and one file, for `fnhost demo`, `fnhost dev` and quick tests. Not for production: it knows one
//! disk and one process, and what it promises was not tried by years of use.
//!
//! It keeps every promise of [`Broker`] all the same. What was acknowledged, a publish that resolved or a commit that
//! returned, is on the disk, and survives `kill -9` at any moment. A transaction is one transaction of the storage engine (redb),
//! so none is ever seen open.
//!
//! ```text
//! publishers ─┐                                        ┌─▶ file ─▶ answers
//! memberships ┼─▶ queue (bounded) ─▶ writer (a thread) ┤
//! upkeep ─────┘                                        └─▶ bells of those who own what was written
//!                                     file ─▶ memberships, replays: read in bounded pieces, nothing kept
//! ```
//!
//! - `file` opens, reads and writes, and knows what became of a write that failed; `log` has the tables.
//! - `writer` is the only one that writes, and looks at every fence when it does.
//! - `group` decides who owns what, and knows neither files nor threads; `groups` and `membership` bring it to them.
//! - `upkeep` deletes and compacts.
//!
//! Locks, outermost first: groups, catalog. Neither is held while the file is waited for, but by the writer, which reads
//! the catalog that it alone changes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use self::file::File;
use self::job::{Denied, Work};
pub use self::open_error::OpenError;
use self::shared::{Shared, WallClock};
use super::{
    Broker, Committed, Error, Exclusive, Identity, Member, Membership, Progress, Publisher, Pulse, Replay, Stored,
    Topic, TopicChange,
};
use crate::event::{Offset, Partition, Record};

mod admin;
mod bell;
mod catalog;
mod exclusive;
mod file;
mod group;
mod groups;
mod job;
mod keys;
mod log;
mod membership;
mod newest;
mod open_error;
mod partitioner;
mod publisher;
mod queue;
mod record;
mod replay;
mod shared;
mod upkeep;
mod writer;

/// What may differ from one embedded broker to another.
#[derive(Clone)]
pub struct Options {
    /// What records' timestamps and ages are told by.
    pub clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    /// How often old and superseded records are looked for.
    pub upkeep_every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { clock: Arc::new(SystemTime::now), upkeep_every: Duration::from_secs(10) }
    }
}

/// A broker over a file. The file is free again when this is dropped, whatever else still holds on to it: memberships,
/// replays and writers then find the broker away.
pub struct Embedded {
    shared: Arc<Shared>,
    said: admin::Said,
    threads: Vec<JoinHandle<()>>,
}

impl Embedded {
    /// Opens the file at `path` for this process alone; makes it, and its folder, where it is missing.
    ///
    /// # Errors
    /// [`OpenError`] has what mends it. The file is left as it was.
    pub fn open(path: &Path, options: &Options) -> Result<Arc<Self>, OpenError> {
        Self::start(File::open(path)?, options)
    }

    /// A broker over a file of its own, which is gone when this is dropped or the process ends, however that happens.
    ///
    /// # Errors
    /// [`OpenError`] has what mends it.
    pub fn temporary(options: &Options) -> Result<Arc<Self>, OpenError> {
        Self::start(File::temporary()?, options)
    }

    fn start(file: File, options: &Options) -> Result<Arc<Self>, OpenError> {
        let path = file.path().to_owned();
        let catalog = file.read(log::load);
        let catalog = catalog.map_err(|fault| OpenError::Damaged { path: path.clone(), cause: Box::new(fault) })?;
        let clock: WallClock = Arc::clone(&options.clock);
        let shared = Arc::new(Shared::new(file, catalog, clock));
        // The threads end with it, also when the second cannot be started.
        let mut embedded = Self { shared, said: admin::Said::default(), threads: Vec::new() };
        let upkeep_every = options.upkeep_every;
        embedded.spawn(&path, "embedded writer", |shared| writer::run(&shared))?;
        embedded.spawn(&path, "embedded upkeep", move |shared| upkeep::run(&shared, upkeep_every))?;
        Ok(Arc::new(embedded))
    }

    fn spawn(
        &mut self,
        path: &Path,
        name: &str,
        run: impl FnOnce(Arc<Shared>) + Send + 'static,
    ) -> Result<(), OpenError> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(shared));
        let io = |cause| OpenError::Io { path: path.to_owned(), what: "served by a thread", cause };
        self.threads.push(thread.map_err(io)?);
        Ok(())
    }

    /// Deletes the records before `offset`, as `retention.ms` would in time.
    ///
    /// # Errors
    /// [`Error::NoSuchTopic`], [`Error::Away`], [`Error::Refused`] while somebody replays the partition.
    pub fn delete_before(&self, partition: &Partition, offset: Offset) -> Result<(), Error> {
        upkeep::delete_before(&self.shared, partition, offset)
    }

    /// Deletes what is too old and compacts what is worth it, now. Otherwise that happens every
    /// [`Options::upkeep_every`]. Partitions that are being replayed are left out.
    ///
    /// # Errors
    /// [`Error::Away`], [`Error::Corrupt`].
    pub fn upkeep(&self) -> Result<(), Error> {
        upkeep::once(&self.shared)
    }
}

/// For each partition written, the offset after the last record in it.
fn committed(records: &[Record], stored: &[Stored]) -> Committed {
    let mut ends: BTreeMap<Partition, Offset> = BTreeMap::new();
    for (record, stored) in records.iter().zip(stored) {
        let end = ends.entry(Partition::new(Arc::clone(&record.topic), stored.partition)).or_default();
        *end = (*end).max(stored.offset + 1);
    }
    Committed { ends, steps: None }
}

impl Broker for Embedded {
    fn join(&self, member: &Member) -> Result<Box<dyn Membership>, Error> {
        Ok(Box::new(membership::EmbeddedMembership::new(Arc::clone(&self.shared), member.clone())))
    }

    fn replay(&self, partition: &Partition, from: Offset) -> Result<Box<dyn Replay>, Error> {
        Ok(Box::new(replay::EmbeddedReplay::new(&self.shared, partition, from)?))
    }

    fn exclusive(&self, name: &str) -> Result<Box<dyn Exclusive>, Error> {
        Ok(Box::new(exclusive::EmbeddedExclusive::new(Arc::clone(&self.shared), name)?))
    }

    fn publisher(&self) -> Result<Arc<dyn Publisher>, Error> {
        Ok(Arc::new(publisher::EmbeddedPublisher::new(Arc::clone(&self.shared))))
    }

    fn topics(&self, names: &[&str]) -> Result<Vec<Topic>, Error> {
        Ok(self.shared.catalog().shown(names))
    }

    fn partitions(&self, names: &[&str]) -> Result<BTreeMap<String, i32>, Error> {
        Ok(self.topics(names)?.into_iter().map(|topic| (topic.name, topic.partitions)).collect())
    }

    fn apply(&self, changes: &[TopicChange]) -> Result<(), Error> {
        changes.iter().try_for_each(|change| admin::apply(&self.shared, &self.said, change))
    }

    fn progress(&self, group: &str, topics: &[&str]) -> Result<Vec<Progress>, Error> {
        admin::progress(&self.shared, group, topics)
    }

    fn check(&self, within: Duration) -> Result<Identity, Error> {
        let endpoint = self.shared.endpoint();
        match self.shared.ask_within(Work::Barrier, &Pulse::default(), Some(Instant::now() + within)) {
            Some(Ok(_)) => Ok(Identity { name: format!("the embedded broker in {endpoint}, not for production") }),
            Some(Err(Denied::Fault(fault))) => Err(self.shared.fault(fault)),
            Some(Err(denied)) => Err(self.shared.error(denied, "asking the writer")),
            None => Err(Error::Away { endpoint, cause: "the disk does not answer in time".into() }),
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.shared.queue.close();
        self.shared.file.begin_closing();
        self.shared.upkeep.ring();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the embedded broker panicked");
            }
        }
        self.shared.file.close();
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").field("path", &self.shared.file.path()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
