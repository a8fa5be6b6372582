//! Topics as the broker has them, changes to them, and how far a group has come in them.

use std::collections::BTreeMap;

use crate::event::{Offset, Partition};

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
