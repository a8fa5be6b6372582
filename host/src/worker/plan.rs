//! What the workers of one consumer group have to know of the app, looked up once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::descent;
use super::error_event::ErrorTopic;
use crate::admin::metrics::FunctionMetrics;
use crate::app::schemas::Schema;
use crate::app::{App, Function};
use crate::broker::From;
use crate::event::{Event, Partition};
use crate::spans::Spans;

/// One function of the group.
pub struct Planned {
    /// As the manifest has it.
    pub function: Arc<Function>,
    /// Where what happens to it is counted.
    pub metrics: FunctionMetrics,
    /// The changelog of its state, by input topic.
    pub changelogs: BTreeMap<Arc<str>, Arc<str>>,
    /// Whether error events come to it, or what others made of them.
    pub is_fed_by_errors: bool,
    /// The app's secret and the function's name, hashed as far as they are the same for every event.
    seeds: Hmac<Sha256>,
}

impl Planned {
    /// Where the random numbers of every attempt at `event` begin. Repeats on replay, and nobody without the secret can
    /// tell it. A change of what goes in changes what functions published.
    pub fn seed(&self, event: &Event) -> [u8; 32] {
        let mut seed = self.seeds.clone();
        seed.update(event.partition.topic.as_bytes());
        seed.update(&[0]);
        seed.update(&event.partition.number.to_be_bytes());
        seed.update(&event.offset.to_be_bytes());
        seed.finalize().into_bytes().into()
    }
}

/// What bounds a batch, whichever is reached first. A batch also closes when nothing more is waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Events.
    pub events_max: usize,
    /// Bytes of events.
    pub bytes_max: usize,
    /// Bytes of outputs and state changes. The event that reaches it is the batch's last one.
    pub effects_bytes_max: usize,
    /// Time spent in handlers and in waits before retries.
    pub time_max: Duration,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self { events_max: 2000, bytes_max: 4 << 20, effects_bytes_max: 16 << 20, time_max: Duration::from_millis(500) }
    }
}

/// The work of one consumer group.
pub struct Plan {
    /// The app's name.
    pub app: String,
    /// The group's full name.
    pub group: String,
    /// Which host, for error events.
    pub instance: String,
    /// Its functions.
    pub functions: Vec<Planned>,
    /// By topic.
    readers: BTreeMap<Arc<str>, Vec<usize>>,
    /// What values of an output topic are held against.
    pub schemas: BTreeMap<Arc<str>, Arc<Schema>>,
    /// Where error events go.
    pub error_topic: ErrorTopic,
    /// What bounds a batch.
    pub limits: BatchLimits,
    /// Where spans of sampled events go, if anywhere.
    pub spans: Option<Arc<Spans>>,
}

/// What a plan is made from, beside the app.
pub struct Parts<'a> {
    /// The secret for the seeds of guests' random numbers.
    pub secret: &'a [u8],
    /// Which host.
    pub instance: &'a str,
    /// The schema of a topic that is to be validated.
    pub schema: &'a dyn Fn(&str) -> Option<Arc<Schema>>,
    /// Where what happens to a function is counted.
    pub metrics: &'a dyn Fn(&str) -> FunctionMetrics,
    /// What bounds a batch.
    pub limits: BatchLimits,
}

impl Plan {
    /// The plan of `group`, whose functions are `functions`.
    pub fn new(app: &App, group: &str, functions: &[Arc<Function>], parts: &Parts<'_>) -> Self {
        let mut readers: BTreeMap<Arc<str>, Vec<usize>> = BTreeMap::new();
        let mut planned = Vec::new();
        let fed_by_errors = app.fed_by_errors();
        for (index, function) in functions.iter().enumerate() {
            for topic in &function.input {
                readers.entry(Arc::clone(topic)).or_default().push(index);
            }
            let changelog = |topic: &Arc<str>| (Arc::clone(topic), app.changelog(&function.name, topic).into());
            planned.push(Planned {
                function: Arc::clone(function),
                metrics: (parts.metrics)(&function.name),
                changelogs: function.input.iter().map(changelog).collect(),
                is_fed_by_errors: fed_by_errors.contains(function.name.as_str()),
                seeds: seeds(parts.secret, &function.name),
            });
        }
        let outputs = functions.iter().flat_map(|f| f.output.iter());
        let validated = |topic: &Arc<str>| {
            let spec = app.topics.get(topic).filter(|spec| spec.validate)?;
            Some((Arc::clone(topic), (parts.schema)(spec.schema.as_deref()?)?))
        };
        Self {
            app: app.name.clone(),
            group: group.to_owned(),
            instance: parts.instance.to_owned(),
            functions: planned,
            readers,
            schemas: outputs.filter_map(validated).collect(),
            error_topic: error_topic(app),
            limits: parts.limits,
            spans: None,
        }
    }

    /// The same plan with spans of what is sampled.
    #[must_use]
    pub fn recorded_by(self, spans: Option<Arc<Spans>>) -> Self {
        Self { spans, ..self }
    }

    /// What the group subscribes to.
    pub fn topics(&self) -> BTreeMap<Arc<str>, From> {
        let from = |readers: &Vec<usize>| readers.iter().find_map(|i| self.functions.get(*i)).map(|p| p.function.from);
        self.readers.iter().map(|(topic, readers)| (Arc::clone(topic), from(readers).unwrap_or_default())).collect()
    }

    /// The longest that one event may keep its worker, over every function that reads it: attempts and waits.
    pub fn event_time_max(&self) -> Duration {
        let of = |planned: &Planned| {
            let (retry, time) = (planned.function.retry, planned.function.limits.time);
            let waits: Duration = (1..retry.attempts).map(|attempt| retry.backoff(attempt)).sum();
            time.saturating_mul(retry.attempts).saturating_add(waits)
        };
        self.functions.iter().map(of).sum()
    }

    /// The functions that handle an event, by their index in `functions`. What became of error events never comes back as one.
    pub fn readers(&self, event: &Event) -> &[usize] {
        match self.readers.get(&event.partition.topic) {
            Some(readers) if event.partition.topic != self.error_topic.name || !descent::is_marked(event) => readers,
            _ => &[],
        }
    }

    /// The functions that read a partition's topic, each with the changelog partition of its state there.
    pub fn states(&self, partition: &Partition) -> impl Iterator<Item = (usize, Partition)> {
        let readers = self.readers.get(&partition.topic).map_or(&[][..], Vec::as_slice);
        readers.iter().filter_map(move |index| {
            let changelog = self.functions.get(*index)?.changelogs.get(&partition.topic)?;
            Some((*index, Partition::new(Arc::clone(changelog), partition.number)))
        })
    }
}

/// An app without functions has no error topic either, and no error events.
fn error_topic(app: &App) -> ErrorTopic {
    let bytes = app.topics.get(App::ERROR_TOPIC).map_or(u64::MAX, |spec| spec.message_bytes_max);
    ErrorTopic { name: App::ERROR_TOPIC.into(), message_bytes_max: usize::try_from(bytes).unwrap_or(usize::MAX) }
}

fn seeds(secret: &[u8], function: &str) -> Hmac<Sha256> {
    // HMAC takes keys of any length; an empty one is what the error would stand for, and the host never has that.
    let mut seeds = Hmac::<Sha256>::new_from_slice(secret).unwrap_or_else(|_| Hmac::<Sha256>::new(&Default::default()));
    seeds.update(function.as_bytes());
    seeds.update(&[0]);
    seeds
}
