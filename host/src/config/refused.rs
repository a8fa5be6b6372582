//! The client properties that are not the user's to set, each with the reason.
//!
//! Either the guarantee depends on them, or the host sets them itself and its own setting would win in silence. Keys and
//! aliases are those of librdkafka's `CONFIGURATION.md`.

/// Keys that cannot be set.
pub(super) struct Refusal {
    keys: &'static [&'static str],
    /// What would break.
    pub(super) reason: &'static str,
    /// What to do in place of it.
    pub(super) instead: Option<&'static str>,
}

/// What the host sets itself: its own setting would win, or the guarantee would be gone.
const REFUSALS: &[Refusal] = &[
    Refusal {
        keys: &["bootstrap.servers", "metadata.broker.list"],
        reason: "the address of the broker has an option of its own",
        instead: Some("use --brokers HOST:PORT[,HOST:PORT…]"),
    },
    Refusal {
        keys: &[
            "enable.auto.commit",
            "auto.commit.enable",
            "auto.commit.interval.ms",
            "enable.auto.offset.store",
            "offset.store.method",
            "offset.store.path",
            "offset.store.sync.interval.ms",
        ],
        reason: "positions are committed in the transaction of their events, and nowhere else",
        instead: None,
    },
    Refusal {
        keys: &["isolation.level"],
        reason: "events of transactions that were aborted would be handled",
        instead: None,
    },
    Refusal {
        keys: &["auto.offset.reset"],
        reason: "events whose position is gone would be skipped, or handled twice, in silence",
        instead: Some("where a group begins is `from` in app.toml"),
    },
    Refusal {
        keys: &["group.id"],
        reason: "groups are named after the app",
        instead: Some("groups are `name` and `group` in app.toml"),
    },
    Refusal {
        keys: &["group.instance.id", "transactional.id"],
        reason: "two workers with one name would fence each other",
        instead: Some("use --instance NAME: the names of all workers are made of it"),
    },
    Refusal {
        keys: &["group.protocol", "group.protocol.type", "group.remote.assignor", "partition.assignment.strategy"],
        reason: "partition N of every topic of a group must lie on one worker",
        instead: None,
    },
    Refusal {
        keys: &["session.timeout.ms", "heartbeat.interval.ms", "max.poll.interval.ms"],
        reason: "it is derived from how long an event may take, and keeps partitions from being given away meanwhile",
        instead: Some("what an event may take is `limits` and `retry` in app.toml"),
    },
    Refusal {
        keys: &["enable.idempotence", "max.in.flight.requests.per.connection", "max.in.flight"],
        reason: "records would be stored twice or out of order",
        instead: None,
    },
    Refusal {
        keys: &["request.required.acks", "acks"],
        reason: "a record that one broker alone has can be lost",
        instead: Some("how many brokers that is, is the topic's `min.insync.replicas`"),
    },
    Refusal {
        keys: &[
            "message.send.max.retries",
            "retries",
            "retry.backoff.ms",
            "message.timeout.ms",
            "delivery.timeout.ms",
            "transaction.timeout.ms",
        ],
        reason: "time-outs and retries of a transaction are tuned to each other: a record given up early is a lost one",
        instead: None,
    },
    Refusal {
        keys: &["enable.gapless.guarantee", "queuing.strategy", "delivery.report.only.error", "produce.offset.report"],
        reason: "a commit waits for the report of every record, in the order they were sent",
        instead: None,
    },
    Refusal {
        keys: &["partitioner"],
        reason: "the same key must land in the same partition whoever writes, and with it the key's state",
        instead: None,
    },
    Refusal {
        keys: &["allow.auto.create.topics"],
        reason: "a topic would come into being with the broker's defaults in place of app.toml's",
        instead: Some("make topics with fnhost topics apply"),
    },
    Refusal {
        keys: &["message.max.bytes"],
        reason: "how large a record may be is for its topic to decide",
        instead: Some("it is `max-message` of a topic in app.toml"),
    },
    Refusal { keys: &["enable.partition.eof", "check.crcs"], reason: "restoring state depends on it", instead: None },
    Refusal {
        keys: &[
            "queued.max.messages.kbytes",
            "fetch.message.max.bytes",
            "max.partition.fetch.bytes",
            "fetch.queue.backoff.ms",
            "queue.buffering.max.kbytes",
        ],
        reason: "the host divides one memory budget among its workers",
        instead: None,
    },
    Refusal {
        keys: &["linger.ms", "queue.buffering.max.ms"],
        reason: "the records of a batch are there at once, and waiting for more would only delay its commit",
        instead: None,
    },
    Refusal { keys: &["topic.blacklist"], reason: "the app's topics would seem not to exist", instead: None },
    Refusal {
        keys: &["plugin.library.paths"],
        reason: "foreign code in the host's process could change everything that is sent",
        instead: None,
    },
];

/// Keys of Java's clients, which users bring along in their files.
const JAVA: &[Refusal] = &[
    Refusal {
        keys: &["sasl.jaas.config", "sasl.login.callback.handler.class", "sasl.client.callback.handler.class"],
        reason: "it is for Java's clients",
        instead: Some("set sasl.mechanisms, sasl.username and sasl.password"),
    },
    Refusal {
        keys: &["ssl.truststore.location", "ssl.truststore.password", "ssl.truststore.type", "ssl.keystore.type"],
        reason: "it is for Java's clients",
        instead: Some("set ssl.ca.location to a PEM file of the certificates to be trusted"),
    },
    Refusal {
        keys: &["key.serializer", "value.serializer", "key.deserializer", "value.deserializer"],
        reason: "it is for Java's clients, and the host hands bytes on as they are",
        instead: Some("leave it out"),
    },
];

/// The refusal of a key, if it is refused.
pub(super) fn find(key: &str) -> Option<&'static Refusal> {
    // librdkafka takes a topic's property also with this prefix.
    let bare = key.strip_prefix("topic.").unwrap_or(key);
    REFUSALS.iter().chain(JAVA).find(|refusal| refusal.keys.iter().any(|refused| *refused == key || *refused == bare))
}

#[cfg(test)]
mod tests {
    use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
    use rdkafka::error::KafkaError;
    use rdkafka::types::RDKafkaConfRes;

    use super::*;

    #[test]
    fn every_refused_key_is_refused_with_and_without_prefix() {
        for key in REFUSALS.iter().chain(JAVA).flat_map(|refusal| refusal.keys) {
            assert!(find(key).is_some(), "{key}");
            assert!(find(&format!("topic.{key}")).is_some(), "topic.{key}");
        }
        assert!(find("client.id").is_none());
    }

    #[test]
    fn every_refused_key_is_one_that_librdkafka_knows() {
        for key in REFUSALS.iter().flat_map(|refusal| refusal.keys) {
            let mut config = ClientConfig::new();
            let set = config.set_log_level(RDKafkaLogLevel::Emerg).set(*key, "?").create_native_config();
            let unknown = matches!(set, Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)));
            assert!(!unknown, "{key}");
        }
    }
}
