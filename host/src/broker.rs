//! The broker seam: all that the rest of the host knows of what holds topics.
//!
//! [`Membership`] turns a place in a consumer group into events and takes transactions back; a worker owns one.
//! [`Replay`] reads a changelog for restoring, [`Publisher`] is what ingress writes with, [`Exclusive`] is for what
//! belongs to no partition. Everything blocks but the publisher. [`kafka`] implements it over rdkafka, [`embedded`] over
//! one file.
//!
//! What every implementation promises is written at the methods and checked by one conformance suite
//! (`host/tests/all/conformance.rs`). Refused here: a transaction without positions, because nothing would fence it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Event, Offset, Partition, Record};

pub mod embedded;
mod error;
pub mod kafka;
pub(crate) mod read;
mod topic;

pub use self::error::{Cause, CommitError, Error, PublishError};
pub use self::topic::{Progress, Topic, TopicChange};

/// What holds topics. One a process.
pub trait Broker: Send + Sync {
    /// Takes a place in a consumer group. Returns at once; partitions come by [`Membership::poll`].
    ///
    /// # Errors
    /// [`Error::Config`] when the client refuses its configuration.
    fn join(&self, member: &Member) -> Result<Box<dyn Membership>, Error>;

    /// Reads what one partition holds from `from` to its end as of this call. Records that are still uncommitted
    /// count as part of it: they are waited out, never read around, for they may be the newest of a dead writer.
    ///
    /// # Errors
    /// [`Error::Shrunk`] when `from` lies beyond the end, [`Error::Away`], [`Error::NoSuchTopic`].
    fn replay(&self, partition: &Partition, from: Offset) -> Result<Box<dyn Replay>, Error>;

    /// Becomes the one writer of that name in the fleet: an older holder is fenced before this returns.
    ///
    /// # Errors
    /// [`Error::Away`], [`Error::Denied`].
    fn exclusive(&self, name: &str) -> Result<Box<dyn Exclusive>, Error>;

    /// The writer for what comes in over HTTP. Cheap to clone, shared by all requests.
    ///
    /// # Errors
    /// [`Error::Config`] when the client refuses its configuration.
    fn publisher(&self) -> Result<Arc<dyn Publisher>, Error>;

    /// What is known of the named topics. One that does not exist is left out.
    ///
    /// # Errors
    /// [`Error::Away`], [`Error::Denied`].
    fn topics(&self, names: &[&str]) -> Result<Vec<Topic>, Error>;

    /// How many partitions each of the named topics has. One that does not exist is left out. Cheap, however many are named.
    ///
    /// # Errors
    /// [`Error::Away`], [`Error::Denied`].
    fn partitions(&self, names: &[&str]) -> Result<BTreeMap<String, i32>, Error>;

    /// Makes the changes, in order; stops at the first that fails.
    ///
    /// # Errors
    /// [`Error::Away`], [`Error::Denied`], [`Error::Refused`] when the broker does not take a change.
    fn apply(&self, changes: &[TopicChange]) -> Result<(), Error>;

    /// How far a group has come in each partition of the named topics.
    ///
    /// # Errors
    /// [`Error::Away`], [`Error::Denied`].
    fn progress(&self, group: &str, topics: &[&str]) -> Result<Vec<Progress>, Error>;

    /// Whether the broker answers right now, asked of it. At most `within`.
    ///
    /// # Errors
    /// [`Error::Away`] when it does not, [`Error::Unfit`] when it cannot give the guarantee.
    fn check(&self, within: Duration) -> Result<Identity, Error>;
}

/// What a broker says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its product and version as far as they can be told, such as `Apache Kafka 4.0 or later`.
    pub name: String,
}

/// What a worker needs to take its place in a group.
#[derive(Clone, Debug)]
pub struct Member {
    /// The consumer group.
    pub group: String,
    /// Unique in the fleet, the same after a restart when `stable`: `group.instance.id` and `transactional.id`.
    pub name: String,
    /// Whether `name` outlives the process. Then a restart takes its partitions back at once.
    pub stable: bool,
    /// What to read, and from where in a partition that the group has no position in.
    pub topics: BTreeMap<Arc<str>, From>,
    /// How long an event may keep its worker from polling before the group gives its partitions away.
    pub poll_interval_max: Duration,
    /// At most this many events a poll.
    pub events_max: usize,
    /// A poll takes no further event once it has this many bytes.
    pub bytes_max: usize,
    /// How many bytes the client may hold ahead of polls.
    pub prefetch_bytes_max: usize,
    /// Beaten while a call waits for a broker that is away.
    pub pulse: Pulse,
}

/// How a thread that waits for the broker shows that it lives.
#[derive(Clone, Default)]
pub struct Pulse(Option<Arc<dyn Fn() + Send + Sync>>);

impl Pulse {
    /// A pulse that calls `beat`.
    pub fn new(beat: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(beat)))
    }

    /// Beats once.
    pub fn beat(&self) {
        if let Some(beat) = &self.0 {
            beat();
        }
    }
}

impl std::fmt::Debug for Pulse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pulse")
    }
}

/// Where a group begins in a partition that it has no position in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum From {
    /// At the oldest record.
    #[default]
    Earliest,
    /// After the newest record at the time of the assignment.
    Latest,
}

/// One worker's place in a consumer group. Ownership of partitions changes only inside [`Membership::poll`].
pub trait Membership: Send {
    /// Waits up to `wait` for something to happen. A change of assignment comes before any event read under it, and
    /// events of partitions that were revoked never follow.
    ///
    /// # Errors
    /// [`Error::Away`], [`Error::Unstable`]: call again. [`Error::Expired`]: join again. [`Error::Fenced`]: another process has this name. Others
    /// end the membership.
    fn poll(&mut self, wait: Duration) -> Result<Polled, Error>;

    /// No events of these partitions until [`Membership::resume`].
    ///
    /// # Errors
    /// [`Error::Bug`] when a partition is not owned.
    fn pause(&mut self, partitions: &[Partition]) -> Result<(), Error>;

    /// Events of these partitions again, from where they were paused.
    ///
    /// # Errors
    /// [`Error::Bug`] when a partition is not owned.
    fn resume(&mut self, partitions: &[Partition]) -> Result<(), Error>;

    /// Commits everything or nothing, fenced by this membership. Never returns while the outcome is unknown.
    ///
    /// # Errors
    /// See [`CommitError`]; in every case nothing of the transaction is, or will become, visible.
    fn commit(&mut self, transaction: &Transaction) -> Result<Committed, CommitError>;

    /// Gives the place back. A stable member keeps it until its session times out, so that its restart moves nothing.
    ///
    /// # Errors
    /// [`Error::Away`] when that did not work in time; the group then notices by itself.
    fn leave(self: Box<Self>, within: Duration) -> Result<(), Error>;
}

/// What a poll brought.
#[derive(Debug)]
pub enum Polled {
    /// Nothing.
    Idle,
    /// Events, in order within each partition, bounded by [`Member::events_max`] and [`Member::bytes_max`].
    Events(Vec<Event>),
    /// Partitions are ours, paused, with stable positions: restore their state, then resume.
    Assigned(BTreeMap<Partition, Position>),
    /// Partitions are gone already: forget their events, effects and overlays.
    Revoked {
        /// Which.
        partitions: Vec<Partition>,
        /// Whether another member may own them by now.
        lost: bool,
    },
}

/// Where a group is in a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The next offset to read; `None` when the group has none yet.
    pub next: Option<Offset>,
    /// Travels as the offset's metadata: what the owner acted on.
    pub note: String,
}

/// What is to become visible at once. Cannot be built without a position: the positions are the fence.
#[derive(Clone, Debug)]
pub struct Transaction {
    positions: BTreeMap<Partition, Position>,
    records: Vec<Record>,
}

impl Transaction {
    /// A transaction, or `None` when `positions` is empty or one of them names no offset.
    pub fn new(positions: BTreeMap<Partition, Position>, records: Vec<Record>) -> Option<Self> {
        let fenced = !positions.is_empty() && positions.values().all(|p| p.next.is_some_and(|next| next >= 0));
        fenced.then_some(Self { positions, records })
    }

    /// The next offset of every partition it touches.
    pub fn positions(&self) -> &BTreeMap<Partition, Position> {
        &self.positions
    }

    /// What it writes, in this order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }
}

/// What a commit left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// For each partition written, the offset after the transaction's last record in it. Empty when the outcome was
    /// found out only afterwards.
    pub ends: BTreeMap<Partition, Offset>,
    /// What the steps took, where there are any.
    pub steps: Option<Steps>,
}

/// What the steps of a commit took, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Until the records were queued.
    pub begin: Duration,
    /// Until the positions were taken.
    pub offsets: Duration,
    /// Until the last record was delivered.
    pub deliver: Duration,
    /// Until the commit was answered.
    pub commit: Duration,
}

/// What one partition held.
pub trait Replay: Send {
    /// The next part of it, after at most `wait`.
    ///
    /// # Errors
    /// [`Error::Away`]: call again. Others end the replay.
    fn next(&mut self, wait: Duration) -> Result<Replayed, Error>;
}

/// One part of a replay.
#[derive(Debug)]
pub enum Replayed {
    /// Records, in order.
    Records(Vec<Event>),
    /// A transaction is open before the end, or the broker is slow; nothing to do but ask again.
    Waiting,
    /// All was read. Go on from `next` another time.
    Done {
        /// The offset after the end.
        next: Offset,
    },
}

/// The one writer of its name.
pub trait Exclusive: Send {
    /// Writes all or nothing.
    ///
    /// # Errors
    /// [`Error::Fenced`] when another writer has the name now.
    fn write(&mut self, records: &[Record]) -> Result<Committed, Error>;
}

/// A future that a `dyn` trait can return.
pub type Promise<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The writer for single records, stored or refused each on its own. Idempotent, `acks=all`.
pub trait Publisher: Send + Sync {
    /// Publishes one record; resolves when its fate is known.
    fn publish(&self, record: Record) -> Promise<Result<Stored, PublishError>>;

    /// Whether the broker was heard lately. Never blocks.
    fn is_reachable(&self) -> bool;
}

/// Where a published record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The partition's number.
    pub partition: i32,
    /// The record's offset in it.
    pub offset: Offset,
}
