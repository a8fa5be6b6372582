//! The orders of a run: about 650 bytes each, 1 % placed twice, 0.1 % with a product that nobody has.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use uuid::Uuid;

use crate::kafka::Kafka;

const CITIES: [(&str, &str, &str); 4] =
    [("Oakland", "CA", "94607"), ("Hoboken", "NJ", "07030"), ("Zürich", "ZH", "8001"), ("Austin", "TX", "78701")];
const PATIENCE: Duration = Duration::from_secs(60);
/// A trace that is recorded.
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A backlog.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backlog {
    /// How many orders, those placed twice once.
    pub(crate) orders: usize,
    /// Of so many orders one is in a trace that is recorded.
    pub(crate) sampled_of: Option<usize>,
}

impl Backlog {
    /// How many are shipped.
    pub(crate) fn good(self) -> usize {
        self.orders - self.orders.div_ceil(1000)
    }

    /// How many events are handled: each order's five, those that end early, and those that come again.
    pub(crate) fn events(self) -> usize {
        self.orders + self.orders.div_ceil(100) + 4 * self.good()
    }

    /// Key and value of each event, in order.
    pub(crate) fn events_of_orders(self) -> impl Iterator<Item = (String, String)> {
        (0..self.orders).flat_map(|number| {
            let (id, event) = (id("backlog", number), event(number));
            std::iter::repeat_n((id, event), if number % 100 == 0 { 2 } else { 1 })
        })
    }

    /// Writes it to `order-received`.
    pub(crate) fn write(self, kafka: &Kafka) {
        let writer = Writer::new(kafka);
        for (number, (key, value)) in self.events_of_orders().enumerate() {
            writer.send(&key, &value, self.sampled_of.is_some_and(|of| number.is_multiple_of(of)));
        }
        writer.flush();
    }
}

/// Writes to `order-received`.
pub(crate) struct Writer {
    producer: ThreadedProducer<DefaultProducerContext>,
    headers: OwnedHeaders,
    /// The same, of an event in a trace that is recorded.
    parent: OwnedHeaders,
}

impl Writer {
    pub(crate) fn new(kafka: &Kafka) -> Self {
        let producer =
            kafka.client().set("enable.idempotence", "true").set("partitioner", "murmur2_random").create().unwrap();
        let headers = OwnedHeaders::new()
            .insert(Header { key: "content-type", value: Some("application/cloudevents+json; charset=UTF-8") });
        let parent = headers.clone().insert(Header { key: "traceparent", value: Some(PARENT) });
        Self { producer, headers, parent }
    }

    /// Writes the order with this number of a backlog, so many times.
    pub(crate) fn write(&self, number: usize, times: usize) {
        let (key, value) = (id("backlog", number), event(number));
        (0..times).for_each(|_| self.send(&key, &value, false));
    }

    /// Waits until the broker has all of it.
    pub(crate) fn flush(&self) {
        self.producer.flush(PATIENCE).unwrap();
    }

    fn send(&self, key: &str, value: &str, is_sampled: bool) {
        let headers = if is_sampled { &self.parent } else { &self.headers };
        let mut record = BaseRecord::to("order-received").key(key).payload(value).headers(headers.clone());
        while let Err((error, back)) = self.producer.send(record) {
            assert!(matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)), "{error}");
            record = back;
            self.flush();
        }
    }
}

/// The id of an order: the same for the same number.
pub(crate) fn id(series: &str, number: usize) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{series}/{number}").as_bytes()).to_string()
}

/// An order as it is posted.
pub(crate) fn order(id: &str, number: usize) -> String {
    let (city, state, code) = CITIES[number % CITIES.len()];
    let product = if number.is_multiple_of(1000) { 9999 } else { 1001 + number % 10 };
    format!(
        r#"{{"id":"{id}","products":[{{"productCode":"P-{product}","quantity":{}}},{{"productCode":"P-1003","quantity":12}}],"customer":{{"firstName":"Ada","lastName":"Okafor-{number}","emailAddress":"ada.okafor.{number}@example.com","shippingAddress":{{"line1":"{} Harbor Way","line2":"Floor 3","city":"{city}","state":"{state}","postalCode":"{code}"}}}}}}"#,
        1 + number % 9,
        1 + number % 2000,
    )
}

/// Whether an order can be filled.
pub(crate) fn is_good(number: usize) -> bool {
    !number.is_multiple_of(1000)
}

/// Whether a notification says that an order is shipped.
pub(crate) fn tells_of_shipping(value: &[u8]) -> bool {
    value.windows(17).any(|part| part == br#""stage":"shipped""#)
}

/// The event that ingress makes of it.
fn event(number: usize) -> String {
    let (order_id, event_id) = (id("backlog", number), id("event", number));
    format!(
        r#"{{"specversion":"1.0","id":"{event_id}","source":"/fulfilment/ingress","type":"ppe4peeps.order-received","subject":"{order_id}","time":"2026-11-21T06:43:01.003Z","datacontenttype":"application/json","data":{{"order":{}}}}}"#,
        order(&order_id, number)
    )
}
