//! Which broker, and how to reach it.

use std::path::PathBuf;

use crate::config::{self, ClientProperties, Property};

/// Which broker, and how to reach it.
#[derive(Clone, Debug, clap::Args)]
pub struct KafkaArgs {
    /// Where Kafka is: one broker or more to begin with
    #[arg(long, env = "FNHOST_BROKERS", value_name = "HOST:PORT,…", value_parser = brokers, help_heading = "Kafka")]
    pub brokers: String,
    /// A client property of librdkafka; may be given again, and holds over those of a file
    #[arg(
        long = "kafka",
        env = "FNHOST_KAFKA",
        hide_env_values = true,
        value_name = "KEY=VALUE",
        value_delimiter = '\n',
        help_heading = "Kafka"
    )]
    pub properties: Vec<Property>,
    /// A file of client properties, a KEY=VALUE a line: the place for passwords
    #[arg(long = "kafka-file", env = "FNHOST_KAFKA_FILE", value_name = "FILE", help_heading = "Kafka")]
    pub files: Vec<PathBuf>,
}

/// Where the broker is, with properties that were checked.
#[derive(Clone, Debug)]
pub struct Connection {
    /// `HOST:PORT`, with commas between several.
    pub brokers: String,
    /// What the user passed through.
    pub properties: ClientProperties,
}

impl KafkaArgs {
    /// Reads the files and checks every property.
    ///
    /// # Errors
    /// As [`ClientProperties::resolve`].
    pub fn resolve(&self) -> Result<Connection, config::Error> {
        let properties = ClientProperties::resolve(&self.files, &self.properties)?;
        Ok(Connection { brokers: self.brokers.clone(), properties })
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
