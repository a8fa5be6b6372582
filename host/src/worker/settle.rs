//! Positions that pass what is no event.
//!
//! A transaction ends with a marker that takes an offset. A position one after the last event therefore lies before it, and
//! Kafka's tools would show a lag of one for ever. When a worker has been idle for [`IDLE`], it reads from a partition's
//! position to its end; if nothing is there to be read, it commits the end. That costs one read a partition after each spell
//! of work, and nothing while there is any.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::broker::{Broker, Error, Position, Replayed, Transaction};
use crate::event::{Offset, Partition};

/// How long nothing must have happened.
const IDLE: Duration = Duration::from_secs(1);
/// How long one read may take.
const WAIT: Duration = Duration::from_millis(50);

/// Which partitions are to be settled.
#[derive(Debug)]
pub struct Settle {
    open: BTreeSet<Partition>,
    idle_since: Duration,
}

impl Settle {
    /// Nothing to settle.
    pub fn new(now: Duration) -> Self {
        Self { open: BTreeSet::new(), idle_since: now }
    }

    /// Something happened.
    pub fn touch(&mut self, now: Duration) {
        self.idle_since = now;
    }

    /// This partition's position may lie before a marker.
    pub fn add(&mut self, partition: Partition) {
        self.open.insert(partition);
    }

    /// This partition is no longer ours.
    pub fn remove(&mut self, partition: &Partition) {
        self.open.remove(partition);
    }

    /// One to settle now, if it is quiet.
    pub fn next(&mut self, now: Duration) -> Option<Partition> {
        (now.saturating_sub(self.idle_since) >= IDLE).then(|| self.open.pop_first()).flatten()
    }
}

/// What is between a position and its partition's end.
#[derive(Debug)]
pub enum Between {
    /// Nothing to read: this moves the position to the end.
    Nothing(Transaction),
    /// Events, which polls will bring, or the end itself.
    Events,
    /// Something undecided: look again later.
    Undecided,
}

/// Looks at what lies between `next` and the partition's end.
///
/// # Errors
/// What reading the partition brings.
pub fn look(broker: &dyn Broker, partition: &Partition, next: Offset) -> Result<Between, Error> {
    let mut replay = match broker.replay(partition, next) {
        // Cut short or made anew: for the consumer to find out and report.
        Err(Error::Shrunk { .. }) => return Ok(Between::Events),
        other => other?,
    };
    match replay.next(WAIT)? {
        Replayed::Done { next: end } if end > next => {
            let position = Position { next: Some(end), note: String::new() };
            let transaction = Transaction::new(BTreeMap::from([(partition.clone(), position)]), Vec::new());
            Ok(transaction.map_or(Between::Events, Between::Nothing))
        }
        Replayed::Done { .. } | Replayed::Records(_) => Ok(Between::Events),
        Replayed::Waiting => Ok(Between::Undecided),
    }
}
