//! Why a verb failed, and how that is printed: `error:`, `caused by:` for each cause, a blank line, `hint:`.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitCode, ExitStatus};

use rustix::process::Signal;

use super::paths;
use crate::app::fault::Faults;
use crate::{broker, config};

/// How the process ends. Written in `--help`: scripts rely on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what was asked.
    Done = 0,
    /// Something that the user can mend: the app, the configuration, the broker.
    Fault = 1,
    /// A command line that cannot be read.
    Usage = 2,
    /// A fault of fnhost itself (`EX_SOFTWARE`).
    Internal = 70,
    /// Ctrl-C, before it was done: 128 and the number of the signal, as shells have it.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a verb failed.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    what: What,
    hint: Option<String>,
}

#[derive(Debug)]
enum What {
    Error(anyhow::Error),
    Faults(Faults),
    /// Everything was said already, or nobody listens.
    Quiet,
}

impl Failure {
    /// Something that the user can mend.
    pub fn fault(error: impl Into<anyhow::Error>) -> Self {
        Self { exit: Exit::Fault, what: What::Error(error.into()), hint: None }
    }

    /// A fault of fnhost itself.
    pub fn internal(error: impl Into<anyhow::Error>) -> Self {
        let hint = Some(format!("this is a fault of fnhost {}: please report it", env!("CARGO_PKG_VERSION")));
        Self { exit: Exit::Internal, what: What::Error(error.into()), hint }
    }

    /// Ctrl-C, before it was done: whoever pressed it knows.
    pub fn interrupted() -> Self {
        Self { exit: Exit::Interrupted, what: What::Quiet, hint: None }
    }

    /// Whether it is no more than Ctrl-C.
    pub fn is_interruption(&self) -> bool {
        self.exit == Exit::Interrupted
    }

    /// Something that the user can mend, and that is printed already.
    pub fn printed() -> Self {
        Self { exit: Exit::Fault, what: What::Quiet, hint: None }
    }

    /// The same failure with what mends it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The same failure as the cause of another error.
    #[must_use]
    pub fn context(self, message: String) -> Self {
        let what = match self.what {
            What::Error(error) => What::Error(error.context(message)),
            what => what,
        };
        Self { what, ..self }
    }

    /// A file or folder at `place` that could not be written, with what mends it.
    pub fn unwritten(error: anyhow::Error, place: &Path) -> Self {
        let there = paths::written(place.ancestors().find(|folder| folder.exists()).unwrap_or_else(|| Path::new("")));
        let kind = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
        let hint = match kind {
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => "free some space on its disk: df -h",
            Some(io::ErrorKind::ReadOnlyFilesystem) => "work in a folder that is not mounted read-only: findmnt -T",
            _ => "let the user who runs fnhost write there: ls -ld",
        };
        Self::fault(error).hint(format!("{hint} {}", there.display()))
    }

    /// The same failure with one thing more that mends it.
    #[must_use]
    pub fn more(self, hint: &str) -> Self {
        let hint = self.hint.as_ref().map_or_else(|| hint.to_owned(), |first| format!("{first}; {hint}"));
        self.hint(hint)
    }

    /// What the broker could not do, with what mends it.
    pub fn broker(error: broker::Error, asked: &Asked<'_>) -> Self {
        match asked.hint(&error) {
            Some(hint) => Self::fault(error).hint(hint),
            None => Self::internal(error),
        }
    }

    /// The faults that it consists of, if it does.
    pub fn faults(&self) -> Option<&Faults> {
        match &self.what {
            What::Faults(faults) => Some(faults),
            What::Error(_) | What::Quiet => None,
        }
    }

    /// Prints it, and says how the process is to end.
    pub fn print(&self, out: &mut dyn Write) -> Exit {
        if !matches!(self.what, What::Quiet) {
            // When nobody hears it, the exit code still says it.
            writeln!(out, "{self}").ok();
        }
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Error(error) => write_chain(f, error)?,
            What::Faults(faults) => write!(f, "{faults}")?,
            What::Quiet => {}
        }
        match &self.hint {
            Some(hint) => write!(f, "\n\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Ctrl-C ended a process that this one waits for.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(super) struct Interrupted;

/// Whether Ctrl-C ended a child: a terminal tells every process of a command.
pub(super) fn is_interrupted(child: ExitStatus) -> bool {
    child.signal() == Some(Signal::INT.as_raw())
}

/// The error and what lies beneath. What only repeats the line above it is left out.
fn write_chain(f: &mut fmt::Formatter<'_>, error: &anyhow::Error) -> fmt::Result {
    let mut last = error.to_string();
    write!(f, "error: {last}")?;
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        if !last.contains(&text) {
            write!(f, "\n  caused by: {text}")?;
        }
        last = text;
    }
    Ok(())
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self { exit: Exit::Fault, what: What::Faults(faults), hint: None }
    }
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        let hint = error.hint();
        Self { exit: Exit::Fault, what: What::Error(error.into()), hint }
    }
}

/// Of writing to stdout: whoever read it may be gone, which is no fault.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { exit: Exit::Done, what: What::Quiet, hint: None };
        }
        Self::fault(anyhow::Error::from(error).context("stdout cannot be written"))
    }
}

/// What the broker was asked by a verb, for hints that can be pasted.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The app's folder or file, as the user named it.
    pub path: &'a Path,
    /// The app's name.
    pub app: &'a str,
    /// Where the broker is, for people.
    pub brokers: &'a str,
    /// The option that names it, such as `--brokers localhost:9092`.
    pub option: &'a str,
}

impl Asked<'_> {
    /// What mends it; `None` when that is not in the user's hands.
    fn hint(&self, error: &broker::Error) -> Option<String> {
        let Self { path, app, brokers, option } = *self;
        let path = path.display();
        let hint = match error {
            broker::Error::Away { endpoint, .. } => format!(
                "is Kafka running at {endpoint}, and does it advertise an address that can be reached from here? \
                 kafka-broker-api-versions.sh --bootstrap-server {brokers} asks it; without a Kafka, take \
                 --embedded FILE in place of --brokers"
            ),
            broker::Error::Unfit { name, .. } if name.starts_with("topic ") => {
                format!("fnhost topics plan {path} {option} says what it should have; nothing takes partitions away")
            }
            broker::Error::Unfit { .. } if option.starts_with("--embedded") => {
                "go on with a copy of the file from before, or begin anew with another one: --embedded OTHER".into()
            }
            broker::Error::Unfit { .. } => "fnhost needs a broker with transactions: Apache Kafka 3.9 or later".into(),
            broker::Error::Denied { operation, resource } => format!(
                "allow the host's user {operation} on {resource} with kafka-acls.sh --bootstrap-server {brokers} --add; \
                 all that the host itself owns begins with `{app}`, so a prefixed ACL covers it"
            ),
            broker::Error::NoSuchTopic { .. } => format!("fnhost topics apply {path} {option}"),
            broker::Error::OffsetGone { partition, .. } => format!(
                "raise `retention` of the topic in {path}, or stop its readers for less long; to go on from what is left: \
                 kafka-consumer-groups.sh --bootstrap-server {brokers} --group {app} --topic {}:{} --reset-offsets \
                 --to-earliest --execute",
                partition.topic, partition.number
            ),
            broker::Error::Shrunk { partition, .. } => format!(
                "was topic {} deleted and made again? positions and state belong to the old one: give the app another \
                 name, or delete its group and changelogs too",
                partition.topic
            ),
            broker::Error::Corrupt { partition, .. } => format!(
                "look at it with kafka-dump-log.sh on the broker that leads {partition}; another replica may be whole"
            ),
            broker::Error::Unstable { .. } => format!(
                "kafka-transactions.sh --bootstrap-server {brokers} find-hanging --broker-id N --max-transaction-timeout 1 shows where it \
                 is open; in each of these partitions, __consumer_offsets last: kafka-transactions.sh --bootstrap-server {brokers} abort --topic T --partition P --start-offset START"
            ),
            broker::Error::Fenced { name } => {
                format!(
                    "stop the other process that runs as {name}, or give this one a name of its own with --instance"
                )
            }
            broker::Error::Config { key, .. } => {
                format!(
                    "correct `{key}`, given by --kafka or --kafka-file; librdkafka's CONFIGURATION.md lists all keys"
                )
            }
            broker::Error::Refused { .. } => {
                format!("change the topic in {path} to what the broker takes, then run it again: nothing is done twice")
            }
            broker::Error::Expired { .. } | broker::Error::Bug { .. } => return None,
        };
        Some(hint)
    }
}
