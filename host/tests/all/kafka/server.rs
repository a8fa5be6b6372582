//! A broker of the test's own: one KRaft node, broker and controller in one, which can be killed and started again.
//!
//! Java runs under a small shell that holds the other end of a pipe of ours. When that pipe closes, by a drop or
//! because this process is gone for whatever reason, the shell kills Java and removes the data.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Jars, Kafka, eventually, say};

/// Runs `$@` until standard input ends or says something; `keep` leaves the data. `ended` says that it ended by itself.
const SUPERVISOR: &str = r#"
folder=$1; shift
exec 3<&0
"$@" >>"$folder/log" 2>&1 3<&- &
java=$!
echo $java >"$folder/pid"
( read -r word <&3; [ -e "$folder/ended" ] || kill -9 $java; [ "$word" = keep ] ) &
guard=$!
wait $java
touch "$folder/ended"
wait $guard || rm -rf "$folder"
"#;

/// How often a start is tried when the ports turn out to be taken.
const STARTS_MAX: usize = 5;

/// A broker that belongs to one test. Ends, and its data with it, when dropped.
#[derive(Debug)]
pub(crate) struct OwnBroker {
    kafka: Kafka,
    jars: Jars,
    folder: PathBuf,
    supervisor: Option<Child>,
}

impl OwnBroker {
    /// Starts a broker with `settings` over the usual ones. `None`, said loudly, when there is no Kafka to start.
    ///
    /// # Panics
    /// When there is one and it does not start; with `CI=true` when there is none.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Option<Self> {
        let jars = Jars::get()?;
        for _ in 1..STARTS_MAX {
            if let Ok(own) = Self::try_start(&jars, settings) {
                return Some(own);
            }
        }
        match Self::try_start(&jars, settings) {
            Ok(own) => Some(own),
            Err(log) => panic!("Apache Kafka {} does not start:\n{log}", jars.version),
        }
    }

    /// Formats a data folder and starts on new ports. The error is the end of the broker's log.
    fn try_start(jars: &Jars, settings: &[(&str, &str)]) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("fnhost-kafka-").tempdir().unwrap();
        let (port, controller) = free_ports();
        let properties = folder.path().join("server.properties");
        fs::write(&properties, server_properties(folder.path(), port, controller, settings)).unwrap();
        let id = uuid::Uuid::new_v4();
        let id = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, id.as_bytes());
        let formatted = jars
            .java()
            // A cluster id must not begin with a dash.
            .args(["kafka.tools.StorageTool", "format", "-t", &id.replace('-', "_"), "-c"])
            .arg(&properties)
            .output()
            .unwrap();
        if !formatted.status.success() {
            return Err(format!("{}{}", lossy(&formatted.stdout), lossy(&formatted.stderr)));
        }
        let kafka = Kafka { brokers: format!("127.0.0.1:{port}") };
        let mut own = Self { kafka, jars: jars.clone(), folder: folder.keep(), supervisor: None };
        say(&format!("starting Apache Kafka {} on {}", jars.version, own.kafka.brokers));
        own.run()?;
        Ok(own)
    }

    /// The broker, while it runs.
    pub(crate) fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// Where its data, its configuration and its log lie.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends the broker as `kill -9` does, and returns when it is gone. Its data stays.
    pub(crate) fn kill(&mut self) {
        say(&format!("killing {}", self.kafka.brokers));
        self.end(b"keep\n");
    }

    /// Sends Java a signal, such as `STOP`. One that stands still ends with this all the same.
    pub(crate) fn signal(&self, name: &str) {
        say(&format!("SIG{name} to {}", self.kafka.brokers));
        let pid = fs::read_to_string(self.folder.join("pid")).unwrap();
        let sent = Command::new("kill").args([&format!("-{name}"), pid.trim()]).status().unwrap();
        assert!(sent.success(), "there is no broker to signal");
    }

    /// Starts it again, on the same ports with the same data, and returns when every partition has a leader.
    ///
    /// # Panics
    /// When it does not start.
    pub(crate) fn start_again(&mut self) {
        assert!(self.supervisor.is_none(), "it runs already");
        say(&format!("starting {} again", self.kafka.brokers));
        if let Err(log) = self.run() {
            panic!("Apache Kafka does not start again:\n{log}");
        }
    }

    /// Starts Java and waits until it serves. The error is the end of its log.
    fn run(&mut self) -> Result<(), String> {
        fs::remove_file(self.folder.join("ended")).ok();
        let java = Command::new("sh")
            .args(["-c", SUPERVISOR, "sh"])
            .arg(&self.folder)
            .args(["java", "-Xmx512m"])
            .args(self.jars.java_arguments())
            .arg("kafka.Kafka")
            .arg(self.folder.join("server.properties"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            // It says "Killed", which is no news.
            .stderr(Stdio::null())
            // An interrupt from the terminal is for the tests; what ends the broker is the pipe.
            .process_group(0)
            .spawn()
            .unwrap();
        self.supervisor = Some(java);
        eventually("a broker that was started serves", || {
            if self.folder.join("ended").exists() {
                return Some(Err(self.log_end()));
            }
            self.kafka.is_serving(Duration::from_millis(500)).then_some(Ok(()))
        })
    }

    fn end(&mut self, word: &[u8]) {
        let Some(mut supervisor) = self.supervisor.take() else {
            return;
        };
        if let Some(mut pipe) = supervisor.stdin.take() {
            // When the shell is gone already, so is the broker.
            pipe.write_all(word).ok();
        }
        supervisor.wait().unwrap();
    }

    fn log_end(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        lossy(&log[log.len().saturating_sub(4000)..])
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            say(&format!("the end of the log of {}:\n{}", self.kafka.brokers, self.log_end()));
        }
        self.end(b"");
        // The shell did this already, unless the broker was killed before.
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// Two ports that nobody listens on. From below the range that systems take ports for connections from: a client that
/// tries a dead broker's port again and again could otherwise connect to itself and hold it.
fn free_ports() -> (u16, u16) {
    eventually("two free ports", || {
        let random = uuid::Uuid::new_v4().into_bytes();
        let port = 15_000 + u16::from_be_bytes([random[0], random[1]]) % 15_000;
        let both = (TcpListener::bind(("127.0.0.1", port)), TcpListener::bind(("127.0.0.1", port + 1)));
        matches!(both, (Ok(_), Ok(_))).then_some((port, port + 1))
    })
}

fn server_properties(folder: &Path, port: u16, controller: u16, settings: &[(&str, &str)]) -> String {
    let mut text = format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=5
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.retention.check.interval.ms=2000
log.initial.task.delay.ms=500
auto.create.topics.enable=false
# Without these two a broker that was killed is fenced for 12 s.
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
",
        folder.display()
    );
    // The last of several lines with one key counts.
    for (key, value) in settings {
        text.push_str(&format!("{key}={value}\n"));
    }
    text
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
