//! What ingress writes with: an idempotent producer outside any transaction.
//!
//! A record is stored when the broker has said so with `acks=all`, refused when the broker or the client says that it will
//! never be taken, and of unknown fate when no answer came: librdkafka may have sent it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::future_producer::OwnedDeliveryResult;
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _, PurgeConfig};
use rdkafka::util::TokioRuntime;

use super::context::Quiet;
use super::ending::end;
use super::errors::{Fault, is_away, is_refused};
use super::rdkafka_client::headers_of;
use super::settings::Settings;
use super::silence::Silence;
use crate::broker::{Error, Promise, PublishError, Publisher, Stored};
use crate::event::Record;
use crate::sync::lock;

/// How often a record is sent that is refused for the company it travels in.
const SENDS_MAX: usize = 5;

/// A publisher over a producer of its own.
pub(super) struct KafkaPublisher {
    settings: Settings,
    /// Replaced when librdkafka gives it up, as it does with an idempotent producer that lost count, and when it gets no answer for
    /// too long ([`Silence`]).
    producer: Mutex<Arc<Producer>>,
    reachable: Arc<AtomicBool>,
}

/// A producer, and what its user knows of it.
struct Producer {
    inner: FutureProducer<Quiet, TokioRuntime>,
    /// A record is answered when it was stored or refused.
    silence: Mutex<Silence>,
}

impl Producer {
    fn create(settings: &Settings) -> Result<Self, Error> {
        let inner = settings
            .publisher()
            .create_with_context(Quiet::default())
            .map_err(|e| Fault::of("creating the publisher", &e).into_error(&settings.brokers))?;
        Ok(Self { inner, silence: Mutex::default() })
    }

    fn send(&self, record: &Record) -> Result<DeliveryFuture, PublishError> {
        self.inner.send_result(future_record(record)).map_err(|(error, _)| unsent(&error))
    }

    /// Why it is to be replaced.
    fn is_done(&self) -> Option<String> {
        if let Some((code, reason)) = self.inner.client().fatal_error() {
            return Some(format!("{reason} ({code:?})"));
        }
        let silent = lock(&self.silence).too_long()?;
        Some(format!("nothing was stored for {} s", silent.as_secs()))
    }

    /// Notes what became of a record.
    fn learn(&self, fate: &Result<Stored, PublishError>) {
        lock(&self.silence).note(matches!(fate, Ok(_) | Err(PublishError::Refused { .. })));
    }
}

impl KafkaPublisher {
    pub(super) fn new(settings: &Settings, reachable: Arc<AtomicBool>) -> Result<Self, Error> {
        Ok(Self { settings: settings.clone(), producer: Mutex::new(Arc::new(Producer::create(settings)?)), reachable })
    }

    /// A producer that lives.
    fn producer(&self) -> Arc<Producer> {
        let mut producer = lock(&self.producer);
        if let Some(reason) = producer.is_done() {
            tracing::warn!(reason, "the publisher is replaced");
            match Producer::create(&self.settings) {
                Ok(new) => {
                    let old = std::mem::replace(&mut *producer, Arc::new(new));
                    // What it still has must not come after what the new one sends.
                    old.inner.purge(PurgeConfig::default().queue().inflight().non_blocking());
                    end(old);
                }
                Err(error) => tracing::error!(%error, "there is no new publisher"),
            }
        }
        Arc::clone(&producer)
    }
}

impl Publisher for KafkaPublisher {
    fn publish(&self, record: Record) -> Promise<Result<Stored, PublishError>> {
        // Queued here and now: the order of calls is the order of records, as long as a producer lasts.
        let (producer, reachable) = (self.producer(), Arc::clone(&self.reachable));
        let mut queued = producer.send(&record);
        Box::pin(async move {
            let mut sends = 1;
            let fate = loop {
                match queued?.await {
                    // Another record of its batch was refused, and this one with it. It is not stored.
                    Ok(Err((error, _)))
                        if sends < SENDS_MAX && error.rdkafka_error_code() == Some(Code::InvalidDifferentRecord) =>
                    {
                        sends += 1;
                        queued = producer.send(&record);
                    }
                    fate => break stored(fate, &reachable),
                }
            };
            producer.learn(&fate);
            fate
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::broker::kafka::silence::SILENT;

    #[test]
    fn a_publisher_that_stored_nothing_for_too_long_is_replaced_and_one_that_stored_something_is_not() {
        let settings =
            Settings { brokers: "127.0.0.1:1".to_owned(), properties: BTreeMap::new(), app: "shop".to_owned() };
        let publisher = KafkaPublisher::new(&settings, Arc::default()).unwrap();
        let first = publisher.producer();
        let is_first = || Arc::ptr_eq(&first, &publisher.producer());
        let begin = |ago| *lock(&first.silence) = Silence::since(ago);
        let unknown = || Err(PublishError::Unknown { cause: "no answer".into() });
        begin(SILENT);
        assert!(is_first(), "one may be slow, and nothing is sent since");
        first.learn(&Ok(Stored { partition: 0, offset: 0 }));
        first.learn(&unknown());
        assert!(is_first(), "something was stored in between");
        begin(SILENT);
        first.learn(&unknown());
        assert!(!is_first());
    }
}
