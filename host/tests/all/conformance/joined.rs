//! A membership in the hands of a case, with all that any owner of one may rely on checked at every poll.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fnhost::broker::{Broker, CommitError, Committed, Error, Member, Membership, Polled, Position, Transaction};
use fnhost::event::{Event, Offset, Partition, Record};

use super::{QUIET_TURNS, TURN};
use crate::kafka::PATIENCE;

/// A membership, what it owns and what it was handed and has not committed.
pub(crate) struct Joined {
    /// What it was joined as.
    pub(crate) member: Member,
    /// What it owns, with the positions that came with it.
    pub(crate) owned: BTreeMap<Partition, Position>,
    /// What it was handed under its present ownership and has not committed, in the order of polls.
    pub(crate) events: Vec<Event>,
    /// How often partitions were revoked.
    pub(crate) revocations: usize,
    /// Whether it resumes what it is assigned at once.
    pub(crate) resumes: bool,
    membership: Box<dyn Membership>,
    resumed: BTreeSet<Partition>,
    /// The least offset that may come next.
    next: BTreeMap<Partition, Offset>,
}

impl Joined {
    /// Takes a place at `broker`.
    pub(crate) fn new(broker: &dyn Broker, member: &Member) -> Self {
        Self {
            member: member.clone(),
            owned: BTreeMap::new(),
            events: Vec::new(),
            revocations: 0,
            resumes: true,
            membership: broker.join(member).unwrap(),
            resumed: BTreeSet::new(),
            next: BTreeMap::new(),
        }
    }

    /// One poll that must not fail, but may find the broker away.
    pub(crate) fn turn(&mut self) {
        match self.try_turn() {
            Ok(()) | Err(Error::Away { .. }) => {}
            Err(error) => panic!("{self:?} cannot poll: {error:?}"),
        }
    }

    /// One poll.
    pub(crate) fn try_turn(&mut self) -> Result<(), Error> {
        match self.membership.poll(TURN)? {
            Polled::Idle => {}
            Polled::Events(events) => self.take(events),
            Polled::Assigned(assigned) => {
                for (partition, position) in assigned {
                    assert!(self.member.topics.contains_key(&partition.topic), "{partition} was not asked for");
                    self.next.insert(partition.clone(), position.next.unwrap_or(0));
                    let before = self.owned.insert(partition.clone(), position);
                    assert!(before.is_none(), "{partition} was assigned twice");
                    if self.resumes {
                        self.resume(&[partition]);
                    }
                }
            }
            Polled::Revoked { partitions, .. } => {
                self.revocations += 1;
                for partition in partitions {
                    assert!(self.owned.remove(&partition).is_some(), "{partition} was revoked, but not owned");
                    self.resumed.remove(&partition);
                    self.events.retain(|event| event.partition != partition);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, events: Vec<Event>) {
        assert!(!events.is_empty(), "no events are Idle");
        assert!(events.len() <= self.member.events_max, "{} events are too many", events.len());
        let bytes: usize = events.iter().map(Event::size_bytes).sum();
        let last = events[events.len() - 1].size_bytes();
        assert!(bytes - last < self.member.bytes_max, "{bytes} bytes are too many");
        for event in events {
            let (at, offset) = (&event.partition, event.offset);
            assert!(self.owned.contains_key(at), "an event of {at}, which is not owned");
            assert!(self.resumed.contains(at), "an event of {at}, which is paused");
            let next = self.next.insert(at.clone(), offset + 1).unwrap();
            assert!(offset >= next, "offset {offset} of {at} after {next}");
            self.events.push(event);
        }
    }

    /// Polls until nothing has come for a while.
    pub(crate) fn turn_until_quiet(&mut self) {
        for _ in 0..QUIET_TURNS {
            self.turn();
        }
    }

    pub(crate) fn resume(&mut self, partitions: &[Partition]) {
        self.membership.resume(partitions).unwrap();
        self.resumed.extend(partitions.iter().cloned());
    }

    pub(crate) fn pause(&mut self, partitions: &[Partition]) {
        self.membership.pause(partitions).unwrap();
        self.resumed.retain(|partition| !partitions.contains(partition));
    }

    /// The membership itself, for calls that are to fail.
    pub(crate) fn membership(&mut self) -> &mut dyn Membership {
        self.membership.as_mut()
    }

    /// Where it is when all events in its hands are handled: a position for each partition that it owns, and that
    /// there is one for.
    pub(crate) fn positions(&self) -> BTreeMap<Partition, Position> {
        let mut positions: BTreeMap<_, _> = self.owned.clone();
        for event in &self.events {
            positions.entry(event.partition.clone()).or_default().next = Some(event.offset + 1);
        }
        positions.retain(|_, position| position.next.is_some());
        positions
    }

    /// Commits records together with all events in its hands.
    pub(crate) fn try_commit(&mut self, records: Vec<Record>) -> Result<Committed, CommitError> {
        let transaction = Transaction::new(self.positions(), records).expect("a case commits with an event in hand");
        self.try_commit_as(&transaction)
    }

    /// Commits a transaction, again and again while the membership says that it stands.
    pub(crate) fn try_commit_as(&mut self, transaction: &Transaction) -> Result<Committed, CommitError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.membership.commit(transaction) {
                Err(CommitError::Again { cause }) => {
                    assert!(Instant::now() < deadline, "commits for {PATIENCE:?}, at last because of {cause}");
                }
                Ok(committed) => {
                    let positions = transaction.positions();
                    self.events.retain(|event| {
                        let next = positions.get(&event.partition).and_then(|position| position.next);
                        next.is_none_or(|next| event.offset >= next)
                    });
                    self.owned.extend(positions.clone());
                    return Ok(committed);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Commits records together with all events in its hands, which must work.
    pub(crate) fn commit(&mut self, records: Vec<Record>) -> Committed {
        self.try_commit(records).unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// What a function does that passes everything on: one record for each event in its hands.
    pub(crate) fn copies(&self, to: &Arc<str>) -> Vec<Record> {
        let copy = |event: &Event| Record {
            topic: Arc::clone(to),
            partition: Some(event.partition.number),
            key: event.key.clone(),
            value: event.value.clone(),
            headers: event.headers.clone(),
        };
        self.events.iter().map(copy).collect()
    }

    /// Gives the place back.
    pub(crate) fn leave(self) {
        self.membership.leave(Duration::from_secs(30)).unwrap();
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owned: Vec<_> = self.owned.keys().map(ToString::to_string).collect();
        write!(f, "{} with {} events of {owned:?}", self.member.name, self.events.len())
    }
}

/// Lets members poll in turn until it is so.
///
/// # Panics
/// After [`PATIENCE`], naming `what` was awaited and what the members have.
pub(crate) fn until(what: &str, joined: &mut [&mut Joined], mut is_so: impl FnMut(&[&mut Joined]) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so(joined) {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}; there are {joined:#?}");
        joined.iter_mut().for_each(|one| one.turn());
    }
}
