//! A place in a consumer group of Apache Kafka: [`Client`]'s signals become [`Polled`], faults become errors by class.
//!
//! An assignment is handed on when its stable positions are known, and only then given to librdkafka, paused: no event can
//! come that was read from a place nobody decided on. `auto.offset.reset` is `error` for the same reason.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode as Code;

use super::client::{Client, Signal, Start};
use super::commit;
use super::errors::{Demand, Fault, is_away, is_unknown};
use super::silence::SILENT;
use super::watchdog::Guard;
use crate::broker::{CommitError, Committed, Error, From, Member, Membership, Polled, Position, Transaction};
use crate::event::{Event, Partition};

#[cfg(test)]
mod tests;

/// How long positions and bounds may take before the poll returns and they are asked for again.
const ASK: Duration = Duration::from_secs(5);
/// How long after a broker was away a fence is taken for our own ghost. A real one, too, is met again soon after the next join.
const GHOST: Duration = Duration::from_secs(10);

/// A membership over a client.
pub(super) struct KafkaMembership<C> {
    client: C,
    member: Member,
    endpoint: String,
    guard: Guard,
    /// Whether the host reaches the broker by another client.
    reachable: Arc<AtomicBool>,
    owned: BTreeSet<Partition>,
    /// An assignment whose positions are not known yet.
    pending: Option<Vec<Partition>>,
    /// A revocation that came while events were gathered: the next poll reports it.
    revoked: Option<Polled>,
    /// When the consumer last reported a broker that is away.
    shaken: Option<Instant>,
    /// Since when positions are asked for in vain.
    in_vain: Option<Instant>,
    /// Since when it is not known whether the consumer reaches the broker.
    doubted: Option<Instant>,
}

impl<C: Client> KafkaMembership<C> {
    pub(super) fn new(client: C, member: Member, endpoint: String, guard: Guard, reachable: Arc<AtomicBool>) -> Self {
        Self {
            client,
            member,
            endpoint,
            guard,
            reachable,
            owned: BTreeSet::new(),
            pending: None,
            revoked: None,
            shaken: None,
            in_vain: None,
            doubted: Some(Instant::now()),
        }
    }

    /// Gives the place up when the consumer reaches nobody for [`SILENT`] and others do. librdkafka lets go of all its brokers when one
    /// of them says that there is none, as one does that its controller has not taken back yet, and may find none ever again.
    fn reassure(&mut self) -> Result<(), Error> {
        let Some(since) = self.doubted else { return Ok(()) };
        if !self.reachable.load(Ordering::Relaxed) {
            self.doubted = Some(Instant::now());
        } else if since.elapsed() >= SILENT {
            if !self.guard.watch(|| self.client.is_answered(ASK)) {
                return Err(Error::Expired { name: self.member.name.clone() });
            }
            // Without a place, what answered now may be gone before the group does.
            self.doubted = self.owned.is_empty().then(Instant::now);
        }
        Ok(())
    }

    fn doubt(&mut self) {
        self.doubted.get_or_insert_with(Instant::now);
    }

    /// Takes the pending assignment, once its positions are known.
    fn settle(&mut self, partitions: Vec<Partition>) -> Result<Polled, Error> {
        let found = match self.guard.watch(|| self.client.committed(&partitions, ASK)) {
            Ok(found) => found,
            Err(fault) => return self.unanswered(partitions, fault),
        };
        self.in_vain = None;
        let mut starts = BTreeMap::new();
        let mut positions = BTreeMap::new();
        // A partition without a leader must not hold up the others, nor take their time one after the other.
        let mut leaders_answer = true;
        for partition in &partitions {
            let mut position = found.get(partition).cloned().unwrap_or_default();
            position.note = commit::unmarked(&position.note).to_owned();
            let (start, position) = match self.start(partition, position.clone(), leaders_answer) {
                Ok(start) => start,
                Err(Asked::Fault(fault)) if fault.demand == Demand::Retry && position.next.is_some() => {
                    tracing::warn!(%partition, error = %fault, "whether the position is still there is not known yet");
                    leaders_answer = false;
                    (position.next.map_or(Start::Oldest, Start::At), position)
                }
                Err(Asked::Fault(fault)) => return self.put_off(partitions, fault),
                Err(Asked::Error(error)) => return Err(error),
            };
            starts.insert(partition.clone(), start);
            positions.insert(partition.clone(), position);
        }
        // Where a group begins at the end is decided once: another owner would otherwise find another end.
        let fresh: BTreeMap<Partition, Position> = positions
            .iter()
            .filter(|(partition, position)| {
                position.next.is_some() && found.get(*partition).is_none_or(|known| known.next.is_none())
            })
            .map(|(partition, position)| (partition.clone(), position.clone()))
            .collect();
        if !fresh.is_empty()
            && let Err(fault) = self.guard.watch(|| self.client.keep(&fresh))
        {
            return self.put_off(partitions, fault);
        }
        self.client.assign(&starts).map_err(|fault| fault.into_error(&self.endpoint))?;
        self.owned = partitions.into_iter().collect();
        self.doubted = None;
        Ok(Polled::Assigned(positions))
    }

    /// A broker that does not tell positions may be away, or wait for a transaction that never ends.
    fn unanswered(&mut self, partitions: Vec<Partition>, fault: Fault) -> Result<Polled, Error> {
        let since = *self.in_vain.get_or_insert_with(Instant::now);
        if fault.demand == Demand::Retry && since.elapsed() >= commit::HELD {
            if self.guard.watch(|| self.client.is_held(&partitions, ASK)) {
                self.pending = Some(partitions);
                return Err(Error::Unstable { group: self.member.group.clone() });
            }
            // It was away for a part of that time, and what is open may have begun since.
            self.in_vain = None;
        }
        self.put_off(partitions, fault)
    }

    /// Keeps the assignment for the next poll when the broker is away; anything else is an error.
    fn put_off(&mut self, partitions: Vec<Partition>, fault: Fault) -> Result<Polled, Error> {
        if fault.demand == Demand::Retry || is_unknown(fault.code) {
            self.pending = Some(partitions);
        }
        Err(fault.into_error(&self.endpoint))
    }

    /// Where to begin in a partition, refused when what lies there was deleted unread. What it does not `ask` for librdkafka
    /// finds out when it reads: `auto.offset.reset` is `error`.
    fn start(&mut self, partition: &Partition, position: Position, ask: bool) -> Result<(Start, Position), Asked> {
        let Some(next) = position.next else {
            return match self.member.topics.get(&partition.topic).copied().unwrap_or_default() {
                From::Earliest => Ok((Start::Oldest, position)),
                From::Latest => {
                    let (_, end) = self.client.bounds(partition, ASK)?;
                    Ok((Start::At(end), Position { next: Some(end), ..position }))
                }
            };
        };
        if !ask {
            return Ok((Start::At(next), position));
        }
        let (earliest, end) = self.client.bounds(partition, ASK)?;
        if next < earliest {
            return Err(Error::OffsetGone { partition: partition.clone(), wanted: next, earliest }.into());
        }
        if next > end {
            // Not an error by itself: `end` is that of committed records, and ours may follow it at once.
            tracing::debug!(%partition, next, end, "the position lies beyond what is committed");
        }
        Ok((Start::At(next), position))
    }

    fn error(&mut self, fault: Fault, fatal: bool) -> Result<Option<Polled>, Error> {
        match fault.code {
            // While nobody polls, for a commit waits for the broker, librdkafka's session runs out, and it goes on to send
            // heartbeats without a member id: a broker that comes back then finds the name taken, by ourselves.
            Code::FencedInstanceId if self.shaken.is_some_and(|at| at.elapsed() < GHOST) => {
                Err(Error::Expired { name: self.member.name.clone() })
            }
            Code::FencedInstanceId | Code::Fenced => Err(Error::Fenced { name: self.member.name.clone() }),
            _ if fatal => Err(Error::Bug { what: "the consumer died", cause: fault.boxed() }),
            // Also what a broker says that has only just come up. Whoever watches the broker finds out which it is.
            code if is_unknown(code) => {
                tracing::warn!(error = %fault, "a topic of the group is not there");
                Ok(None)
            }
            Code::OffsetOutOfRange | Code::AutoOffsetReset => Err(self.gone(fault)),
            Code::BadMessage | Code::BadCompression | Code::InvalidMessage => {
                let partition = self.owned.first().cloned().unwrap_or_else(|| Partition::new("?", 0));
                Err(Error::Corrupt { partition, cause: fault.boxed() })
            }
            // A handler held the thread for too long. The group takes the partitions; librdkafka reports that next.
            Code::PollExceeded => {
                tracing::error!(limit = ?self.member.poll_interval_max, "an event took longer than a member may stay silent");
                Ok(None)
            }
            // The consumer goes on trying by itself, and whoever watches the broker says so.
            code if is_away(code) => {
                self.shaken = Some(Instant::now());
                self.doubt();
                Ok(None)
            }
            _ => Err(fault.into_error(&self.endpoint)),
        }
    }

    /// Which partition's position is out of range: librdkafka's event does not say.
    fn gone(&mut self, fault: Fault) -> Error {
        let owned: Vec<Partition> = self.owned.iter().cloned().collect();
        let Ok(found) = self.client.committed(&owned, ASK) else {
            return Error::Bug { what: "a position is out of range", cause: fault.boxed() };
        };
        for (partition, position) in found {
            let Some(next) = position.next else { continue };
            let Ok((earliest, end)) = self.client.bounds(&partition, ASK) else { continue };
            if next < earliest {
                return Error::OffsetGone { partition, wanted: next, earliest };
            }
            if next > end {
                return Error::Shrunk { partition, expected: next, end };
            }
        }
        Error::Bug { what: "a position is out of range", cause: fault.boxed() }
    }

    /// librdkafka pauses and resumes what is not assigned without a word.
    fn owns(&self, what: &'static str, partitions: &[Partition]) -> Result<(), Error> {
        match partitions.iter().find(|partition| !self.owned.contains(*partition)) {
            Some(foreign) => Err(Error::Bug { what, cause: format!("{foreign} is not ours").into() }),
            None => Ok(()),
        }
    }

    /// Puts what a signal says about the assignment into this membership's own state.
    fn revoke(&mut self, partitions: Vec<Partition>, lost: bool) -> Polled {
        (self.pending, self.in_vain) = (None, None);
        for partition in &partitions {
            self.owned.remove(partition);
        }
        if lost || self.owned.is_empty() {
            self.doubt();
        }
        Polled::Revoked { partitions, lost }
    }
}

impl<C: Client> Membership for KafkaMembership<C> {
    fn poll(&mut self, wait: Duration) -> Result<Polled, Error> {
        if let Some(revoked) = self.revoked.take() {
            return Ok(revoked);
        }
        self.reassure()?;
        if let Some(partitions) = self.pending.take() {
            // The group may have changed its mind in the meantime; its word comes first.
            match self.client.poll(Duration::ZERO) {
                Signal::Revoked { partitions, lost } => return Ok(self.revoke(partitions, lost)),
                Signal::Assigned(newer) => return self.settle(newer),
                Signal::Fault { fault, fatal } => {
                    self.pending = Some(partitions);
                    return Ok(self.error(fault, fatal)?.unwrap_or(Polled::Idle));
                }
                Signal::Nothing | Signal::Event(_) => return self.settle(partitions),
            }
        }
        let mut events: Vec<Event> = Vec::new();
        let mut bytes = 0_usize;
        loop {
            let wait = if events.is_empty() { wait } else { Duration::ZERO };
            match self.client.poll(wait) {
                Signal::Nothing => break,
                Signal::Event(event) => {
                    bytes = bytes.saturating_add(event.size_bytes());
                    events.push(*event);
                    if events.len() >= self.member.events_max || bytes >= self.member.bytes_max {
                        break;
                    }
                }
                Signal::Assigned(partitions) => {
                    if events.is_empty() {
                        return self.settle(partitions);
                    }
                    self.pending = Some(partitions);
                    break;
                }
                Signal::Revoked { partitions, lost } => {
                    // Events gathered in this very poll were handed to nobody: those of lost partitions are dropped.
                    events.retain(|event| !partitions.contains(&event.partition));
                    let revoked = self.revoke(partitions, lost);
                    if events.is_empty() {
                        return Ok(revoked);
                    }
                    self.revoked = Some(revoked);
                    break;
                }
                Signal::Fault { fault, fatal } => match self.error(fault, fatal)? {
                    Some(polled) => return Ok(polled),
                    None if events.is_empty() => return Ok(Polled::Idle),
                    None => break,
                },
            }
        }
        Ok(if events.is_empty() { Polled::Idle } else { Polled::Events(events) })
    }

    fn pause(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        self.owns("pausing", partitions)?;
        self.client.pause(partitions).map_err(|fault| fault.into_error(&self.endpoint))
    }

    fn resume(&mut self, partitions: &[Partition]) -> Result<(), Error> {
        self.owns("resuming", partitions)?;
        self.client.resume(partitions).map_err(|fault| fault.into_error(&self.endpoint))
    }

    fn commit(&mut self, transaction: &Transaction) -> Result<Committed, CommitError> {
        // A transaction that touches what this member does not own has no fence for it.
        if let Some(foreign) = transaction.positions().keys().find(|p| !self.owned.contains(*p)) {
            return Err(CommitError::Stale { cause: format!("{foreign} is not ours").into() });
        }
        commit::commit(&mut self.client, transaction, &self.member.pulse, &self.guard)
    }

    fn leave(mut self: Box<Self>, within: Duration) -> Result<(), Error> {
        self.client.close(within).map_err(|fault| fault.into_error(&self.endpoint))
    }
}

/// Why a start could not be found.
enum Asked {
    Fault(Fault),
    Error(Error),
}

impl std::convert::From<Fault> for Asked {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl std::convert::From<Error> for Asked {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}
