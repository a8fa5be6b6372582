//! Upkeep: what is too old goes, and of compacted topics what is superseded.
//!
//! One thread looks at every partition every now and then. It reads a piece, decides, and has the writer delete that piece
//! among all else that is written, so that nobody waits for more than a piece. A partition that is being replayed is left
//! for another time. Offsets never move.
//!
//! - Deleting: from the oldest on, by timestamp (`retention.ms`) and while a partition is larger than `retention.bytes`.
//! - Compacting: when at least half of a log was written since the last time, and that is worth it. The newest
//!   offset of each new key is noted, as many as fit in [`KEYS_BYTES_MAX`]; then all before is walked through ([`newest`]).
//!
//! [`newest`]: super::newest

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::file::Fault;
use super::job::{Denied, Sweep, Swept, Work};
use super::keys::Limits;
use super::log::{Bounds, Reader};
use super::newest::Newest;
use super::record::glance;
use super::shared::Shared;
use crate::broker::{Error, Pulse};
use crate::event::{Offset, Partition};

/// How many records one piece has.
const PIECE_RECORDS: usize = 1000;
/// How many bytes of keys a compaction keeps in mind.
const KEYS_BYTES_MAX: usize = 8 << 20;
/// A compacted partition is left alone until this much was written.
const DIRTY_RECORDS_MIN: u64 = 1000;

/// A partition that may have something to delete.
struct Candidate {
    partition: Partition,
    id: u32,
    limits: Limits,
    bounds: Bounds,
}

/// Does upkeep every now and then, until the broker is closed.
pub(super) fn run(shared: &Shared, every: Duration) {
    loop {
        let heard = shared.upkeep.heard();
        // Looked at after the rings were counted: the one at the end is heard here or there.
        if shared.file.is_closing() {
            return;
        }
        shared.upkeep.wait(heard, Instant::now() + every);
        if shared.file.is_closing() {
            return;
        }
        // While the disk fails there is nothing to be done, and others say so.
        if let Err(error) = once(shared) {
            match error {
                Error::Corrupt { .. } => tracing::warn!(%error, "a partition is neither shortened nor compacted"),
                error => tracing::debug!(%error, "upkeep is put off"),
            }
        }
    }
}

/// Goes through every partition once; one that is in trouble does not keep the others from it. The first error is told.
pub(super) fn once(shared: &Shared) -> Result<(), Error> {
    let candidates: Vec<Candidate> = shared
        .catalog()
        .all()
        .flat_map(|held| {
            (0..).zip(&held.bounds).map(|(number, bounds)| Candidate {
                partition: Partition::new(Arc::clone(&held.name), number),
                id: held.stored.id,
                limits: held.limits,
                bounds: *bounds,
            })
        })
        .collect();
    let mut first = Ok(());
    for candidate in candidates {
        let mut done = Ok(());
        if candidate.limits.deletes {
            done = delete_old(shared, &candidate);
        }
        if candidate.limits.compacts && done.is_ok() {
            done = compact(shared, &candidate);
        }
        first = first.and(done);
    }
    first
}

/// Deletes all before an offset, unless somebody replays the partition.
pub(super) fn delete_before(shared: &Shared, partition: &Partition, offset: Offset) -> Result<(), Error> {
    loop {
        let (_, bounds) = shared
            .catalog()
            .find(partition)
            .ok_or_else(|| Error::NoSuchTopic { topic: partition.topic.to_string() })?;
        if bounds.start >= offset.min(bounds.end) {
            return Ok(());
        }
        if sweep(shared, partition, Swept::Before(offset))?.is_break() {
            let action = format!("delete the records of {partition} before offset {offset}");
            return Err(Error::Refused { action, cause: Box::new(Denied::Replayed) });
        }
    }
}

/// Has the writer do a piece of it. Break: not now.
fn sweep(shared: &Shared, partition: &Partition, what: Swept) -> Result<ControlFlow<()>, Error> {
    let work = Work::Sweep(Sweep { partition: partition.clone(), what });
    match shared.ask(work, &Pulse::default()) {
        Ok(_) if shared.file.is_closing() => Ok(ControlFlow::Break(())),
        Ok(_) => Ok(ControlFlow::Continue(())),
        Err(Denied::Replayed) => Ok(ControlFlow::Break(())),
        Err(denied) => Err(shared.error(denied, "deleting records")),
    }
}

fn read<T>(shared: &Shared, candidate: &Candidate, work: impl FnOnce(&Reader) -> Result<T, Fault>) -> Result<T, Error> {
    // Nobody is to wait at the end until a long log was walked through.
    let read = match shared.file.is_closing() {
        true => Err(Fault::Closed),
        false => shared.file.read(|transaction| work(&Reader::new(transaction)?)),
    };
    read.map_err(|fault| shared.fault_in(&candidate.partition, fault))
}

fn delete_old(shared: &Shared, candidate: &Candidate) -> Result<(), Error> {
    let Candidate { limits, bounds, id, partition } = candidate;
    let oldest_ms = limits.retention_ms.map_or(0, |keep| shared.now_ms().saturating_sub(keep));
    let mut surplus = limits.retention_bytes.map_or(0, |keep| bounds.bytes.saturating_sub(keep));
    let mut start = bounds.start;
    loop {
        let until = read(shared, candidate, |reader| {
            let (mut until, mut seen) = (start, 0);
            let piece = (start, bounds.end);
            let stopped = reader.visit((*id, partition.number), piece, |offset, bytes| {
                let size = bytes.len() as u64;
                let is_surplus = size <= surplus;
                if seen >= PIECE_RECORDS || !(is_surplus || glance(offset, bytes)?.timestamp_ms < oldest_ms) {
                    return Ok(ControlFlow::Break(()));
                }
                surplus = surplus.saturating_sub(size);
                (until, seen) = (offset + 1, seen + 1);
                Ok(ControlFlow::Continue(()))
            })?;
            Ok(if stopped.is_break() { until } else { bounds.end })
        })?;
        if until == start || sweep(shared, partition, Swept::Before(until))?.is_break() {
            return Ok(());
        }
        start = until;
    }
}

fn compact(shared: &Shared, candidate: &Candidate) -> Result<(), Error> {
    let Candidate { limits, id, partition, .. } = candidate;
    // Deleting may have moved them.
    let Some((_, bounds)) = shared.catalog().find(partition) else { return Ok(()) };
    let place = (*id, partition.number);
    let dirty = u64::try_from(bounds.end - bounds.cleaned).unwrap_or(0);
    if dirty < DIRTY_RECORDS_MIN || dirty < bounds.records.saturating_sub(dirty) {
        return Ok(());
    }
    let (mut newest, mut until) = (Newest::default(), bounds.cleaned);
    while until < bounds.end {
        let (next, is_full) = read(shared, candidate, |reader| {
            let (mut next, mut seen, mut is_full) = (until, 0, false);
            let stopped = reader.visit(place, (until, bounds.end), |offset, bytes| {
                is_full = !glance(offset, bytes)?.key.is_none_or(|key| newest.note(key, offset, KEYS_BYTES_MAX));
                if is_full || seen >= PIECE_RECORDS {
                    return Ok(ControlFlow::Break(()));
                }
                (next, seen) = (offset + 1, seen + 1);
                Ok(ControlFlow::Continue(()))
            })?;
            Ok((if stopped.is_break() { next } else { bounds.end }, is_full))
        })?;
        until = next;
        if is_full {
            break;
        }
    }
    let horizon_ms = shared.now_ms().saturating_sub(limits.tombstone_ms);
    let mut from = bounds.start;
    while from < until {
        let (next, superseded) = read(shared, candidate, |reader| {
            let (mut next, mut seen, mut superseded) = (from, 0, Vec::new());
            let stopped = reader.visit(place, (from, until), |offset, bytes| {
                if seen >= PIECE_RECORDS {
                    return Ok(ControlFlow::Break(()));
                }
                if newest.is_superseded(offset, &glance(offset, bytes)?, bounds.cleaned, horizon_ms) {
                    superseded.push(offset);
                }
                (next, seen) = (offset + 1, seen + 1);
                Ok(ControlFlow::Continue(()))
            })?;
            Ok((if stopped.is_break() { next } else { until }, superseded))
        })?;
        from = next;
        if !superseded.is_empty() && sweep(shared, partition, Swept::Superseded(superseded))?.is_break() {
            return Ok(());
        }
    }
    sweep(shared, partition, Swept::Cleaned(until)).map(drop)
}
