//! What a broker is able to do, found out before it is trusted.
//!
//! Kafka does not tell its version; it tells which versions of each request it takes (KIP-35). librdkafka keeps those to
//! itself but logs them with `debug=feature`, so a short-lived client listens to its own log. That way the question
//! takes the same TLS and SASL as every other client of the host.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};

use super::errors::Fault;
use super::settings::Settings;
use crate::broker::{Error, Identity};
use crate::sync::lock;

/// Requests that a transaction fenced by its consumer group needs, and the version of each.
const NEEDED: [(&str, i16, &str); 5] = [
    ("InitProducerId", 0, "it has no transactions"),
    ("AddPartitionsToTxn", 0, "it has no transactions"),
    ("AddOffsetsToTxn", 0, "it has no transactions"),
    ("EndTxn", 0, "it has no transactions"),
    ("TxnOffsetCommit", 3, "its transactions are not fenced by consumer groups (KIP-447)"),
];

/// Marks of releases, newest first: a broker that takes this version of this request is at least that release.
const RELEASES: [(&str, i16, &str); 6] = [
    ("Produce", 12, "Apache Kafka 4.0 or later"),
    ("Fetch", 17, "Apache Kafka 3.9"),
    ("Fetch", 16, "Apache Kafka 3.7 or 3.8"),
    ("Fetch", 15, "Apache Kafka 3.5 or 3.6"),
    ("Fetch", 13, "Apache Kafka 3.1 to 3.4"),
    ("TxnOffsetCommit", 3, "Apache Kafka 2.5 to 3.0"),
];

/// The oldest release that the tests have run on, by its mark.
const OLDEST_TESTED: (&str, i16, &str) = ("Fetch", 17, "Apache Kafka 3.9");

/// Collects what librdkafka logs about requests.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<BTreeMap<String, i16>>>);

impl ClientContext for Listener {
    fn log(&self, _: RDKafkaLogLevel, _: &str, text: &str) {
        if let Some((request, newest)) = parse(text) {
            lock(&self.0).insert(request, newest);
        }
    }
}

impl ConsumerContext for Listener {}

/// The request and its newest version in a line such as `ApiKey Produce (0) Versions 0..13`.
fn parse(line: &str) -> Option<(String, i16)> {
    let (_, rest) = line.split_once("ApiKey ")?;
    let (request, rest) = rest.split_once(" (")?;
    let (_, newest) = rest.split_once("Versions ")?.1.split_once("..")?;
    Some((request.to_owned(), newest.trim().parse().ok()?))
}

/// Asks the broker, for at most `within`.
pub(super) fn identify(settings: &Settings, within: Duration) -> Result<Identity, Error> {
    let listener = Listener::default();
    let mut config = settings.base();
    config.set("debug", "feature").set("group.id", format!("{}.reader", settings.app)).set("log_level", "7");
    config.set_log_level(RDKafkaLogLevel::Debug);
    let client: BaseConsumer<Listener> = config
        .create_with_context(listener.clone())
        .map_err(|e| Fault::of("creating a client", &e).into_error(&settings.brokers))?;
    let until = Instant::now() + within;
    client
        .fetch_metadata(Some("__consumer_offsets"), within)
        .map_err(|e| Fault::of("asking the broker", &e).into_error(&settings.brokers))?;
    // Log lines come by polling, and the list has come to its end when a while brings nothing new.
    let mut heard = 0;
    while Instant::now() < until {
        drop(client.poll(Duration::from_millis(100)));
        let now = lock(&listener.0).len();
        if now > 0 && now == heard {
            return judge(&settings.brokers, &lock(&listener.0));
        }
        heard = now;
    }
    let cause = "it did not say what it is able to do".into();
    Err(Error::Away { endpoint: settings.brokers.clone(), cause })
}

/// What the versions of its requests say about a broker.
fn judge(endpoint: &str, versions: &BTreeMap<String, i16>) -> Result<Identity, Error> {
    let takes = |request: &str, version: i16| versions.get(request).is_some_and(|newest| *newest >= version);
    let name = RELEASES.iter().find(|(request, version, _)| takes(request, *version)).map(|(_, _, name)| *name);
    let unfit = |reason: String| Error::Unfit {
        name: format!("the broker at {endpoint} ({})", name.unwrap_or("of an unknown kind")),
        reason,
    };
    if let Some((_, _, reason)) = NEEDED.iter().find(|(request, version, _)| !takes(request, *version)) {
        return Err(unfit((*reason).to_owned()));
    }
    let (request, version, oldest) = OLDEST_TESTED;
    if !takes(request, version) {
        return Err(unfit(format!("the oldest that fnhost is tested with is {oldest}")));
    }
    Ok(Identity { name: name.unwrap_or("an unknown broker").to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(of: &[(&str, i16)]) -> BTreeMap<String, i16> {
        of.iter().map(|(request, newest)| ((*request).to_owned(), *newest)).collect()
    }

    #[test]
    fn a_log_line_names_a_request_and_its_newest_version() {
        assert_eq!(parse("[thrd:x]: x:  ApiKey Produce (0) Versions 0..13"), Some(("Produce".to_owned(), 13)));
        assert_eq!(parse("[thrd:x]: x: Broker API support:"), None);
    }

    #[test]
    fn a_broker_without_transactions_is_refused_by_name() {
        let error = judge("kafka:9092", &versions(&[("Fetch", 17), ("Produce", 11)])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the broker at kafka:9092 (Apache Kafka 3.9) cannot be used: it has no transactions"
        );
    }

    #[test]
    fn a_broker_older_than_the_oldest_tested_is_refused_by_name() {
        let old = [
            ("InitProducerId", 4),
            ("AddPartitionsToTxn", 3),
            ("AddOffsetsToTxn", 3),
            ("EndTxn", 3),
            ("TxnOffsetCommit", 3),
            ("Fetch", 13),
        ];
        let error = judge("kafka:9092", &versions(&old)).unwrap_err().to_string();
        assert!(error.contains("Apache Kafka 3.1 to 3.4") && error.contains("oldest"), "{error}");
    }
}
