//! Positions that pass what is no event.
//!
//! A transaction ends with a marker that takes an offset. A position one after the last event therefore lies before it, and
//! Kafka's tools would show a lag of one for ever. When a worker has been idle for `IDLE`, it reads from a partition's
//! position to its end; if nothing is there to be read, it commits the end. That costs one read a partition after each spell
//! of work, and nothing while there is any. A partition whose end is not decided yet is tried again, after the others.

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
    /// Tried in vain: their turn comes again when the others are through.
    put_off: BTreeSet<Partition>,
    idle_since: Duration,
}

/// What a partition's end turned out to be.
#[derive(Debug)]
pub enum End {
    /// Nothing lies between: this moves the position to it.
    Ahead(Transaction),
    /// The position is there, or events lie before it.
    Settled,
    /// It is not known yet.
    Undecided,
}

impl Settle {
    /// Nothing to settle.
    pub fn new(now: Duration) -> Self {
        Self { open: BTreeSet::new(), put_off: BTreeSet::new(), idle_since: now }
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
        self.put_off.remove(partition);
    }

    /// This partition could not be settled.
    pub fn put_off(&mut self, partition: Partition) {
        self.put_off.insert(partition);
    }

    /// One to settle now, if it is quiet. It is to be put off when that does not work.
    pub fn next(&mut self, now: Duration) -> Option<Partition> {
        if now.saturating_sub(self.idle_since) < IDLE {
            return None;
        }
        let next = self.open.pop_first();
        if next.is_none() && !self.put_off.is_empty() {
            std::mem::swap(&mut self.open, &mut self.put_off);
            self.idle_since = now;
        }
        next
    }
}

/// Whether anything lies between a position and its partition's end. A position that is moved gets this note.
///
/// # Errors
/// What reading the partition brings.
pub fn end(broker: &dyn Broker, partition: &Partition, next: Offset, note: String) -> Result<End, Error> {
    let mut replay = match broker.replay(partition, next) {
        // Cut short or made anew: for the consumer to find out and report.
        Err(Error::Shrunk { .. }) => return Ok(End::Settled),
        other => other?,
    };
    Ok(match replay.next(WAIT)? {
        Replayed::Done { next: end } if end > next => {
            let position = Position { next: Some(end), note };
            let moved = Transaction::new(BTreeMap::from([(partition.clone(), position)]), Vec::new());
            moved.map_or(End::Settled, End::Ahead)
        }
        Replayed::Done { .. } | Replayed::Records(_) => End::Settled,
        Replayed::Waiting => End::Undecided,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_settled_comes_again_after_the_others_and_another_idle_spell() {
        let (first, second) = (Partition::new("a", 0), Partition::new("b", 0));
        let mut settle = Settle::new(Duration::ZERO);
        settle.add(first.clone());
        settle.add(second.clone());
        assert_eq!(settle.next(IDLE / 2), None, "it is not idle yet");
        assert_eq!(settle.next(IDLE), Some(first.clone()));
        settle.put_off(first.clone());
        assert_eq!(settle.next(IDLE), Some(second));
        assert_eq!(settle.next(IDLE), None);
        assert_eq!(settle.next(IDLE + IDLE / 2), None, "not at once");
        assert_eq!(settle.next(IDLE * 2), Some(first.clone()));
        settle.put_off(first.clone());
        settle.remove(&first);
        assert_eq!((settle.next(IDLE * 3), settle.next(IDLE * 9)), (None, None), "it is no longer ours");
    }
}
