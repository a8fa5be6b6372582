//! Who owns what in a consumer group. Pure: time comes as an argument, nobody is woken, nothing is read.
//!
//! The rule is Kafka's eager one. When a member comes or goes, or a topic gains partitions, everybody lets go of all they
//! own, each at their next poll; then partitions are shared out by range, and each is told at their next poll. So no
//! partition has two owners, and a member that is at work is waited for, until it has been silent for longer than it said
//! it would be: then it loses its seat.
//!
//! A stable member that goes keeps its seat, and what was shared out to it, for [`SESSION`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bell::Bell;
use crate::event::Partition;

/// How long a stable member may be gone.
pub(super) const SESSION: Duration = Duration::from_secs(10);

/// How many partitions a topic has.
pub(super) type Counts<'a> = &'a dyn Fn(&str) -> i32;

/// What a member is to do when it polls.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Another has its name.
    Fenced,
    /// It has no seat any more.
    Expelled,
    /// It is to forget these.
    LetGo(Vec<Partition>),
    /// These are to be its own, once it says that it has taken them.
    Take(Given),
    /// It goes on with what it owns.
    Work,
    /// It owns nothing yet.
    Wait,
}

/// Whether a member may still write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Owns,
    Moved,
    Fenced,
}

/// What is a member's to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// Tells it from the same partitions given at another time: whatever was found out about them then may no longer be so, for
    /// another may have owned them in between.
    pub(super) number: u64,
    pub(super) partitions: BTreeSet<Partition>,
}

/// A member's place.
#[derive(Debug)]
struct Seat {
    /// Tells this holder of the name from earlier and later ones.
    ticket: u64,
    is_stable: bool,
    topics: BTreeSet<Arc<str>>,
    silence_max: Duration,
    presence: Presence,
    hold: Hold,
    bell: Arc<Bell>,
}

#[derive(Clone, Copy, Debug)]
enum Presence {
    Polling,
    /// Since its last poll.
    AtWork(Instant),
    Gone(Instant),
}

#[derive(Debug)]
enum Hold {
    Nothing,
    /// Shared out to it, and it does not know yet.
    Given(Given),
    Owned(BTreeSet<Partition>),
}

/// What a member says when it sits down.
#[derive(Debug)]
pub(super) struct Sitting {
    pub(super) name: String,
    pub(super) ticket: u64,
    pub(super) is_stable: bool,
    pub(super) topics: BTreeSet<Arc<str>>,
    pub(super) silence_max: Duration,
    pub(super) bell: Arc<Bell>,
}

/// A group.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// By name.
    seats: BTreeMap<String, Seat>,
    /// Whether everybody is letting go.
    is_sharing: bool,
    /// How often something was given to somebody.
    given: u64,
}

impl Group {
    /// Takes a seat; whoever has the name loses it.
    pub(super) fn sit(&mut self, sitting: Sitting, now: Instant, counts: Counts<'_>) {
        let Sitting { name, ticket, is_stable, topics, silence_max, bell } = sitting;
        let (hold, is_known) = match self.seats.remove(&name) {
            Some(seat) => {
                seat.bell.ring();
                // Its restart moves nothing.
                let is_known = seat.is_stable && is_stable && seat.topics == topics;
                (if is_known { self.kept(seat.hold) } else { Hold::Nothing }, is_known)
            }
            None => (Hold::Nothing, false),
        };
        let presence = Presence::AtWork(now);
        self.seats.insert(name, Seat { ticket, is_stable, topics, silence_max, presence, hold, bell });
        if is_known { self.share(counts) } else { self.reshare(counts) }
    }

    /// Leaves a seat. A stable member is expected back.
    pub(super) fn rise(&mut self, name: &str, ticket: u64, now: Instant, counts: Counts<'_>) {
        let Some(seat) = self.seats.get_mut(name).filter(|seat| seat.ticket == ticket) else { return };
        if seat.is_stable {
            seat.presence = Presence::Gone(now);
            let hold = std::mem::replace(&mut seat.hold, Hold::Nothing);
            let kept = self.kept(hold);
            if let Some(seat) = self.seats.get_mut(name) {
                seat.hold = kept;
            }
            self.share(counts);
        } else {
            self.seats.remove(name);
            self.reshare(counts);
        }
    }

    /// A poll begins.
    pub(super) fn begin_poll(&mut self, name: &str, ticket: u64) {
        self.set_presence(name, ticket, Presence::Polling);
    }

    /// A poll is over.
    pub(super) fn end_poll(&mut self, name: &str, ticket: u64, now: Instant) {
        self.set_presence(name, ticket, Presence::AtWork(now));
    }

    fn set_presence(&mut self, name: &str, ticket: u64, presence: Presence) {
        if let Some(seat) = self.seats.get_mut(name).filter(|seat| seat.ticket == ticket) {
            seat.presence = presence;
        }
    }

    /// What a polling member is to do now.
    pub(super) fn turn(&mut self, name: &str, ticket: u64, counts: Counts<'_>) -> Turn {
        let Some(seat) = self.seats.get_mut(name) else { return Turn::Expelled };
        if seat.ticket != ticket {
            return Turn::Fenced;
        }
        if self.is_sharing && matches!(seat.hold, Hold::Owned(_)) {
            let owned = std::mem::replace(&mut seat.hold, Hold::Nothing).into_partitions();
            self.share(counts);
            if !owned.is_empty() {
                return Turn::LetGo(owned.into_iter().collect());
            }
        }
        match self.seats.get(name).map(|seat| &seat.hold) {
            Some(Hold::Given(given)) => Turn::Take(given.clone()),
            Some(Hold::Owned(_)) => Turn::Work,
            Some(Hold::Nothing) | None => Turn::Wait,
        }
    }

    /// A member has taken what it was told to take. `false` when it is no longer given to it.
    pub(super) fn taken(&mut self, name: &str, ticket: u64, number: u64) -> bool {
        let is_taken = self.taking(name, ticket, number) == Standing::Owns;
        if let Some(seat) = self.seats.get_mut(name).filter(|_| is_taken) {
            seat.hold = Hold::Owned(std::mem::replace(&mut seat.hold, Hold::Nothing).into_partitions());
        }
        is_taken
    }

    /// Whether a member may still write for what it is about to take.
    pub(super) fn taking(&self, name: &str, ticket: u64, number: u64) -> Standing {
        match self.seats.get(name) {
            Some(seat) if seat.ticket != ticket => Standing::Fenced,
            Some(Seat { hold: Hold::Given(given), .. }) if given.number == number => Standing::Owns,
            _ => Standing::Moved,
        }
    }

    /// Whether a member may write for these partitions.
    pub(super) fn standing<'a>(
        &self,
        name: &str,
        ticket: u64,
        mut partitions: impl Iterator<Item = &'a Partition>,
    ) -> Standing {
        match self.seats.get(name) {
            Some(seat) if seat.ticket != ticket => Standing::Fenced,
            Some(Seat { hold: Hold::Owned(owned), .. }) if partitions.all(|p| owned.contains(p)) => Standing::Owns,
            _ => Standing::Moved,
        }
    }

    /// Takes the seats of those who have been silent or gone for too long.
    pub(super) fn expire(&mut self, now: Instant, counts: Counts<'_>) {
        let before = self.seats.len();
        self.seats.retain(|name, seat| {
            let is_late = seat.deadline().is_some_and(|deadline| deadline < now);
            if is_late && matches!(seat.presence, Presence::AtWork(_)) {
                tracing::warn!(member = name, limit = ?seat.silence_max, "a member has not polled for too long and loses its partitions");
            }
            if is_late {
                seat.bell.ring();
            }
            !is_late
        });
        if self.seats.len() < before {
            self.reshare(counts);
        }
    }

    /// When the next seat may be taken away.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.seats.values().filter_map(Seat::deadline).min()
    }

    /// A topic was made, or has more partitions.
    pub(super) fn topic_changed(&mut self, topic: &str, counts: Counts<'_>) {
        if self.seats.values().any(|seat| seat.topics.contains(topic)) {
            self.reshare(counts);
        }
    }

    /// Whether nobody has a seat.
    pub(super) fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Wakes whoever owns one of these.
    pub(super) fn ring(&self, written: &BTreeSet<Partition>) {
        for seat in self.seats.values() {
            if let Hold::Owned(owned) = &seat.hold
                && !owned.is_disjoint(written)
            {
                seat.bell.ring();
            }
        }
    }

    /// Has everybody let go, and shares out when they have.
    fn reshare(&mut self, counts: Counts<'_>) {
        self.is_sharing = true;
        for seat in self.seats.values_mut() {
            if !matches!(seat.hold, Hold::Owned(_)) {
                seat.hold = Hold::Nothing;
            }
            seat.bell.ring();
        }
        self.share(counts);
    }

    /// Shares out, if everybody has let go.
    fn share(&mut self, counts: Counts<'_>) {
        if !self.is_sharing || self.seats.values().any(|seat| matches!(seat.hold, Hold::Owned(_))) {
            return;
        }
        self.is_sharing = false;
        let members = self.seats.iter().map(|(name, seat)| (name.as_str(), &seat.topics)).collect();
        let mut shares = range(&members, counts);
        self.given += 1;
        for (name, seat) in &mut self.seats {
            let partitions = shares.remove(name).unwrap_or_default();
            seat.hold = Hold::Given(Given { number: self.given, partitions });
            seat.bell.ring();
        }
    }

    /// What the next with a name gets of what the last one had, and has to be told.
    fn kept(&mut self, hold: Hold) -> Hold {
        if self.is_sharing || matches!(hold, Hold::Nothing) {
            return Hold::Nothing;
        }
        self.given += 1;
        Hold::Given(Given { number: self.given, partitions: hold.into_partitions() })
    }
}

impl Seat {
    fn deadline(&self) -> Option<Instant> {
        match self.presence {
            Presence::Polling => None,
            Presence::AtWork(since) => since.checked_add(self.silence_max),
            Presence::Gone(since) => since.checked_add(SESSION),
        }
    }
}

impl Hold {
    fn into_partitions(self) -> BTreeSet<Partition> {
        match self {
            Self::Nothing => BTreeSet::new(),
            Self::Given(given) => given.partitions,
            Self::Owned(partitions) => partitions,
        }
    }
}

/// Kafka's range assignment: of each topic, its readers in the order of their names get a run of partitions each, the first
/// ones one more. Where topics have as many partitions, equal numbers lie on one member.
fn range(members: &BTreeMap<&str, &BTreeSet<Arc<str>>>, counts: Counts<'_>) -> BTreeMap<String, BTreeSet<Partition>> {
    let mut shares: BTreeMap<String, BTreeSet<Partition>> = BTreeMap::new();
    let topics: BTreeSet<&Arc<str>> = members.values().flat_map(|topics| topics.iter()).collect();
    for topic in topics {
        let readers: Vec<&str> =
            members.iter().filter(|(_, topics)| topics.contains(topic)).map(|(name, _)| *name).collect();
        let mut numbers = 0..counts(topic);
        for (index, reader) in readers.iter().enumerate() {
            // What is left, shared among those who are left: the first ones get what does not divide.
            let left = readers.len() - index;
            let share = numbers.len().div_ceil(left);
            let its = numbers.by_ref().take(share).map(|number| Partition::new(Arc::clone(topic), number));
            shares.entry((*reader).to_owned()).or_default().extend(its);
        }
    }
    shares
}

#[cfg(test)]
mod tests;
