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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::event::{Event, Offset, Partition, Record};

pub mod embedded;
pub mod kafka;
pub(crate) mod read;

/// A lock whose holder panicked still guards good data: nothing in here panics half-way through a change.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What lies beneath an error of this module.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

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
    /// [`Error::Away`]: call again. [`Error::Expired`]: join again. [`Error::Fenced`]: another process has this name. Others
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

/// Why nothing was committed. Nothing of the transaction is, or will become, visible.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The membership still stands: hand in the same transaction again.
    #[error("the transaction was undone")]
    Again {
        /// Why.
        #[source]
        cause: Cause,
    },
    /// The group moved on: poll, forget what was revoked, handle the rest again.
    #[error("the group moved on")]
    Stale {
        /// Why.
        #[source]
        cause: Cause,
    },
    /// The broker will never take these records: leave them out, commit the rest.
    #[error("the broker refuses {} of the records", refused.len())]
    Refused {
        /// The index of each in [`Transaction::records`], and why.
        refused: Vec<(usize, String)>,
    },
    /// The membership has ended: drop it, join again.
    #[error("the membership has ended")]
    Over {
        /// Why.
        #[source]
        cause: Cause,
    },
    /// Somebody has to look: no transaction of this member will ever be taken, such as [`Error::Denied`].
    #[error(transparent)]
    Broken(Error),
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

/// Why a record is not known to be stored.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The broker will never take it. It is not stored.
    #[error("the broker refuses the record")]
    Refused {
        /// Whether it is the record's size.
        too_large: bool,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// The broker is away, or the queue is full. It is not stored.
    #[error("the broker is away")]
    Away {
        /// Why.
        #[source]
        cause: Cause,
    },
    /// It was sent, and no answer came. It may be stored.
    #[error("whether the record is stored is unknown")]
    Unknown {
        /// Why.
        #[source]
        cause: Cause,
    },
}

/// A topic as the broker has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: i32,
    /// How many replicas its first partition has.
    pub replication: i32,
    /// Its configuration: every key, default or not.
    pub config: BTreeMap<String, String>,
}

/// One change to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicChange {
    /// Create it.
    Create {
        /// Its name.
        name: String,
        /// How many partitions.
        partitions: i32,
        /// How many replicas; `None` is the broker's default.
        replication: Option<i32>,
        /// What differs from the broker's defaults.
        config: BTreeMap<String, String>,
    },
    /// Add partitions. Keys then map to other partitions.
    Grow {
        /// Its name.
        name: String,
        /// How many there are to be.
        partitions: i32,
    },
    /// Change configuration; what is not named stays.
    Configure {
        /// Its name.
        name: String,
        /// The new values.
        config: BTreeMap<String, String>,
    },
}

impl TopicChange {
    /// The topic it changes.
    pub fn topic(&self) -> &str {
        match self {
            Self::Create { name, .. } | Self::Grow { name, .. } | Self::Configure { name, .. } => name,
        }
    }
}

/// How far a group has come in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which partition.
    pub partition: Partition,
    /// The group's position; `None` when it has none.
    pub position: Option<Offset>,
    /// The oldest offset that is still there.
    pub start: Offset,
    /// The end of what a `read_committed` reader sees.
    pub end: Offset,
}

impl Progress {
    /// How many offsets lie before the group. Transaction markers count: a group that has read all stands at 0
    /// because positions pass them.
    pub fn lag(&self) -> u64 {
        u64::try_from(self.end - self.position.unwrap_or(self.start)).unwrap_or(0)
    }
}

/// Why the broker could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not answer. Wait, be not ready, go on without a restart.
    #[error("the broker at {endpoint} is away")]
    Away {
        /// Its address.
        endpoint: String,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// It answers, and cannot give the guarantee.
    #[error("{name} cannot be used: {reason}")]
    Unfit {
        /// What it is.
        name: String,
        /// What is missing.
        reason: String,
    },
    /// An ACL forbids it.
    #[error("the broker denies {operation} on {resource}")]
    Denied {
        /// Kafka's name of the operation.
        operation: &'static str,
        /// Kafka's name of the resource.
        resource: String,
    },
    /// A topic is not there.
    #[error("topic `{topic}` does not exist")]
    NoSuchTopic {
        /// Its name.
        topic: String,
    },
    /// Records were deleted before they were read.
    #[error("{partition} begins at offset {earliest}, but {wanted} is next: what lay between was deleted unread")]
    OffsetGone {
        /// Where.
        partition: Partition,
        /// The group's position.
        wanted: Offset,
        /// The oldest record.
        earliest: Offset,
    },
    /// The log is shorter than it was.
    #[error("{partition} ends at offset {end}, but {expected} was there before: the log was cut or made anew")]
    Shrunk {
        /// Where.
        partition: Partition,
        /// What was known to be there.
        expected: Offset,
        /// What is.
        end: Offset,
    },
    /// A record cannot be read.
    #[error("{partition} cannot be read")]
    Corrupt {
        /// Where.
        partition: Partition,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// Another process has this name.
    #[error("another process runs as `{name}`")]
    Fenced {
        /// The name.
        name: String,
    },
    /// The group gave the place away while the broker was not there. Join again.
    #[error("the group gave up on `{name}` while the broker was away")]
    Expired {
        /// The member's name.
        name: String,
    },
    /// A setting cannot be used.
    #[error("client property `{key}`: {reason}")]
    Config {
        /// Its key.
        key: String,
        /// Why.
        reason: String,
    },
    /// The broker does not take a change.
    #[error("the broker refuses to {action}")]
    Refused {
        /// What was asked.
        action: String,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// An error class not known, or a call that should not have been made. Never retried silently.
    #[error("unexpected: {what}")]
    Bug {
        /// What was being done.
        what: &'static str,
        /// What happened.
        #[source]
        cause: Cause,
    },
}

impl Error {
    /// The names of all classes, as metrics have them: a change breaks whoever reads those.
    pub const NAMES: [&'static str; 12] = [
        "away",
        "unfit",
        "denied",
        "no-such-topic",
        "offset-gone",
        "shrunk",
        "corrupt",
        "fenced",
        "expired",
        "config",
        "refused",
        "bug",
    ];

    /// The class, one of [`Error::NAMES`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::Away { .. } => "away",
            Self::Unfit { .. } => "unfit",
            Self::Denied { .. } => "denied",
            Self::NoSuchTopic { .. } => "no-such-topic",
            Self::OffsetGone { .. } => "offset-gone",
            Self::Shrunk { .. } => "shrunk",
            Self::Corrupt { .. } => "corrupt",
            Self::Fenced { .. } => "fenced",
            Self::Expired { .. } => "expired",
            Self::Config { .. } => "config",
            Self::Refused { .. } => "refused",
            Self::Bug { .. } => "bug",
        }
    }
}
