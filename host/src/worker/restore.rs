//! Bringing stores up to date from their changelogs before their partitions' events are handled.
//!
//! Assigned partitions stay paused while their stores are read, a little at each step, so that the membership goes on being
//! polled. A store that was kept from an earlier assignment reads only what its changelog has gained since; one that has been away
//! for longer than [`CACHE_AGE_MAX`] begins anew, because compaction may have dropped the tombstones in between.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::transaction::{CHANGELOG_FORMAT, CHANGELOG_FORMAT_HEADER};
use super::{Stores, state::Store};
use crate::broker::{Broker, Error, Replay, Replayed};
use crate::event::{Event, Partition};

/// Well below `delete.retention.ms` (a day by default), after which compaction drops tombstones.
pub const CACHE_AGE_MAX: Duration = Duration::from_secs(3600);
/// How long one wait for records may last.
const WAIT: Duration = Duration::from_millis(20);

/// One store to be restored.
struct Job {
    input: Partition,
    function: usize,
    changelog: Partition,
}

/// What is left to restore.
#[derive(Default)]
pub struct Restore {
    jobs: VecDeque<Job>,
    current: Option<Box<dyn Replay>>,
    /// Records read since the restore began.
    pub records: usize,
}

impl Restore {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Restores the state of `function` for `input` from `changelog`, after what was asked for before.
    pub fn add(&mut self, input: Partition, function: usize, changelog: Partition) {
        self.jobs.push_back(Job { input, function, changelog });
    }

    /// These partitions are gone.
    pub fn forget(&mut self, gone: &[Partition]) {
        if self.jobs.front().is_some_and(|job| gone.contains(&job.input)) {
            self.current = None;
        }
        self.jobs.retain(|job| !gone.contains(&job.input));
    }

    /// The inputs that still wait for a store.
    pub fn waiting(&self) -> BTreeSet<Partition> {
        self.jobs.iter().map(|job| job.input.clone()).collect()
    }

    /// Does one bounded part of the work.
    ///
    /// # Errors
    /// [`Error::Away`]: call again. [`Error::Corrupt`] for a record of a format that this host does not know.
    pub fn advance(&mut self, broker: &dyn Broker, stores: &mut Stores) -> Result<(), Error> {
        let Some(job) = self.jobs.front() else { return Ok(()) };
        let store = stores.entry((job.function, job.input.clone())).or_default();
        let replay = match &mut self.current {
            Some(replay) => replay,
            None => {
                let replay = match broker.replay(&job.changelog, store.next()) {
                    Err(Error::Shrunk { partition, expected, end }) => {
                        tracing::warn!(%partition, expected, end, "the changelog is shorter than it was, restoring all of it");
                        *store = Arc::default();
                        broker.replay(&job.changelog, 0)?
                    }
                    other => other?,
                };
                self.current.insert(replay)
            }
        };
        match replay.next(WAIT) {
            Ok(Replayed::Records(records)) => {
                self.records += records.len();
                let store = Arc::make_mut(store);
                records.into_iter().try_for_each(|record| restore(store, record))
            }
            Ok(Replayed::Waiting) => Ok(()),
            Ok(Replayed::Done { next }) => {
                Arc::make_mut(store).restored_to(next);
                self.current = None;
                self.jobs.pop_front();
                Ok(())
            }
            Err(error) => {
                // Whatever it was, the next call begins this store's replay anew from where the store is.
                self.current = None;
                Err(error)
            }
        }
    }
}

fn restore(store: &mut Store, record: Event) -> Result<(), Error> {
    let format = record.headers.iter().find(|h| h.name == CHANGELOG_FORMAT_HEADER).and_then(|h| h.value.as_deref());
    if format != Some(CHANGELOG_FORMAT) {
        let found = format.map_or_else(|| "none".to_owned(), |f| String::from_utf8_lossy(f).into_owned());
        let cause = format!("the record at offset {} has state format {found}, this host knows 1", record.offset);
        return Err(Error::Corrupt { partition: record.partition, cause: cause.into() });
    }
    store.restored_to(record.offset + 1);
    store.restore(record.key.unwrap_or_default(), record.value);
    Ok(())
}
