//! The suite on Apache Kafka.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fnhost::broker::Broker;
use fnhost::broker::kafka::Kafka as Connected;
use fnhost::event::{Event, Offset, Partition, Record};

use super::{Fixture, Open};
use crate::kafka::{self, Isolation, Kafka};

/// The Kafka of the tests, or `None` when there is none.
pub(super) fn fixture() -> Option<impl Fixture> {
    kafka::kafka()
}

impl Fixture for &Kafka {
    fn process(&self, app: &str) -> Arc<dyn Broker> {
        Arc::new(Connected::connect(&self.brokers, &BTreeMap::new(), app).unwrap())
    }

    fn visible(&self, topic: &str) -> Vec<Event> {
        self.read(&[topic], Isolation::Committed)
    }

    fn open(&self, records: &[Record]) -> Option<Box<dyn Open>> {
        Some(Box::new(Kafka::open(self, records, Duration::from_secs(60))))
    }

    fn delete_before(&self, partition: &Partition, offset: Offset) -> bool {
        Kafka::delete_before(self, partition, offset);
        true
    }
}

impl Open for kafka::Open {
    fn commit(self: Box<Self>) {
        Self::commit(*self);
    }

    fn abort(self: Box<Self>) {
        Self::abort(*self);
    }
}
