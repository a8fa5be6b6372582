//! Why a broker did not do what it was asked: one type for whoever commits, one for whoever publishes, one for everything else.

use crate::event::{Offset, Partition};

/// What lies beneath an error of this module.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

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
    /// The broker answers, but for the positions of a group: a transaction holds them, and was not ended in its time.
    #[error("a transaction that Kafka does not end holds positions of group `{group}`")]
    Unstable {
        /// The group.
        group: String,
    },
    /// Another process has this name.
    #[error("another process runs as `{name}`")]
    Fenced {
        /// The name.
        name: String,
    },
    /// The place in the group went while the broker was not there, or its client does not find back. Join again.
    #[error("`{name}` lost its place in the group while the broker was away")]
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
    pub const NAMES: [&'static str; 13] = [
        "away",
        "unfit",
        "denied",
        "no-such-topic",
        "offset-gone",
        "shrunk",
        "corrupt",
        "unstable",
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
            Self::Unstable { .. } => "unstable",
            Self::Fenced { .. } => "fenced",
            Self::Expired { .. } => "expired",
            Self::Config { .. } => "config",
            Self::Refused { .. } => "refused",
            Self::Bug { .. } => "bug",
        }
    }
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
        /// The index of each in [`super::Transaction::records`], and why.
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
