//! Functions as a worker runs them, without a broker: an event goes in, what its transaction would hold comes out.
//!
//! Outcome, verdict, retries, schemas, state and records are the worker's own ([`Handling`], [`transaction::build`]); a
//! transaction is taken as committed as soon as it is built. What is put in place of a broker: topics of one partition
//! each, and a clock that stands still, so a wait before a retry is over at once. So the same events give the same bytes.
//! What only a broker decides does not happen here: whether a record is too large, or may be written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::ending::{Ending, ErrorEvent, Failed, FlowEnding};
use super::log::{Line, Log};
use crate::admin::metrics::Metrics;
use crate::admin::status::{SILENCE_MAX, Status, WorkerStatus, uptime};
use crate::app::fault::{Fault, Faults};
use crate::app::schemas::Schemas;
use crate::app::{App, Function};
use crate::deploy::Versions;
use crate::event::{Digest, Event, Offset, Partition, Record};
use crate::form::{Pair, Published};
use crate::invocation::Handler;
use crate::worker::batch::{Decided, Handled, Handling, Work};
use crate::worker::error_event::VERSION_HEADER;
use crate::worker::plan::{BatchLimits, Parts, Plan};
use crate::worker::transaction::{self, Origin};
use crate::worker::verdict::Verdict;
use crate::worker::{Clock, Stores};

/// What functions' random numbers come from. A change of it changes what came out of every function that draws some.
const SECRET: &[u8] = b"fnhost scenarios";
/// Events that a flow may lead to.
const FLOW_EVENTS_MAX: usize = 10_000;

/// An app whose functions can be run.
pub struct Bench {
    app: App,
    schemas: Schemas,
    versions: Versions,
    metrics: Arc<Metrics>,
    log: Log,
}

/// What became of an event for one function.
#[derive(Debug)]
pub struct Ended {
    /// Which version handled it.
    pub version: Digest,
    /// How it ended.
    pub ending: Ending,
    /// What the function said.
    pub log: Vec<Line>,
}

/// What became of an event, for each function that reads it.
type Works = Vec<(Arc<Function>, Ended)>;

impl Bench {
    /// A bench for `app`. `versions` has every function that will be run.
    ///
    /// # Errors
    /// When metrics cannot be set up, which is a fault of the host.
    pub fn new(app: App, schemas: Schemas, versions: Versions) -> Result<Self, prometheus::Error> {
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"))?;
        Ok(Self { app, schemas, versions, metrics, log: Log::new() })
    }

    /// The app.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Hands `events` to one function, one after the other. `state` is what it has before the first.
    pub(super) fn run(
        &self,
        function: &Arc<Function>,
        state: Vec<Pair>,
        events: Vec<Event>,
    ) -> Result<Vec<Ended>, Faults> {
        let mut run = self.begin(std::slice::from_ref(function))?;
        for (topic, key, value) in state {
            let store = run.stores.entry((0, Partition::new(topic, 0))).or_default();
            Arc::make_mut(store).restore(key, Some(value));
        }
        let mut all = Vec::new();
        for event in events {
            let (_, works, _) = run.handle(event, &self.log)?;
            all.extend(works.into_iter().map(|(_, ended)| ended));
        }
        Ok(all)
    }

    /// Puts `events` on topics, and hands every event that is there to the functions that read it until nothing is left.
    pub(super) fn flow(&self, events: Vec<Event>) -> Result<(FlowEnding, Vec<Line>), Faults> {
        let mut run = self.begin(&self.app.functions)?;
        let mut ending = FlowEnding::default();
        let mut log = Vec::new();
        let mut left: VecDeque<Event> = events.into();
        let mut count = 0;
        while let Some(event) = left.pop_front() {
            count += 1;
            if count > FLOW_EVENTS_MAX {
                let fault = Fault::new(format!("the flow has not ended after {FLOW_EVENTS_MAX} events"));
                return Err(fault.hint("do functions of the app write to topics that lead back to themselves?").into());
            }
            let (event, works, failed) = run.handle(event, &self.log)?;
            left.extend(failed);
            for (function, ended) in works {
                log.extend(ended.log);
                if let Some(failed) = ended.ending.failure {
                    let (topic, key) = (event.partition.topic.to_string(), event.key.clone());
                    ending.errors.push(ErrorEvent { function: function.name.clone(), topic, key, failed });
                }
                for mut output in ended.ending.outputs {
                    let Some(topic) = output.topic.take() else { continue };
                    left.push_back(written(&topic, &output, &event));
                    ending.published.entry(topic).or_default().push(output);
                }
            }
        }
        Ok((ending, log))
    }

    /// Topics on which nothing is yet, and the functions that will read them.
    fn begin(&self, functions: &[Arc<Function>]) -> Result<Run, Faults> {
        let parts = Parts {
            secret: SECRET,
            instance: "bench",
            schema: &|name| self.schemas.get(name),
            metrics: &|name| self.metrics.function(name),
            limits: BatchLimits::default(),
        };
        let version = |function: &Arc<Function>| {
            let version = self.versions.get(&function.name).cloned();
            version.ok_or_else(|| Fault::new(format!("function `{}` has no component", function.name)))
        };
        Ok(Run {
            versions: functions.iter().map(version).collect::<Result<_, _>>()?,
            plan: Plan::new(&self.app, &self.app.name, functions, &parts),
            status: Status::new(&self.app, SILENCE_MAX, uptime()).worker("bench", &self.app.name),
            stores: Stores::new(),
            offsets: BTreeMap::new(),
        })
    }
}

/// The event that an output is for whoever reads it. It comes at the time of the event that it answers.
fn written(topic: &Arc<str>, output: &Published, answered: &Event) -> Event {
    let Published { key, headers, value, .. } = output.clone();
    let timestamp_ms = answered.timestamp_ms;
    Event { partition: Partition::new(Arc::clone(topic), 0), offset: 0, timestamp_ms, key, value, headers }
}

/// The event that an error event is for whoever reads it. It comes at the time of the event that failed.
fn failed_event(record: &Record, failed: &Event) -> Event {
    let Record { topic, key, headers, value, .. } = record.clone();
    Event { partition: Partition::new(topic, 0), offset: 0, timestamp_ms: failed.timestamp_ms, key, value, headers }
}

/// Topics with what was put on them, and the functions that read them.
struct Run {
    plan: Plan,
    /// By the function's index in the plan.
    versions: Vec<Arc<dyn Handler>>,
    status: WorkerStatus,
    stores: Stores,
    /// Of the next event on each topic.
    offsets: BTreeMap<Arc<str>, Offset>,
}

impl Run {
    /// Puts an event on its topic, and hands it to each function that reads that; gives it as it lies there, what became of it
    /// for each, and the error events of it.
    fn handle(&mut self, mut event: Event, log: &Log) -> Result<(Event, Works, Vec<Event>), Fault> {
        let offset = self.offsets.entry(Arc::clone(&event.partition.topic)).or_default();
        event.offset = *offset;
        *offset += 1;
        let events = [event];
        let handling = Handling {
            plan: &self.plan,
            versions: &self.versions,
            decided: &Decided::new(),
            clock: &Still { wall_ms: events[0].timestamp_ms.unwrap_or(0) },
            status: &self.status,
            shadowed: &BTreeSet::new(),
        };
        let (mut handled, lines) = log.of(|| handling.handle(&events, &mut self.stores));
        let built = transaction::build(&self.plan, &events, &mut handled, &self.stores, 0)
            .map_err(|error| Fault::new(format!("an error event cannot be written: {error}")))?;
        for store in self.stores.values_mut() {
            Arc::make_mut(store).apply(None, 0);
        }
        let records = built.transaction.as_ref().map_or(&[][..], |transaction| transaction.records());
        let ended = self.ended(&handled, records.iter().zip(&built.origins), lines);
        let [event] = events;
        let failed = records.iter().zip(&built.origins).filter(|(_, origin)| matches!(origin, Origin::ErrorEvent(_)));
        let failed = failed.map(|(record, _)| failed_event(record, &event)).collect();
        Ok((event, ended, failed))
    }

    /// What a transaction's records say of each work.
    fn ended<'a>(
        &self,
        handled: &Handled,
        records: impl Iterator<Item = (&'a Record, &'a Origin)>,
        lines: Vec<Line>,
    ) -> Works {
        let mut endings: Vec<Ending> = handled.works.iter().map(|work| ending_of(&work.verdict)).collect();
        for (record, origin) in records {
            // Of an error event, the verdict says all.
            let Origin::Effect(work) = origin else { continue };
            let Some(ending) = endings.get_mut(*work) else { continue };
            let Record { topic, partition, key, value, mut headers } = record.clone();
            // Another one with every build, and nothing of the function's.
            headers.retain(|header| header.name != VERSION_HEADER);
            match partition {
                // A change of state goes to its own partition of the changelog; for what is published the key decides.
                Some(_) => ending.changes.push((key.unwrap_or_default(), value)),
                None => ending.outputs.push(Published { topic: Some(topic), key, headers, value }),
            }
        }
        let of_work = |(work, ending): (&Work, Ending)| {
            let function = Arc::clone(&self.plan.functions.get(work.function)?.function);
            let log = lines.iter().filter(|line| line.function == function.name).cloned().collect();
            Some((function, Ended { version: work.version, ending, log }))
        };
        handled.works.iter().zip(endings).filter_map(of_work).collect()
    }
}

/// What the verdict alone says.
fn ending_of(verdict: &Verdict) -> Ending {
    match verdict {
        Verdict::Apply(_) => Ending::default(),
        Verdict::Fail { failure, attempts } => {
            let failed = Failed { failure: failure.clone(), attempts: *attempts };
            Ending { failure: Some(failed), ..Ending::default() }
        }
    }
}

/// A clock that stands still when the event was written: waits are over at once, and nothing depends on when it is run.
struct Still {
    wall_ms: u64,
}

impl Clock for Still {
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn wall_ms(&self) -> u64 {
        self.wall_ms
    }

    fn sleep(&self, _: Duration) {}
}
