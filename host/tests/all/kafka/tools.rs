//! Kafka's own command line tools, run from the jars of the broker: what an operator would see.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Output, Stdio};

use super::{Jars, Kafka, PATIENCE};

/// One row of a table that a tool prints, by column title. No cell holds a blank.
pub(crate) type Row = BTreeMap<String, String>;

/// The class of each tool, newest first: they moved between Kafka 3 and 4.
const CONSUMER: &[&str] = &["org.apache.kafka.tools.consumer.ConsoleConsumer", "kafka.tools.ConsoleConsumer"];
const PRODUCER: &[&str] = &["org.apache.kafka.tools.ConsoleProducer", "kafka.tools.ConsoleProducer"];
const GROUPS: &[&str] =
    &["org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "kafka.admin.ConsumerGroupCommand"];
const TRANSACTIONS: &[&str] = &["org.apache.kafka.tools.TransactionsCommand"];

impl Kafka {
    /// What `kafka-console-consumer` prints for the first `records` committed records of a topic. Each of
    /// `properties` is one of its formatter, such as `print.key=true`.
    pub(crate) fn console_consumer(&self, topic: &str, records: usize, properties: &[&str]) -> Vec<String> {
        let (records, wait) = (records.to_string(), PATIENCE.as_millis().to_string());
        let mut arguments = vec!["--topic", topic, "--from-beginning", "--isolation-level", "read_committed"];
        arguments.extend(["--max-messages", &records, "--timeout-ms", &wait]);
        let jars = tool_jars();
        let property = if jars.is_at_least(4, 2) { "--formatter-property" } else { "--property" };
        arguments.extend(properties.iter().flat_map(|setting| [property, setting]));
        lines(&self.tool(CONSUMER, &arguments, ""))
    }

    /// Writes each line with `kafka-console-producer`, as `key|value`.
    pub(crate) fn console_producer(&self, topic: &str, lines: &[&str]) {
        let property = if tool_jars().is_at_least(4, 2) { "--reader-property" } else { "--property" };
        let arguments = ["--topic", topic, property, "parse.key=true", property, "key.separator=|"];
        self.tool(PRODUCER, &arguments, &(lines.join("\n") + "\n"));
    }

    /// What `kafka-consumer-groups --describe` says of a group, a row a partition: `TOPIC`, `PARTITION`,
    /// `CURRENT-OFFSET`, `LOG-END-OFFSET`, `LAG`, `CONSUMER-ID`, `HOST`, `CLIENT-ID`.
    pub(crate) fn consumer_groups_describe(&self, group: &str) -> Vec<Row> {
        table(&self.tool(GROUPS, &["--describe", "--group", group], ""))
    }

    /// What `kafka-transactions list` says, a row a transactional id: `TransactionalId`, `TransactionState`, and more.
    pub(crate) fn transactions_list(&self) -> Vec<Row> {
        table(&self.tool(TRANSACTIONS, &["list"], ""))
    }

    /// What `kafka-transactions find-hanging` finds: transactions in a topic that nobody will end.
    pub(crate) fn transactions_find_hanging(&self, topic: &str) -> Vec<Row> {
        table(&self.tool(TRANSACTIONS, &["find-hanging", "--topic", topic], ""))
    }

    /// Runs the first of the classes that there is, and gives what it printed.
    fn tool(&self, classes: &[&str], arguments: &[&str], input: &str) -> String {
        let jars = tool_jars();
        for class in classes {
            let output = self.run(&jars, class, arguments, input);
            let complaint = String::from_utf8_lossy(&output.stderr);
            if output.status.success() {
                return String::from_utf8(output.stdout).unwrap();
            }
            let is_missing = complaint.contains("Could not find or load main class");
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(is_missing, "{class} {arguments:?} failed:\n{said}{complaint}");
        }
        panic!("Kafka {} has none of {classes:?}", jars.version);
    }

    fn run(&self, jars: &Jars, class: &str, arguments: &[&str], input: &str) -> Output {
        let mut tool = jars
            .java()
            // Starts twice as fast: it lives for a second.
            .args(["-XX:TieredStopAtLevel=1", "-Xmx256m", class, "--bootstrap-server", &self.brokers])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A tool that is not there reads nothing, and that is told apart later.
        tool.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        tool.wait_with_output().unwrap()
    }
}

fn tool_jars() -> Jars {
    Jars::get().expect("Kafka's tools need `java` and `mvn` on the PATH")
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// Reads a table whose first line that is no remark has the titles.
fn table(text: &str) -> Vec<Row> {
    let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut rows = text.lines().map(cells).filter(|row| row.len() > 1);
    let Some(titles) =
        rows.find(|row| row.iter().any(|cell| ["TOPIC", "TransactionalId", "Topic"].contains(&cell.as_str())))
    else {
        return Vec::new();
    };
    rows.map(|row| titles.iter().cloned().zip(row).collect()).collect()
}
