//! What librdkafka calls back: logs, errors, rebalances and delivery reports. Callbacks only note what happened;
//! deciding is for whoever polls next.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

use super::client::Delivery;
use super::errors::Fault;
use crate::event::Partition;
use crate::sync::lock;

/// Logs and errors of any client.
#[derive(Debug, Default)]
pub(super) struct Talk {
    /// Set when a request of this client timed out or a connection broke.
    tainted: AtomicBool,
}

impl Talk {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, text: &str) {
        if matches!(fac, "REQTMOUT" | "FAIL") {
            self.tainted.store(true, Ordering::Relaxed);
        }
        match level {
            // Whoever asked is told that nobody answers.
            _ if fac == "REQTMOUT" || (fac == "FAIL" && text.contains("Timed out")) => {
                tracing::debug!(target: "librdkafka", fac, "{text}");
            }
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", fac, "{text}");
            }
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", fac, "{text}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(target: "librdkafka", fac, "{text}"),
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", fac, "{text}"),
        }
    }

    fn error(error: &KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason, "client error");
    }

    /// Whether a request timed out since the last call.
    pub(super) fn take_taint(&self) -> bool {
        self.tainted.swap(false, Ordering::Relaxed)
    }
}

/// The context of clients that only ask: admin, replay, watermarks.
#[derive(Debug, Default)]
pub(super) struct Quiet(Talk);

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, text: &str) {
        self.0.log(level, fac, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Talk::error(&error, reason);
    }
}

impl ConsumerContext for Quiet {}

impl ProducerContext for Quiet {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// A change of assignment, as the callback found it.
#[derive(Debug)]
pub(super) enum Change {
    Assigned(Vec<Partition>),
    Revoked { partitions: Vec<Partition>, lost: bool },
}

/// The context of a membership's consumer.
#[derive(Debug, Default)]
pub(super) struct Member {
    talk: Talk,
    /// Written by the callback, read after each poll, on the same thread. Bounded: librdkafka has one rebalance open.
    changes: Mutex<VecDeque<Change>>,
    /// Set while the consumer closes: an assignment that comes now is declined at once.
    closing: AtomicBool,
}

impl Member {
    pub(super) fn next_change(&self) -> Option<Change> {
        lock(&self.changes).pop_front()
    }

    pub(super) fn set_closing(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, text: &str) {
        self.talk.log(level, fac, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Talk::error(&error, reason);
    }
}

impl ConsumerContext for Member {
    /// Runs inside a poll, on the worker's thread. A revocation is obeyed here, for librdkafka waits for it. An assignment is
    /// only noted: librdkafka waits for `assign`, which follows when the positions are known.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, tpl: &mut TopicPartitionList) {
        let partitions = tpl.elements().iter().map(|e| Partition::new(e.topic(), e.partition())).collect();
        let change = match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS if !self.closing.load(Ordering::Relaxed) => {
                Change::Assigned(partitions)
            }
            _ => {
                let lost = consumer.assignment_lost();
                if let Err(error) = consumer.unassign() {
                    tracing::error!(%error, "letting go of revoked partitions");
                }
                Change::Revoked { partitions, lost }
            }
        };
        lock(&self.changes).push_back(change);
    }

    fn main_queue_min_poll_interval(&self) -> rdkafka::util::Timeout {
        Duration::from_millis(500).into()
    }
}

/// Delivery reports of one producer, which its polling thread writes and the worker waits for.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    came: Mutex<Came>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Came {
    deliveries: Vec<Delivery>,
    /// How many the worker waits for, 0 when it does not: it is woken once, not once a record.
    wanted: usize,
}

impl Deliveries {
    /// What came since the last call; waits until `missing` have come or `within` has passed.
    pub(super) fn take(&self, missing: usize, within: Duration) -> Vec<Delivery> {
        let until = Instant::now() + within;
        let mut came = lock(&self.came);
        came.wanted = missing;
        while came.deliveries.len() < missing {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            came = self.arrived.wait_timeout(came, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        came.wanted = 0;
        std::mem::take(&mut came.deliveries)
    }

    /// Notes one.
    fn push(&self, delivery: Delivery) {
        let mut came = lock(&self.came);
        came.deliveries.push(delivery);
        let is_awaited = came.wanted > 0 && came.deliveries.len() >= came.wanted;
        drop(came);
        if is_awaited {
            self.arrived.notify_one();
        }
    }
}

/// The context of a transactional producer.
#[derive(Debug, Default)]
pub(super) struct Producing {
    pub(super) talk: Arc<Talk>,
    pub(super) deliveries: Arc<Deliveries>,
}

impl ClientContext for Producing {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, text: &str) {
        // What becomes of a transaction is told by its calls.
        let is_told = matches!(fac, "GETPID" | "ADDPARTS" | "ADDOFFSETS" | "TXNERR" | "FATAL");
        self.talk.log(if is_told { RDKafkaLogLevel::Debug } else { level }, fac, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Talk::error(&error, reason);
    }
}

impl ProducerContext for Producing {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        let result = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(Fault::of("delivery", error)),
        };
        self.deliveries.push(Delivery { index, result });
    }
}
