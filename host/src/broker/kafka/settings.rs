//! Client properties: what the guarantee needs is set here, over whatever the user passed through.
//!
//! Meanings, defaults and ranges are librdkafka's (`CONFIGURATION.md`). Which keys a user may not set, and why, is said
//! in [`crate::config`].

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::config::ClientConfig;

use crate::broker::Member;

/// A member that is not heard for this long has left. Also how long a killed host without a name keeps its partitions.
const SESSION: Duration = Duration::from_secs(10);
/// How soon the others notice that the group is to be shared out anew.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// An open transaction of a dead host holds readers back for at most this long.
const TRANSACTION: Duration = Duration::from_secs(10);
/// One request. Shorter than a transaction, as librdkafka demands.
const SOCKET: Duration = Duration::from_secs(8);
/// How long ingress tries to store a record before its fate counts as unknown.
const PUBLISH: Duration = Duration::from_secs(10);
/// The largest record that the client lets through to the broker, whose topic limits decide.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// What a client asks for that only wants to know whether somebody answers: every cluster that has groups has it.
pub(super) const ASKED_FOR: &str = "__consumer_offsets";
/// What waits in a producer at most: one batch of events with its outputs, many times over.
const PRODUCER_QUEUE_KBYTES: usize = 256 << 10;

/// Where the broker is, and what the user passed through.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) brokers: String,
    pub(super) properties: BTreeMap<String, String>,
    pub(super) app: String,
}

impl Settings {
    /// What every client has.
    pub(super) fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("client.id", &self.app)
            // A broker that comes back is found within a second; librdkafka's default waits up to ten.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.timeout.ms", millis(SOCKET))
            .set("log.connection.close", "false");
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        // What a client logs decides whether it is still trusted, so how much that is must not follow the host's own log.
        config.set_log_level(rdkafka::config::RDKafkaLogLevel::Info);
        config.set("bootstrap.servers", &self.brokers).set("allow.auto.create.topics", "false");
        config
    }

    /// A membership's consumer.
    pub(super) fn member(&self, member: &Member) -> ClientConfig {
        let mut config = self.base();
        config
            .set("group.id", &member.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            // A position that is gone is for the operator to decide about, never for a default.
            .set("auto.offset.reset", "error")
            // Partition N of every topic on one member.
            .set("partition.assignment.strategy", "range")
            .set("session.timeout.ms", millis(SESSION))
            .set("heartbeat.interval.ms", millis(HEARTBEAT))
            .set("max.poll.interval.ms", millis(member.poll_interval_max))
            .set("queued.max.messages.kbytes", (member.prefetch_bytes_max >> 10).max(1).to_string())
            .set("fetch.message.max.bytes", (member.prefetch_bytes_max / 4).clamp(64 << 10, 1 << 20).to_string())
            .set("fetch.queue.backoff.ms", "20")
            .set("check.crcs", "true");
        if member.stable {
            config.set("group.instance.id", &member.name);
        }
        config
    }

    /// A membership's, or an exclusive writer's, transactional producer.
    pub(super) fn transactional(&self, id: &str) -> ClientConfig {
        let mut config = self.producer();
        config
            .set("transactional.id", id)
            .set("transaction.timeout.ms", millis(TRANSACTION))
            // The next transaction, begun right after a commit, meets CONCURRENT_TRANSACTIONS; waiting the default
            // 100 ms then would set the pace of the whole host.
            .set("retry.backoff.ms", "1")
            .set("linger.ms", "0");
        config
    }

    /// Ingress' producer.
    pub(super) fn publisher(&self) -> ClientConfig {
        let mut config = self.producer();
        config
            .set("message.timeout.ms", millis(PUBLISH))
            // Less than the time-out, so that a topic that is not there is told from a broker that does not answer.
            .set("topic.metadata.propagation.max.ms", millis(PUBLISH / 2))
            .set("linger.ms", "0");
        config
    }

    fn producer(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // What Java's clients do: the same key lands in the same partition whoever writes.
            .set("partitioner", "murmur2_random")
            .set("message.max.bytes", MESSAGE_BYTES_MAX.to_string())
            .set("queue.buffering.max.kbytes", PRODUCER_QUEUE_KBYTES.to_string());
        config
    }

    /// A consumer outside any group, for reading and asking.
    pub(super) fn reader(&self, isolation: &str) -> ClientConfig {
        let mut config = self.base();
        // Reads end where the partition's leader says: a follower may lag behind it.
        config.remove("client.rack");
        config
            // librdkafka wants one; it is never joined.
            .set("group.id", format!("{}.reader", self.app))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", isolation)
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "10")
            .set("queued.max.messages.kbytes", "8192")
            .set("fetch.queue.backoff.ms", "5")
            .set("check.crcs", "true");
        config
    }
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}
