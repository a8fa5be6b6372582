//! A writer that is the only one of its name: a transactional producer whose initialisation fences its predecessor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::producer::{Producer, ThreadedProducer};

use super::context::{Deliveries, Producing};
use super::errors::{Demand, Fault, is_fenced, is_refused};
use super::rdkafka_client::send;
use super::settings::Settings;
use crate::broker::{Committed, Error, Exclusive};
use crate::event::{Offset, Partition, Record};

/// One call. An exclusive writer reports what fails; its caller decides whether to try on.
const CALL: Duration = Duration::from_secs(10);

/// The writer.
pub(super) struct KafkaExclusive {
    name: String,
    endpoint: String,
    producer: ThreadedProducer<Producing>,
    deliveries: Arc<Deliveries>,
}

impl KafkaExclusive {
    pub(super) fn new(settings: &Settings, name: &str) -> Result<Self, Error> {
        let context = Producing::default();
        let deliveries = Arc::clone(&context.deliveries);
        let endpoint = settings.brokers.clone();
        let producer: ThreadedProducer<Producing> = settings
            .transactional(name)
            .create_with_context(context)
            .map_err(|e| Fault::of("creating the writer", &e).into_error(&endpoint))?;
        producer
            .init_transactions(CALL)
            .map_err(|e| Fault::of_transaction("initialising transactions", &e).into_error(&endpoint))?;
        Ok(Self { name: name.to_owned(), endpoint, producer, deliveries })
    }

    fn fenced(&self) -> Error {
        Error::Fenced { name: self.name.clone() }
    }

    fn failed(&self, fault: Fault) -> Error {
        if is_fenced(fault.code) {
            return self.fenced();
        }
        if fault.demand == Demand::Abort
            && let Err(error) = self.producer.abort_transaction(CALL)
        {
            // Only here does it show why the records were not taken.
            let fault = Fault::of_transaction("aborting", &error);
            return if is_fenced(fault.code) { self.fenced() } else { fault.into_error(&self.endpoint) };
        }
        if is_refused(fault.code) {
            return Error::Refused { action: format!("take a record of `{}`", self.name), cause: fault.boxed() };
        }
        fault.into_error(&self.endpoint)
    }
}

impl Exclusive for KafkaExclusive {
    fn write(&mut self, records: &[Record]) -> Result<Committed, Error> {
        // Reports of a write that failed before belong to no record of this one.
        drop(self.deliveries.take(0, Duration::ZERO));
        self.producer.begin_transaction().map_err(|e| self.failed(Fault::of_transaction("beginning", &e)))?;
        for (index, record) in records.iter().enumerate() {
            send(&self.producer, index, record)
                .map_err(|e| self.failed(Fault { demand: Demand::Abort, ..Fault::of("sending a record", &e) }))?;
        }
        let deliveries = self.deliveries.take(records.len(), CALL);
        let mut ends: BTreeMap<Partition, Offset> = BTreeMap::new();
        let mut delivered = 0;
        for delivery in deliveries {
            let (number, offset) =
                delivery.result.map_err(|fault| self.failed(Fault { demand: Demand::Abort, ..fault }))?;
            delivered += 1;
            if let Some(record) = records.get(delivery.index) {
                let end = ends.entry(Partition::new(Arc::clone(&record.topic), number)).or_default();
                *end = (*end).max(offset + 1);
            }
        }
        if delivered < records.len() {
            let cause = format!("{} of {} records had no answer", records.len() - delivered, records.len());
            self.producer.abort_transaction(CALL).map_err(|e| self.failed(Fault::of_transaction("aborting", &e)))?;
            return Err(Error::Away { endpoint: self.endpoint.clone(), cause: cause.into() });
        }
        self.producer.commit_transaction(CALL).map_err(|e| self.failed(Fault::of_transaction("committing", &e)))?;
        Ok(Committed { ends })
    }
}
