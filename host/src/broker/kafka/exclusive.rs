//! A writer that is the only one of its name: a transactional producer whose initialisation fences its predecessor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::producer::Producer;

use super::context::{Deliveries, Producing};
use super::errors::{Demand, Fault, is_fenced, is_refused};
use super::polled::Polled;
use super::rdkafka_client::send;
use super::settings::Settings;
use crate::broker::{Committed, Error, Exclusive};
use crate::event::{Offset, Partition, Record};

/// One call. An exclusive writer reports what fails; its caller decides whether to try on.
const CALL: Duration = Duration::from_secs(10);
/// How long to wait for deliveries before looking whether one of them failed.
const DRAIN: Duration = Duration::from_millis(20);
/// How often a write is tried whose records librdkafka threw away.
const ATTEMPTS_MAX: usize = 5;

/// The writer.
pub(super) struct KafkaExclusive {
    name: String,
    endpoint: String,
    producer: Polled,
    deliveries: Arc<Deliveries>,
}

impl KafkaExclusive {
    pub(super) fn new(settings: &Settings, name: &str) -> Result<Self, Error> {
        let context = Producing::default();
        let deliveries = Arc::clone(&context.deliveries);
        let endpoint = settings.brokers.clone();
        let producer = Polled::create(&settings.transactional(name), context)
            .map_err(|e| Fault::of("creating the writer", &e).into_error(&endpoint))?;
        producer
            .awake()
            .init_transactions(CALL)
            .map_err(|e| Fault::of_transaction("initialising transactions", &e).into_error(&endpoint))?;
        Ok(Self { name: name.to_owned(), endpoint, producer, deliveries })
    }

    fn fenced(&self) -> Error {
        Error::Fenced { name: self.name.clone() }
    }

    /// Undoes what is open, and says what went wrong.
    fn failed(&self, fault: Fault) -> Error {
        if is_fenced(fault.code) {
            return self.fenced();
        }
        if fault.demand == Demand::Abort
            && let Err(error) = self.producer.awake().abort_transaction(CALL)
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

    fn attempt(&self, records: &[Record]) -> Result<Committed, Fault> {
        // Reports of a write that failed before belong to no record of this one.
        drop(self.deliveries.take(0, Duration::ZERO));
        self.producer.awake().begin_transaction().map_err(|e| Fault::of_transaction("beginning", &e))?;
        for (index, record) in records.iter().enumerate() {
            send(self.producer.awake(), index, record)
                .map_err(|e| Fault { demand: Demand::Abort, ..Fault::of("sending a record", &e) })?;
        }
        let until = Instant::now() + CALL;
        let mut ends: BTreeMap<Partition, Offset> = BTreeMap::new();
        let mut missing = records.len();
        while missing > 0 {
            self.producer.awake();
            for delivery in self.deliveries.take(missing, DRAIN) {
                let (number, offset) = delivery.result.map_err(|fault| Fault { demand: Demand::Abort, ..fault })?;
                missing = missing.saturating_sub(1);
                if let Some(record) = records.get(delivery.index) {
                    let end = ends.entry(Partition::new(Arc::clone(&record.topic), number)).or_default();
                    *end = (*end).max(offset + 1);
                }
            }
            if missing > 0 && Instant::now() >= until {
                let text = format!("{missing} of {} records had no answer", records.len());
                return Err(Fault { call: "writing", code: Code::OperationTimedOut, demand: Demand::Abort, text });
            }
        }
        self.producer.awake().commit_transaction(CALL).map_err(|e| Fault::of_transaction("committing", &e))?;
        Ok(Committed { ends, steps: None })
    }
}

impl Exclusive for KafkaExclusive {
    fn write(&mut self, records: &[Record]) -> Result<Committed, Error> {
        let mut last = self.attempt(records);
        for _ in 1..ATTEMPTS_MAX {
            match last {
                // librdkafka empties its queues some time after an abort, the next transaction's records included.
                Err(fault) if fault.code == Code::PurgeQueue => {
                    self.producer
                        .awake()
                        .abort_transaction(CALL)
                        .map_err(|e| self.failed(Fault::of_transaction("aborting", &e)))?;
                    last = self.attempt(records);
                }
                other => return other.map_err(|fault| self.failed(fault)),
            }
        }
        last.map_err(|fault| self.failed(fault))
    }
}
