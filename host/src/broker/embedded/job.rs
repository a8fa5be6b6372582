//! What the writer is asked to do, and what it answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::file::Fault;
use super::record::Draft;
use crate::broker::{Position, TopicChange};
use crate::event::{Offset, Partition};

pub(super) use crate::broker::Stored;

/// Told what became of a job, once, when it is durable.
pub(super) type Done = Box<dyn FnOnce(Result<Vec<Stored>, Denied>) + Send>;

/// One thing to do.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) done: Done,
}

/// What there is to do.
pub(super) enum Work {
    /// All of it or nothing. Answered with where each record lies.
    Write(Write),
    /// Upkeep.
    Sweep(Sweep),
    /// A change to a topic.
    Change(TopicChange),
    /// Nothing: whoever is answered knows that all that was asked before is decided. Tries the disk when it failed before.
    Barrier,
}

/// Records and positions that become visible at once.
pub(super) struct Write {
    pub(super) fence: Fence,
    /// The group whose positions these are.
    pub(super) group: String,
    pub(super) positions: BTreeMap<Partition, Position>,
    pub(super) records: Vec<Draft>,
}

/// What must be true at the moment of writing.
pub(super) enum Fence {
    /// Nothing.
    None,
    /// This member owns every partition that has a position.
    Member { name: String, ticket: u64 },
    /// What was given to this member by that number is still its to take.
    Taker { name: String, ticket: u64, number: u64 },
    /// This is the newest writer of its name.
    Exclusive { name: String, ticket: u64 },
}

/// Records to delete from a partition that nobody replays.
pub(super) struct Sweep {
    pub(super) partition: Partition,
    pub(super) what: Swept,
}

/// Which.
pub(super) enum Swept {
    /// All before this offset, a bounded number at once.
    Before(Offset),
    /// These.
    Superseded(Vec<Offset>),
    /// None: each key before this offset has one record by now.
    Cleaned(Offset),
}

/// Why a job was not done. Nothing of it happened.
#[derive(Clone, Debug)]
pub(super) enum Denied {
    /// These records will never be taken.
    Refused(Vec<Refusal>),
    /// A record's topic is not there.
    NoSuchTopic(Arc<str>),
    /// The group moved on.
    Moved,
    /// Another has the name.
    Fenced,
    /// Somebody replays the partition.
    Replayed,
    /// The change cannot be made.
    Unchanged(String),
    /// The file could not be written.
    Fault(Fault),
    /// No answer came: the writer is gone.
    Unanswered,
}

impl std::fmt::Display for Denied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(refused) => {
                let reasons: Vec<&str> = refused.iter().map(|refusal| refusal.reason.as_str()).collect();
                f.write_str(&reasons.join("; "))
            }
            Self::NoSuchTopic(topic) => write!(f, "topic `{topic}` does not exist"),
            Self::Moved => f.write_str("the partitions are no longer this member's"),
            Self::Fenced => f.write_str("another has the name"),
            Self::Replayed => f.write_str("the partition is being replayed"),
            Self::Unchanged(why) => f.write_str(why),
            Self::Fault(fault) => write!(f, "{fault}"),
            Self::Unanswered => f.write_str("the writer is gone"),
        }
    }
}

impl std::error::Error for Denied {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Fault(fault) => fault.source(),
            _ => None,
        }
    }
}

/// A record that will never be taken.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// Its index among the job's records.
    pub(super) index: usize,
    /// Whether it is for its size.
    pub(super) too_large: bool,
    /// Why.
    pub(super) reason: String,
}

impl Job {
    /// What it weighs while it waits.
    pub(super) fn size_bytes(&self) -> usize {
        match &self.work {
            Work::Write(write) => write.records.iter().map(Draft::size_bytes).sum(),
            Work::Sweep(_) | Work::Change(_) | Work::Barrier => 0,
        }
    }

    /// Whether it wants a transaction of its own.
    pub(super) fn is_alone(&self) -> bool {
        matches!(self.work, Work::Change(_))
    }
}
