//! A place in a group: [`Turn`]s become [`Polled`], reads begin where the group is, transactions go to the writer.
//!
//! What is read is read from the file, a poll's worth at a time; nothing is fetched ahead. A member that has nothing to read
//! sleeps until its [`Bell`] rings: for a record in one of its partitions, or for a change of the group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bell::Bell;
use super::file::Fault;
use super::group::{Given, Turn};
use super::job::{Denied, Fence, Work, Write};
use super::log::{self, Reader, Room};
use super::record::Draft;
use super::shared::Shared;
use crate::broker::{CommitError, Committed, Error, From, Member, Membership, Polled, Position, Transaction};
use crate::event::{Event, Offset, Partition};

/// A membership.
pub(super) struct EmbeddedMembership {
    shared: Arc<Shared>,
    member: Member,
    bell: Arc<Bell>,
    ticket: u64,
    owned: BTreeMap<Partition, Reading>,
    /// Which partition is read first in the next poll, so that a busy one does not hold back the others.
    first: usize,
}

/// How far an owned partition was read.
struct Reading {
    /// Its topic's id.
    id: u32,
    next: Offset,
    is_paused: bool,
}

impl EmbeddedMembership {
    pub(super) fn new(shared: Arc<Shared>, member: Member) -> Self {
        let bell = Arc::default();
        let ticket = shared.groups.sit(&member, &bell);
        Self { shared, member, bell, ticket, owned: BTreeMap::new(), first: 0 }
    }

    fn poll_until(&mut self, until: Instant) -> Result<Polled, Error> {
        loop {
            // Who has nothing to read would not find out.
            if self.shared.file.is_closing() {
                return Err(self.shared.fault(self.shared.file.why_not()));
            }
            let heard = self.bell.heard();
            let (turn, look_again) = self.shared.groups.turn(&self.member, self.ticket);
            match turn {
                Turn::Fenced => return Err(Error::Fenced { name: self.member.name.clone() }),
                Turn::Expelled => {
                    self.ticket = self.shared.groups.sit(&self.member, &self.bell);
                    self.shared.groups.begin_poll(&self.member, self.ticket);
                    let partitions: Vec<Partition> = std::mem::take(&mut self.owned).into_keys().collect();
                    if !partitions.is_empty() {
                        return Ok(Polled::Revoked { partitions, lost: true });
                    }
                    continue;
                }
                Turn::LetGo(partitions) => {
                    self.owned.clear();
                    return Ok(Polled::Revoked { partitions, lost: false });
                }
                Turn::Take(given) => {
                    if let Some(positions) = self.take(&given)? {
                        return Ok(Polled::Assigned(positions));
                    }
                    continue;
                }
                Turn::Work => {
                    let events = self.read()?;
                    if !events.is_empty() {
                        return Ok(Polled::Events(events));
                    }
                }
                Turn::Wait => {}
            }
            if Instant::now() >= until {
                return Ok(Polled::Idle);
            }
            // A little later than the deadline, so that it has passed by then.
            let look_again = look_again.map_or(until, |at| at + Duration::from_millis(1));
            self.bell.wait(heard, until.min(look_again));
        }
    }

    /// Finds out where to begin in these partitions, and makes them its own. `None` when the group changed its mind.
    fn take(&mut self, given: &Given) -> Result<Option<BTreeMap<Partition, Position>>, Error> {
        // What their last owner handed in is decided before their positions are read.
        self.shared.barrier()?;
        let mut ids = BTreeMap::new();
        for partition in &given.partitions {
            let found = self.shared.catalog().find(partition);
            let (id, _) = found.ok_or_else(|| Error::NoSuchTopic { topic: partition.topic.to_string() })?;
            ids.insert(partition.clone(), id);
        }
        let read = self.shared.file.read(|transaction| {
            let known = log::positions(transaction, &self.member.group, &ids)?;
            let reader = Reader::new(transaction)?;
            let bounds = ids.iter().map(|(partition, id)| reader.bounds((*id, partition.number)));
            Ok((known, bounds.collect::<Result<Vec<_>, _>>()?))
        });
        let (mut known, bounds) = read.map_err(|fault| self.shared.fault(fault))?;
        let (mut owned, mut positions, mut fresh) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for ((partition, id), bounds) in ids.into_iter().zip(bounds) {
            let bounds = bounds.unwrap_or_default();
            let mut position = known.remove(&partition).unwrap_or_default();
            let from = self.member.topics.get(&partition.topic).copied().unwrap_or_default();
            let next = match (position.next, from) {
                (Some(next), _) if next < bounds.start => {
                    return Err(Error::OffsetGone { partition, wanted: next, earliest: bounds.start });
                }
                (Some(next), _) if next > bounds.end => {
                    return Err(Error::Shrunk { partition, expected: next, end: bounds.end });
                }
                (Some(next), _) => next,
                (None, From::Earliest) => bounds.start,
                (None, From::Latest) => {
                    position.next = Some(bounds.end);
                    fresh.insert(partition.clone(), position.clone());
                    bounds.end
                }
            };
            owned.insert(partition.clone(), Reading { id, next, is_paused: true });
            positions.insert(partition, position);
        }
        // Where a group begins at the end is decided once: another owner would otherwise find another end.
        if !fresh.is_empty() && !self.keep(given, fresh)? {
            return Ok(None);
        }
        if !self.shared.groups.taken(&self.member, self.ticket, given) {
            return Ok(None);
        }
        self.owned = owned;
        Ok(Some(positions))
    }

    /// Keeps where the group begins. `false` when the group changed its mind: then another may have a position by now.
    fn keep(&self, given: &Given, fresh: BTreeMap<Partition, Position>) -> Result<bool, Error> {
        let fence = Fence::Taker { name: self.member.name.clone(), ticket: self.ticket, number: given.number };
        match self.shared.ask(self.write(fence, fresh, Vec::new()), &self.member.pulse) {
            Ok(_) => Ok(true),
            Err(Denied::Moved | Denied::Fenced) => Ok(false),
            Err(denied) => Err(self.shared.error(denied, "keeping where a group begins")),
        }
    }

    fn write(&self, fence: Fence, positions: BTreeMap<Partition, Position>, records: Vec<Draft>) -> Work {
        Work::Write(Write { fence, group: self.member.group.clone(), positions, records })
    }

    /// Whether there may be something to read.
    fn is_behind(&self) -> bool {
        let catalog = self.shared.catalog();
        self.owned.iter().any(|(partition, reading)| {
            !reading.is_paused && catalog.find(partition).is_some_and(|(_, bounds)| reading.next < bounds.end)
        })
    }

    /// Reads a poll's worth.
    fn read(&mut self) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        if !self.is_behind() {
            return Ok(events);
        }
        let mut room = Room { records: self.member.events_max, bytes: self.member.bytes_max };
        let shared = Arc::clone(&self.shared);
        let count = self.owned.len();
        self.first = (self.first + 1) % count.max(1);
        let first = self.first;
        // All of them as they are at one moment.
        let mut wrong = None;
        let read = shared.file.read(|transaction| {
            let reader = Reader::new(transaction)?;
            let (before, after): (Vec<_>, Vec<_>) =
                self.owned.iter_mut().enumerate().partition(|(index, _)| *index < first);
            for (_, (partition, reading)) in after.into_iter().chain(before) {
                if reading.is_paused || !room.is_left() {
                    continue;
                }
                // No `?` from here on: what was read of other partitions is to be handed on.
                let bounds = match reader.bounds((reading.id, partition.number)) {
                    Ok(bounds) => bounds.unwrap_or_default(),
                    Err(fault) => {
                        wrong = Some(shared.fault_in(partition, fault));
                        return Ok(());
                    }
                };
                if reading.next < bounds.start {
                    let (wanted, earliest) = (reading.next, bounds.start);
                    wrong = Some(Error::OffsetGone { partition: partition.clone(), wanted, earliest });
                    return Ok(());
                }
                let wanted = (reading.next, bounds.end);
                let before = events.len();
                match reader.events(partition, reading.id, wanted, &mut room, &mut events) {
                    Ok(next) => reading.next = next,
                    Err(fault) => {
                        // What lies before the record that cannot be read was read, and must not be read again.
                        if let Some(last) = events.get(before..).and_then(<[Event]>::last) {
                            reading.next = last.offset + 1;
                        }
                        wrong = Some(shared.fault_in(partition, fault));
                        return Ok(());
                    }
                }
            }
            Ok(())
        });
        read.map_err(|fault| shared.fault(fault))?;
        match wrong {
            // What was read before is handed on; the next poll comes to the same place.
            Some(error) if events.is_empty() => Err(error),
            _ => Ok(events),
        }
    }

    fn set_paused(&mut self, what: &'static str, partitions: &[Partition], is_paused: bool) -> Result<(), Error> {
        if let Some(foreign) = partitions.iter().find(|partition| !self.owned.contains_key(*partition)) {
            return Err(Error::Bug { what, cause: format!("{foreign} is not ours").into() });
        }
        for partition in partitions {
            if let Some(reading) = self.owned.get_mut(partition) {
                reading.is_paused = is_paused;
            }
        }
        Ok(())
    }
}

impl Membership for EmbeddedMembership {
    fn poll(&mut self, wait: Duration) -> Result<Polled, Error> {
        self.shared.groups.begin_poll(&self.member, self.ticket);
        let polled = self.poll_until(Instant::now() + wait);
        self.shared.groups.end_poll(&self.member, self.ticket);
        polled
    }

    fn pause(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        self.set_paused("pausing", partitions, true)
    }

    fn resume(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        self.set_paused("resuming", partitions, false)
    }

    fn commit(&mut self, transaction: &Transaction) -> Result<Committed, CommitError> {
        let fence = Fence::Member { name: self.member.name.clone(), ticket: self.ticket };
        let drafts = transaction.records().iter().map(Draft::of).collect();
        let work = self.write(fence, transaction.positions().clone(), drafts);
        match self.shared.ask(work, &self.member.pulse) {
            Ok(stored) => Ok(super::committed(transaction.records(), &stored)),
            Err(Denied::Refused(refused)) => {
                let refused = refused.into_iter().map(|refusal| (refusal.index, refusal.reason)).collect();
                Err(CommitError::Refused { refused })
            }
            Err(moved @ Denied::Moved) => Err(CommitError::Stale { cause: Box::new(moved) }),
            // Nobody will tell any more: whoever opens the file next finds the truth in it.
            Err(unknown @ Denied::Fault(Fault::Unknown)) => Err(CommitError::Over { cause: Box::new(unknown) }),
            Err(Denied::Fault(for_good @ (Fault::Damaged(_) | Fault::Broken(_)))) => {
                Err(CommitError::Broken(self.shared.fault(for_good)))
            }
            // Neither is a property of the transaction: it is handed in again until somebody mends it.
            Err(passing @ (Denied::NoSuchTopic(_) | Denied::Fault(_))) => {
                Err(CommitError::Again { cause: Box::new(passing) })
            }
            Err(other) => Err(CommitError::Over { cause: Box::new(other) }),
        }
    }

    fn leave(self: Box<Self>, _: Duration) -> Result<(), Error> {
        // Being dropped does it.
        Ok(())
    }
}

impl Drop for EmbeddedMembership {
    fn drop(&mut self) {
        self.shared.groups.rise(&self.member, self.ticket);
    }
}

#[cfg(test)]
mod tests;
