//! What ingress writes with: an idempotent producer outside any transaction.
//!
//! A record is stored when the broker has said so with `acks=all`, refused when the broker or the client says that it will
//! never be taken, and of unknown fate when no answer came: librdkafka may have sent it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::future_producer::OwnedDeliveryResult;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::util::TokioRuntime;

use super::context::Quiet;
use super::errors::{Fault, is_away, is_refused};
use super::rdkafka_client::headers_of;
use super::settings::Settings;
use crate::broker::{Error, Promise, PublishError, Publisher, Stored};
use crate::event::Record;
use crate::sync::lock;

/// How often a record is sent that is refused for the company it travels in.
const SENDS_MAX: usize = 5;

type Producer = FutureProducer<Quiet, TokioRuntime>;

/// A publisher over a producer of its own.
pub(super) struct KafkaPublisher {
    settings: Settings,
    /// Replaced when librdkafka gives it up, as it does with an idempotent producer that lost count.
    producer: Mutex<Producer>,
    reachable: Arc<AtomicBool>,
}

fn create(settings: &Settings) -> Result<Producer, Error> {
    settings
        .publisher()
        .create_with_context(Quiet::default())
        .map_err(|e| Fault::of("creating the publisher", &e).into_error(&settings.brokers))
}

impl KafkaPublisher {
    pub(super) fn new(settings: &Settings, reachable: Arc<AtomicBool>) -> Result<Self, Error> {
        Ok(Self { settings: settings.clone(), producer: Mutex::new(create(settings)?), reachable })
    }

    /// A producer that lives.
    fn producer(&self) -> Producer {
        let mut producer = lock(&self.producer);
        if let Some((code, reason)) = producer.client().fatal_error() {
            tracing::error!(?code, reason, "the publisher died, making a new one");
            match create(&self.settings) {
                Ok(new) => *producer = new,
                Err(error) => tracing::error!(%error, "there is no new publisher"),
            }
        }
        producer.clone()
    }
}

impl Publisher for KafkaPublisher {
    fn publish(&self, record: Record) -> Promise<Result<Stored, PublishError>> {
        // Queued here and now: the order of calls is the order of records.
        let (producer, reachable) = (self.producer(), Arc::clone(&self.reachable));
        let mut queued = producer.send_result(future_record(&record)).map_err(|(error, _)| unsent(&error));
        Box::pin(async move {
            for _ in 1..SENDS_MAX {
                match queued?.await {
                    // Another record of its batch was refused, and this one with it. It is not stored.
                    Ok(Err((error, _))) if error.rdkafka_error_code() == Some(Code::InvalidDifferentRecord) => {
                        queued = producer.send_result(future_record(&record)).map_err(|(error, _)| unsent(&error));
                    }
                    fate => return stored(fate, &reachable),
                }
            }
            stored(queued?.await, &reachable)
        })
    }

    fn is_reachable(&self) -> bool {
        self.reachable.load(Ordering::Relaxed)
    }
}

fn future_record(record: &Record) -> FutureRecord<'_, [u8], [u8]> {
    let mut sent = FutureRecord::to(&record.topic);
    sent.partition = record.partition;
    sent.key = record.key.as_deref();
    sent.payload = record.value.as_deref();
    sent.headers = headers_of(&record.headers);
    sent
}

/// What became of a record that was queued.
fn stored<E: std::error::Error + Send + Sync + 'static>(
    fate: Result<OwnedDeliveryResult, E>,
    reachable: &AtomicBool,
) -> Result<Stored, PublishError> {
    match fate {
        Ok(Ok(delivery)) => {
            reachable.store(true, Ordering::Relaxed);
            Ok(Stored { partition: delivery.partition, offset: delivery.offset })
        }
        Ok(Err((error, _))) => Err(undelivered(&error)),
        Err(canceled) => Err(PublishError::Unknown { cause: Box::new(canceled) }),
    }
}

/// An error from the queue: nothing was sent.
fn unsent(error: &KafkaError) -> PublishError {
    let fault = Fault::of("queueing a record", error);
    match fault.code {
        code if is_refused(code) => refused(fault),
        _ => PublishError::Away { cause: fault.boxed() },
    }
}

/// An error from delivery.
fn undelivered(error: &KafkaError) -> PublishError {
    let fault = Fault::of("storing a record", error);
    match fault.code {
        code if is_refused(code) => refused(fault),
        Code::InvalidDifferentRecord
        | Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::TopicAuthorizationFailed => PublishError::Away { cause: fault.boxed() },
        // Time-outs and broken connections alike: it may have been stored just before.
        code if is_away(code) => PublishError::Unknown { cause: fault.boxed() },
        _ => PublishError::Unknown { cause: fault.boxed() },
    }
}

fn refused(fault: Fault) -> PublishError {
    let too_large =
        matches!(fault.code, Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge);
    PublishError::Refused { too_large, cause: fault.boxed() }
}
