//! The inner seam: one trait, [`Client`], with a method for each call of librdkafka that a membership makes.
//!
//! What decides about errors ([`super::membership`], [`super::commit`]) is written against it, so that a model of Kafka
//! can stand beneath the very code that runs in production. [`super::rdkafka_client`] is the real one.

use std::collections::BTreeMap;
use std::time::Duration;

use super::errors::Fault;
use crate::broker::Position;
use crate::event::{Event, Offset, Partition, Record};

/// What a poll of the consumer brought.
#[derive(Debug)]
pub(super) enum Signal {
    /// Nothing within the wait.
    Nothing,
    /// A record.
    Event(Box<Event>),
    /// The group gives these partitions; [`Client::assign`] is to follow.
    Assigned(Vec<Partition>),
    /// The group took these; they are let go of already.
    Revoked {
        /// Which.
        partitions: Vec<Partition>,
        /// Whether the group did so without waiting for this member.
        lost: bool,
    },
    /// The consumer reports an error. It goes on working unless `fatal`.
    Fault {
        /// Which.
        fault: Fault,
        /// Whether the consumer is dead.
        fatal: bool,
    },
}

/// Where to begin in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// At this offset.
    At(Offset),
    /// At the oldest record, wherever that is.
    Oldest,
}

/// The fate of one record that was sent.
#[derive(Debug)]
pub(super) struct Delivery {
    /// Its index among the records of the transaction.
    pub(super) index: usize,
    /// Partition and offset, or why it was not stored.
    pub(super) result: Result<(i32, Offset), Fault>,
}

/// How records are put into batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batching {
    /// Many records a batch.
    Many,
    /// One, so that a refused batch names the record that it was refused for.
    One,
}

/// One consumer and, from its first transaction on, one transactional producer.
pub(super) trait Client: Send {
    /// Polls the consumer.
    fn poll(&mut self, wait: Duration) -> Signal;

    /// Whether the group took the assignment away without this member having been told by a poll.
    fn is_lost(&self) -> bool;

    /// Stable committed positions (KIP-447: waits for open offset commits) of these partitions.
    fn committed(&mut self, partitions: &[Partition], within: Duration)
    -> Result<BTreeMap<Partition, Position>, Fault>;

    /// Whether a broker answers the consumer.
    fn is_answered(&mut self, within: Duration) -> bool;

    /// Whether these partitions' positions could be had if those that open transactions are about to move were not waited for.
    fn is_held(&mut self, partitions: &[Partition], within: Duration) -> bool;

    /// The oldest offset of a partition, and the end of what is committed in it.
    fn bounds(&mut self, partition: &Partition, within: Duration) -> Result<(Offset, Offset), Fault>;

    /// Commits positions outside of a transaction: where a group begins, before it has read anything.
    fn keep(&mut self, positions: &BTreeMap<Partition, Position>) -> Result<(), Fault>;

    /// Takes these partitions, paused.
    fn assign(&mut self, starts: &BTreeMap<Partition, Start>) -> Result<(), Fault>;

    /// Stops their events.
    fn pause(&mut self, partitions: &[Partition]) -> Result<(), Fault>;

    /// Lets their events come again.
    fn resume(&mut self, partitions: &[Partition]) -> Result<(), Fault>;

    /// Makes a producer where there is none of this batching, and initialises its transactions: whatever an earlier
    /// producer of the same id left open is finished or aborted, and that producer fenced.
    fn init(&mut self, batching: Batching, within: Duration) -> Result<(), Fault>;

    /// Opens a transaction.
    fn begin(&mut self) -> Result<(), Fault>;

    /// Queues a record. Its delivery will carry `index`.
    fn send(&mut self, index: usize, record: &Record) -> Result<(), Fault>;

    /// The deliveries that have come since the last call; waits until none is missing or `within` has passed.
    fn drain(&mut self, within: Duration) -> Vec<Delivery>;

    /// How many records are sent and not yet delivered.
    fn in_flight(&self) -> usize;

    /// Puts positions into the open transaction, fenced by the consumer's generation.
    fn send_offsets(&mut self, positions: &BTreeMap<Partition, Position>, within: Duration) -> Result<(), Fault>;

    /// Commits the open transaction. After [`super::errors::Demand::Retry`] the same call goes on.
    fn commit(&mut self, within: Duration) -> Result<(), Fault>;

    /// Aborts the open transaction. After [`super::errors::Demand::Retry`] the same call goes on.
    fn abort(&mut self, within: Duration) -> Result<(), Fault>;

    /// Drops the producer: dead, or not to be trusted after an outcome that was in doubt.
    fn discard(&mut self);

    /// Whether a request of the producer timed out or was cut off since the last call, so that a late copy of it may
    /// still be on its way to the broker.
    fn is_tainted(&mut self) -> bool;

    /// Leaves the group.
    fn close(&mut self, within: Duration) -> Result<(), Fault>;
}
