//! What is to run: an app's functions, topics, routes, schedules and schemas, as `app.toml` describes them.
//!
//! [`manifest`] turns the file into an [`App`], or into faults that name line and column; [`schemas`] compiles the JSON
//! Schemas. Everything here is read once at start and never changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::broker::From;

pub mod fault;
pub mod manifest;
pub mod schemas;

/// An app: everything that one `app.toml` describes.
#[derive(Clone, Debug)]
pub struct App {
    /// Its name. Everything that the host owns on Kafka begins with it.
    pub name: String,
    /// The folder that holds `app.toml`.
    pub root: PathBuf,
    /// By name.
    pub topics: BTreeMap<Arc<str>, TopicSpec>,
    /// What the public listener serves, in the manifest's order.
    pub routes: Vec<Route>,
    /// In the manifest's order.
    pub functions: Vec<Arc<Function>>,
    /// In the manifest's order.
    pub schedules: Vec<Schedule>,
    /// How many workers each consumer group has; a group that is not named has one.
    pub workers: BTreeMap<String, usize>,
}

impl App {
    /// The topic that takes error events.
    pub const ERROR_TOPIC: &'static str = "error";

    /// The functions of each consumer group, by the group's full name: `<app>`, or `<app>.<group>`.
    pub fn groups(&self) -> BTreeMap<String, Vec<Arc<Function>>> {
        let mut groups: BTreeMap<String, Vec<Arc<Function>>> = BTreeMap::new();
        for function in &self.functions {
            groups.entry(self.group_of(function)).or_default().push(Arc::clone(function));
        }
        groups
    }

    /// The full name of a function's consumer group.
    pub fn group_of(&self, function: &Function) -> String {
        match &function.group {
            None => self.name.clone(),
            Some(group) => format!("{}.{group}", self.name),
        }
    }

    /// The changelog of a function's state for one of its input topics. A change of this form orphans all state.
    pub fn changelog(&self, function: &str, input: &str) -> String {
        format!("{}.{function}.{input}.state", self.name)
    }

    /// Every changelog: its name, and the input topic whose partition count it must have.
    pub fn changelogs(&self) -> BTreeMap<String, Arc<str>> {
        let inputs = |f: &Arc<Function>| {
            f.input.iter().map(|topic| (self.changelog(&f.name, topic), Arc::clone(topic))).collect::<Vec<_>>()
        };
        self.functions.iter().flat_map(inputs).collect()
    }

    /// The topic that says which version of each function is active, for every host of the app.
    pub fn deployments_topic(&self) -> String {
        format!("{}.deployments", self.name)
    }

    /// The topic that says how far each schedule has come, for every host of the app. There is one when there are schedules.
    pub fn schedules_topic(&self) -> Option<String> {
        (!self.schedules.is_empty()).then(|| format!("{}.schedules", self.name))
    }

    /// The functions that read the topic of error events, or what those publish, and so on: what becomes of their own failures must
    /// not come back to them.
    pub fn fed_by_errors(&self) -> BTreeSet<&str> {
        let mut topics = BTreeSet::from([Self::ERROR_TOPIC]);
        let mut functions = BTreeSet::new();
        loop {
            let reads = |f: &&Arc<Function>| f.input.iter().any(|topic| topics.contains(&**topic));
            let found: Vec<_> = self.functions.iter().filter(reads).collect();
            topics = topics.iter().copied().chain(found.iter().flat_map(|f| f.output.iter().map(|t| &**t))).collect();
            let known = functions.len();
            functions.extend(found.into_iter().map(|f| f.name.as_str()));
            if functions.len() == known {
                return functions;
            }
        }
    }

    /// What was made of the app's sources.
    pub fn build_folder(&self) -> PathBuf {
        self.root.join("build")
    }

    /// The file that holds a function's component: what `fnhost build` makes of a crate, or the file itself.
    pub fn component_file(&self, function: &Function) -> PathBuf {
        match &function.source {
            Source::Crate(_) => self.build_folder().join(&function.name).with_extension("wasm"),
            Source::Component(file) => file.clone(),
        }
    }

    /// The folder of a function's own: that of its crate. For a component file, and for a crate beside `app.toml` itself,
    /// it is the one there that has the function's name.
    pub fn function_folder(&self, function: &Function) -> PathBuf {
        let parts = |path: &Path| path.components().filter(|part| *part != Component::CurDir).collect::<PathBuf>();
        match &function.source {
            Source::Crate(folder) if parts(folder) != parts(&self.root) => folder.clone(),
            Source::Crate(_) | Source::Component(_) => self.root.join(&function.name),
        }
    }

    /// The input topics of a group's functions.
    pub fn inputs(functions: &[Arc<Function>]) -> BTreeSet<Arc<str>> {
        functions.iter().flat_map(|f| f.input.iter().cloned()).collect()
    }
}

/// A topic as the app wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// How many partitions. 6 unless told otherwise.
    pub partitions: i32,
    /// How many replicas; the broker's default unless told otherwise.
    pub replication: Option<i32>,
    /// `retention.ms`. Three days unless told otherwise.
    pub retention: Duration,
    /// `max.message.bytes`: the largest record batch. Kafka's own default (1,048,588 bytes) unless told otherwise.
    pub message_bytes_max: u64,
    /// The schema that every value written to it must fit, by the name of its file in `schemas/`.
    pub schema: Option<String>,
    /// Whether what functions publish to it is held against the schema. On unless switched off.
    pub validate: bool,
}

/// One way in over HTTP: what becomes of a request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method, such as `POST`.
    pub method: String,
    /// The path, such as `/orders`.
    pub path: String,
    /// The schema of the body.
    pub body: String,
    /// The topic that the event goes to.
    pub topic: Arc<str>,
    /// The CloudEvents `type` of the event.
    pub event_type: String,
    /// The member of `data` that holds the body, such as `order`.
    pub member: String,
    /// Where in the body the id stands (a JSON Pointer, RFC 6901). Also the event's subject and the record's key.
    pub id: String,
    /// The largest body.
    pub body_bytes_max: usize,
}

/// What wakes functions: an event at the beginning of every slot of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Its name, unique in the app.
    pub name: String,
    /// How long a slot is. Slots begin at whole multiples of it since the Unix epoch. A second at least.
    pub every: Duration,
    /// Every partition of it gets the tick.
    pub topic: Arc<str>,
}

impl Schedule {
    /// The least that a slot may last.
    pub const EVERY_MIN: Duration = Duration::from_secs(1);
}

/// A function as the manifest describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name, unique in the app.
    pub name: String,
    /// Where its component comes from.
    pub source: Source,
    /// The topics it reads.
    pub input: Vec<Arc<str>>,
    /// The topics it may write to.
    pub output: Vec<Arc<str>>,
    /// What `wasi:config` gives it.
    pub config: BTreeMap<String, String>,
    /// What one invocation may use.
    pub limits: Limits,
    /// What happens when it asks for another try.
    pub retry: Retry,
    /// A consumer group of its own; `None` shares the app's.
    pub group: Option<String>,
    /// Where its group begins in a partition that it has no position in.
    pub from: From,
}

/// Where a function's component comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A crate: its folder. `fnhost build` puts its component into the app's `build` folder.
    Crate(PathBuf),
    /// A component file.
    Component(PathBuf),
}

/// What one invocation may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long it may run: what its thread spends on it, however busy the machine is. 250 ms unless told otherwise.
    pub time: Duration,
    /// Linear memory, in bytes. 32 MiB unless told otherwise, [`Limits::MEMORY_BYTES_MAX`] at most.
    pub memory_bytes: usize,
    /// All outputs together, in bytes. 256 KiB unless told otherwise.
    pub output_bytes: usize,
}

impl Limits {
    /// The most linear memory that a function may be given.
    pub const MEMORY_BYTES_MAX: usize = 64 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_millis(250), memory_bytes: 32 << 20, output_bytes: 256 << 10 }
    }
}

/// What happens when a function asks for another try: in place, with a back-off that doubles from `backoff_min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often it is tried in all. 5 unless told otherwise.
    pub attempts: u32,
    /// The first wait. 50 ms unless told otherwise.
    pub backoff_min: Duration,
    /// The longest wait. 2 s unless told otherwise.
    pub backoff_max: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 5, backoff_min: Duration::from_millis(50), backoff_max: Duration::from_secs(2) }
    }
}

impl Retry {
    /// The wait after attempt number `attempt` (from 1).
    pub fn backoff(&self, attempt: u32) -> Duration {
        let doubled = self.backoff_min.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
        doubled.min(self.backoff_max)
    }
}
