//! Reading a partition back.
//!
//! There is no open transaction to wait out: what was handed to the writer when a replay is asked for is decided before its
//! end is looked up. Upkeep leaves a partition alone for as long as a replay of it exists, so that a record is not deleted in
//! front of a reader whose end lies before the one that replaced it.

use std::sync::Arc;
use std::time::Duration;

use super::log::{Reader, Room};
use super::shared::Shared;
use crate::broker::{Error, Replay, Replayed};
use crate::event::{Offset, Partition};

/// How much one call brings.
const ROOM: Room = Room { records: 1000, bytes: 1 << 20 };

/// A replay.
pub(super) struct EmbeddedReplay {
    shared: Arc<Shared>,
    partition: Partition,
    id: u32,
    from: Offset,
    end: Offset,
}

impl EmbeddedReplay {
    pub(super) fn new(shared: &Arc<Shared>, partition: &Partition, from: Offset) -> Result<Self, Error> {
        let missing = || Error::NoSuchTopic { topic: partition.topic.to_string() };
        shared.begin_replay(partition);
        // From here on it ends when it is dropped.
        let mut replay = Self { shared: Arc::clone(shared), partition: partition.clone(), id: 0, from, end: from };
        shared.barrier()?;
        let (id, bounds) = shared.catalog().find(partition).ok_or_else(missing)?;
        if from > bounds.end {
            return Err(Error::Shrunk { partition: partition.clone(), expected: from, end: bounds.end });
        }
        (replay.id, replay.from, replay.end) = (id, from.max(bounds.start), bounds.end);
        Ok(replay)
    }
}

impl Replay for EmbeddedReplay {
    fn next(&mut self, _: Duration) -> Result<Replayed, Error> {
        let (mut room, mut records) = (ROOM, Vec::new());
        let wanted = (self.from, self.end);
        let read = self.shared.file.read(|transaction| {
            Reader::new(transaction)?.events(&self.partition, self.id, wanted, &mut room, &mut records)
        });
        self.from = read.map_err(|fault| self.shared.fault_in(&self.partition, fault))?;
        Ok(if records.is_empty() { Replayed::Done { next: self.end } } else { Replayed::Records(records) })
    }
}

impl Drop for EmbeddedReplay {
    fn drop(&mut self) {
        self.shared.end_replay(&self.partition);
    }
}
