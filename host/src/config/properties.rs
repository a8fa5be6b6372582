//! Client properties: what the user passes through to librdkafka, and what is not theirs to set.
//!
//! They come from `--kafka key=value` and from files of such lines. A key that the guarantee depends on is refused with
//! the reason, rather than overridden in silence; what is left is handed on as it is. Keys, aliases and meanings are
//! those of librdkafka's `CONFIGURATION.md`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::Error;

/// Properties that were checked. `Debug` shows no passwords and keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ClientProperties(BTreeMap<String, String>);

/// One `key=value`, not checked yet. `Debug` shows no passwords and keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Property {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

/// A file of properties that is larger is refused.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Keys that cannot be set.
struct Refusal {
    keys: &'static [&'static str],
    reason: &'static str,
    instead: Option<&'static str>,
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

impl ClientProperties {
    /// The properties of the files, in order, and of `given` over them. Of one key the last value holds.
    ///
    /// # Errors
    /// When a file cannot be read, a line is no `key=value`, or a key is refused.
    pub fn resolve(files: &[impl AsRef<Path>], given: &[Property]) -> Result<Self, Error> {
        let mut properties = BTreeMap::new();
        for file in files {
            for property in read(file.as_ref())? {
                property.check()?;
                properties.insert(property.key, property.value);
            }
        }
        for property in given {
            property.check()?;
            properties.insert(property.key.clone(), property.value.clone());
        }
        Ok(Self(properties))
    }

    /// Keys and values, as the client is to be given them.
    pub fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl Property {
    fn check(&self) -> Result<(), Error> {
        // librdkafka takes a topic's property also with this prefix.
        let bare = self.key.strip_prefix("topic.").unwrap_or(&self.key);
        let hit = |refusal: &&Refusal| refusal.keys.iter().any(|key| *key == self.key || *key == bare);
        if let Some(refusal) = REFUSALS.iter().chain(JAVA).find(hit) {
            let key = self.key.clone();
            return Err(Error::PropertyRefused { key, reason: refusal.reason, instead: refusal.instead });
        }
        if cfg!(not(feature = "tls")) && self.needs_tls() {
            return Err(Error::NoTls { key: self.key.clone(), value: self.value.clone() });
        }
        Ok(())
    }

    fn needs_tls(&self) -> bool {
        let value = self.value.trim().to_ascii_lowercase();
        match self.key.as_str() {
            "security.protocol" => matches!(value.as_str(), "ssl" | "sasl_ssl"),
            // SCRAM's hashes are OpenSSL's.
            "sasl.mechanism" | "sasl.mechanisms" => value.starts_with("scram-") || value == "oauthbearer",
            _ => false,
        }
    }

    /// Whether the value must not be seen.
    fn is_secret(&self) -> bool {
        let marks = ["password", "passphrase", "secret", "pem", "token", "jaas", "oauthbearer.config", "kinit"];
        marks.iter().any(|mark| self.key.contains(mark))
    }
}

impl FromStr for Property {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).ok_or_else(|| Error::PropertyForm { given_in: "a value of --kafka".to_owned() })
    }
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.is_secret() { "…" } else { &self.value };
        write!(f, "{}={value}", self.key)
    }
}

impl fmt::Debug for ClientProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let property = |(key, value): (&String, &String)| Property { key: key.clone(), value: value.clone() };
        f.debug_set().entries(self.0.iter().map(property)).finish()
    }
}

fn parse(text: &str) -> Option<Property> {
    let (key, value) = text.split_once('=')?;
    let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
    (!key.is_empty() && !key.contains(char::is_whitespace)).then_some(Property { key, value })
}

/// The properties of a file: a `key=value` a line, `#` or `!` before a comment. No escapes, no continued lines.
fn read(file: &Path) -> Result<Vec<Property>, Error> {
    let cannot = |cause| Error::Unreadable { file: file.to_path_buf(), cause };
    if std::fs::metadata(file).map_err(cannot)?.len() > FILE_BYTES_MAX {
        return Err(cannot(std::io::ErrorKind::FileTooLarge.into()));
    }
    let text = std::fs::read_to_string(file).map_err(cannot)?;
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
    let meant = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with(['#', '!']));
    let form = |number| Error::PropertyForm { given_in: format!("line {number} of {}", file.display()) };
    meant.map(|(number, line)| parse(line).ok_or_else(|| form(number))).collect()
}

#[cfg(test)]
mod tests {
    use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
    use rdkafka::error::KafkaError;
    use rdkafka::types::RDKafkaConfRes;

    use super::*;

    fn resolve(given: &[&str]) -> Result<ClientProperties, Error> {
        let given: Vec<Property> = given.iter().map(|text| text.parse().unwrap()).collect();
        ClientProperties::resolve(&[] as &[&Path], &given)
    }

    #[test]
    fn options_are_laid_over_files() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# a comment\n\n client.id = a \n! another\nclient.rack=r\n").unwrap();
        let properties = ClientProperties::resolve(&[file.path()], &["client.id=b=c".parse().unwrap()]).unwrap();
        assert_eq!(format!("{properties:?}"), "{client.id=b=c, client.rack=r}");
    }

    #[test]
    fn every_refused_key_is_refused_with_and_without_prefix() {
        for refusal in REFUSALS.iter().chain(JAVA) {
            for key in refusal.keys {
                assert!(resolve(&[&format!("{key}=1")]).is_err(), "{key}");
                assert!(resolve(&[&format!("topic.{key}=1")]).is_err(), "topic.{key}");
            }
        }
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

    #[test]
    fn refusal_says_what_would_break_and_what_to_do() {
        let error = resolve(&["enable.auto.commit=true"]).unwrap_err();
        insta::assert_snapshot!(format!("{error}\n{}", error.hint().unwrap()), @r"
        client property `enable.auto.commit` cannot be set: positions are committed in the transaction of their events, and nowhere else
        leave it out; the host sets it
        ");
        let error = resolve(&["bootstrap.servers=a:1"]).unwrap_err();
        insta::assert_snapshot!(format!("{error}\n{}", error.hint().unwrap()), @r"
        client property `bootstrap.servers` cannot be set: the address of the broker has an option of its own
        use --brokers HOST:PORT[,HOST:PORT…]
        ");
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn build_without_tls_says_how_to_get_it() {
        for property in ["security.protocol=SASL_SSL", "security.protocol=ssl", "sasl.mechanism=SCRAM-SHA-512"] {
            let error = resolve(&[property]).unwrap_err();
            assert!(error.to_string().ends_with("this build has no TLS"), "{error}");
            assert_eq!(error.hint().unwrap(), "build it in: cargo build --release --features tls");
        }
        assert!(resolve(&["security.protocol=sasl_plaintext", "sasl.mechanism=PLAIN"]).is_ok());
    }

    #[test]
    fn secrets_are_neither_in_debug_nor_in_errors() {
        let secret = "hunter2";
        for key in [
            "sasl.password",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.client.credentials.client.secret",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "sasl.oauthbearer.assertion.private.key.pem",
            "sasl.oauthbearer.config",
            "ssl.key.password",
            "ssl.key.pem",
            "ssl.keystore.password",
        ] {
            let properties = resolve(&[&format!("{key}={secret}")]).unwrap();
            assert_eq!(format!("{properties:?}"), format!("{{{key}=…}}"));
            assert_eq!(properties.as_map()[key], secret);
        }
        assert!(!format!("{:?}", secret.parse::<Property>().unwrap_err()).contains(secret));
    }

    #[test]
    fn line_that_is_no_property_is_named_by_its_number() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "client.id=a\nnonsense\n").unwrap();
        let error = ClientProperties::resolve(&[file.path()], &[]).unwrap_err().to_string();
        assert!(error.starts_with("line 2 of ") && error.ends_with(" is no `key=value`"), "{error}");
    }
}
