//! Which broker, and how to reach it.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Asked, Failure};
use crate::broker::embedded::{self, Embedded};
use crate::broker::kafka::Kafka;
use crate::broker::{self, Broker};
use crate::config::{self, ClientProperties, Property};

/// Which broker, and how to reach it.
#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("broker").required(true).args(["brokers", "embedded"]))]
pub struct BrokerArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment here would take the place of the verb's help")]
    pub kafka: KafkaArgs,
    /// In place of a Kafka, a broker within this process over one file, which is made when it is missing. Durable, and
    /// not for production
    #[arg(
        long,
        env = "FNHOST_EMBEDDED",
        value_name = "FILE",
        conflicts_with_all = ["brokers", "properties", "files"],
        help_heading = "Broker"
    )]
    pub embedded: Option<PathBuf>,
}

/// Which Kafka, and how to reach it.
#[derive(Clone, Debug, clap::Args)]
pub struct KafkaArgs {
    /// Where Kafka is: one broker or more to begin with
    #[arg(long, env = "FNHOST_BROKERS", value_name = "HOST:PORT,…", value_parser = brokers, help_heading = "Broker")]
    pub brokers: Option<String>,
    /// A client property of librdkafka; may be given again, and holds over those of a file
    #[arg(
        long = "kafka",
        env = "FNHOST_KAFKA",
        hide_env_values = true,
        value_name = "KEY=VALUE",
        value_delimiter = '\n',
        requires = "brokers",
        help_heading = "Broker"
    )]
    pub properties: Vec<Property>,
    /// A file of client properties, a KEY=VALUE a line: the place for passwords
    #[arg(
        long = "kafka-file",
        env = "FNHOST_KAFKA_FILE",
        value_name = "FILE",
        requires = "brokers",
        help_heading = "Broker"
    )]
    pub files: Vec<PathBuf>,
}

/// Where the broker is, with properties that were checked.
#[derive(Clone, Debug)]
pub enum Connection {
    /// Apache Kafka.
    Kafka {
        /// `HOST:PORT`, with commas between several.
        brokers: String,
        /// What the user passed through.
        properties: ClientProperties,
    },
    /// The embedded broker over this file.
    Embedded(PathBuf),
}

impl BrokerArgs {
    /// Reads the files and checks every property.
    ///
    /// # Errors
    /// As [`ClientProperties::resolve`].
    pub fn resolve(&self) -> Result<Connection, config::Error> {
        match (&self.embedded, self.kafka.resolve()?) {
            (_, Some(kafka)) => Ok(kafka),
            // clap sees to it that there is one of both.
            (file, None) => Ok(Connection::Embedded(file.clone().unwrap_or_default())),
        }
    }
}

impl KafkaArgs {
    /// Reads the files and checks every property; `None` when no Kafka was named.
    ///
    /// # Errors
    /// As [`ClientProperties::resolve`].
    pub fn resolve(&self) -> Result<Option<Connection>, config::Error> {
        let Some(brokers) = &self.brokers else { return Ok(None) };
        let properties = ClientProperties::resolve(&self.files, &self.properties)?;
        Ok(Some(Connection::Kafka { brokers: brokers.clone(), properties }))
    }
}

impl Connection {
    /// Where it is, for people.
    pub fn endpoint(&self) -> String {
        match self {
            Self::Kafka { brokers, .. } => brokers.clone(),
            Self::Embedded(file) => file.display().to_string(),
        }
    }

    /// The option that names it.
    pub fn option(&self) -> String {
        match self {
            Self::Kafka { brokers, .. } => format!("--brokers {brokers}"),
            Self::Embedded(file) => format!("--embedded {}", file.display()),
        }
    }

    /// Connects. A Kafka that is away is waited for later.
    ///
    /// # Errors
    /// What the client refuses, or a file that cannot be opened.
    pub fn connect(&self, asked: &Asked<'_>) -> Result<Arc<dyn Broker>, Failure> {
        let failed = |error: broker::Error| Failure::broker(error, asked);
        match self {
            Self::Kafka { brokers, properties } => {
                let kafka = Kafka::connect(brokers, properties.as_map(), asked.app).map_err(failed)?;
                Ok(Arc::new(kafka))
            }
            Self::Embedded(file) => {
                tracing::warn!(
                    file = %file.display(),
                    "the embedded broker knows one process and one disk: it is for development, and not for production"
                );
                let embedded = Embedded::open(file, &embedded::Options::default());
                let embedded: Arc<dyn Broker> = embedded.map_err(|error| {
                    let hint = error.hint();
                    Failure::fault(error).hint(hint)
                })?;
                Ok(embedded)
            }
        }
    }
}

fn brokers(text: &str) -> Result<String, String> {
    let addresses: Vec<&str> = text.split(',').map(str::trim).collect();
    match addresses.iter().find(|address| !is_address(address)) {
        None => Ok(addresses.join(",")),
        Some(address) => Err(format!("`{address}` is not HOST:PORT, such as localhost:9092")),
    }
}

fn is_address(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains(['/', ' ', '@']) && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_hosts_with_ports() {
        assert_eq!(brokers("a:9092, [::1]:9093").as_deref(), Ok("a:9092,[::1]:9093"));
        for wrong in ["", "a", "a:", "a:0", "a:70000", "kafka://a:9092", "a:9092,", ":9092"] {
            assert!(brokers(wrong).is_err(), "{wrong}");
        }
    }
}
