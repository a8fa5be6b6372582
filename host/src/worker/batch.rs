//! Handling a batch: events go in, verdicts come out, in the order of the events.
//!
//! Each event is handled by every function that reads its topic; each pair of event and function is one [`Work`] with one
//! verdict. Later events of the batch see the state that earlier ones left. A batch that runs out of time, or whose effects
//! are many bytes, stops between two events: what was not begun is handled in the next one. Nothing here talks to the broker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::plan::{Plan, Planned};
use super::shadow::Kept;
use super::state::Store;
use super::verdict::{Next, Verdict, decide};
use super::{Clock, Stores};
use crate::admin::metrics::Invocations;
use crate::admin::status::WorkerStatus;
use crate::app::schemas::Mismatch;
use crate::event::{Class, Digest, Effects, Event, Failure, Outcome, trace};
use crate::invocation::{Call, Handler, View};

/// One event for one function.
#[derive(Debug)]
pub struct Work {
    /// The event's index in the batch.
    pub event: usize,
    /// The function's index in the plan.
    pub function: usize,
    /// Which version handled it.
    pub version: Digest,
    /// What becomes of it.
    pub verdict: Verdict,
    /// When it failed, in milliseconds since the Unix epoch; 0 when it did not.
    pub failed_at_ms: u64,
    /// For the function's candidate, if it has one.
    pub kept: Option<Box<Kept>>,
}

/// When a sampled event's work was begun and decided, by the worker's clock.
#[derive(Debug)]
pub struct Timed {
    /// The work's index.
    pub work: usize,
    /// When it was begun.
    pub began: Duration,
    /// When it was decided.
    pub ended: Duration,
}

/// A batch after its handlers.
#[derive(Debug, Default)]
pub struct Handled {
    /// One for each event and function that reads it.
    pub works: Vec<Work>,
    /// How many of the events were handled.
    pub events: usize,
    /// Those of the works that spans are made of: none where nobody records any.
    pub timed: Vec<Timed>,
}

/// Failures that were decided after a first attempt to commit, by event and function.
pub type Decided = BTreeMap<(usize, usize), Failure>;

/// What a batch is handled with.
#[derive(Clone, Copy)]
pub struct Handling<'a> {
    /// The group's work.
    pub plan: &'a Plan,
    /// The version of each function of the plan, by index.
    pub versions: &'a [Arc<dyn Handler>],
    /// What is known already.
    pub decided: &'a Decided,
    /// Time, for limits and metrics.
    pub clock: &'a dyn Clock,
    /// Beaten before each attempt: a slow function is no dead worker.
    pub status: &'a WorkerStatus,
    /// The functions that have a candidate, by index.
    pub shadowed: &'a BTreeSet<usize>,
}

impl Handling<'_> {
    /// Handles `events` until they end, the batch's time does, or its effects are as many bytes as it may have.
    pub fn handle(&self, events: &[Event], stores: &mut Stores) -> Handled {
        let begun = self.clock.now();
        let limits = self.plan.limits;
        let mut effects_bytes = 0_usize;
        let mut handled = Handled::default();
        let mut timed: Vec<Option<Invocations>> = vec![None; self.versions.len()];
        for (index, event) in events.iter().enumerate() {
            let is_late = self.clock.now().saturating_sub(begun) >= limits.time_max;
            if index > 0 && (is_late || effects_bytes >= limits.effects_bytes_max) {
                break;
            }
            for function in self.plan.readers(event) {
                if let (Some(planned), Some(handler), Some(timed)) =
                    (self.plan.functions.get(*function), self.versions.get(*function), timed.get_mut(*function))
                {
                    let origin = handled.works.len();
                    let store = stores.entry((*function, event.partition.clone())).or_default();
                    let is_recorded = self.plan.spans.is_some() && trace::is_sampled(event);
                    let began = is_recorded.then(|| self.clock.now());
                    let (verdict, took) = match self.decided.get(&(index, *function)) {
                        Some(failure) => (Verdict::Fail { failure: failure.clone(), attempts: 1 }, Duration::ZERO),
                        None => {
                            let timed = timed.get_or_insert_with(|| planned.metrics.invocations(handler.digest()));
                            self.attempt(planned, handler.as_ref(), timed, event, store)
                        }
                    };
                    let timed = began.map(|began| Timed { work: origin, began, ended: self.clock.now() });
                    handled.timed.extend(timed);
                    effects_bytes = effects_bytes.saturating_add(match &verdict {
                        Verdict::Apply(effects) => effects.size_bytes(),
                        Verdict::Fail { .. } => event.size_bytes(),
                    });
                    let is_shadowed = self.shadowed.contains(function);
                    let kept = is_shadowed.then(|| Box::new(Kept { verdict: verdict.clone(), took }));
                    let work = self.work(index, *function, handler.digest(), verdict, store, origin);
                    handled.works.push(Work { kept, ..work });
                }
            }
            handled.events = index + 1;
        }
        handled
    }

    /// Notes a verdict; state changes of an applied one are laid over the store at once, for the events that follow.
    fn work(
        &self,
        event: usize,
        function: usize,
        version: Digest,
        mut verdict: Verdict,
        store: &mut Arc<Store>,
        origin: usize,
    ) -> Work {
        let mut failed_at_ms = 0;
        match &mut verdict {
            Verdict::Apply(effects) if !effects.changes.is_empty() => {
                Arc::make_mut(store).lay(std::mem::take(&mut effects.changes), origin);
            }
            Verdict::Apply(_) => {}
            Verdict::Fail { .. } => failed_at_ms = self.clock.wall_ms(),
        }
        Work { event, function, version, verdict, failed_at_ms, kept: None }
    }

    /// Invokes until there is a verdict. With it, what the last invocation took.
    fn attempt(
        &self,
        planned: &Planned,
        handler: &dyn Handler,
        timed: &Invocations,
        event: &Event,
        store: &Arc<Store>,
    ) -> (Verdict, Duration) {
        let seed = planned.seed(event);
        let mut attempt = 1;
        loop {
            self.status.beat();
            let began = self.clock.now();
            let state: Arc<dyn View> = Arc::<Store>::clone(store);
            let outcome = handler.handle(Call { event, function: &planned.function, seed, state, stop: None });
            let took = self.clock.now().saturating_sub(began);
            timed.took(took);
            match decide(checked(self.plan, outcome), attempt, &planned.function.retry) {
                Next::Decided(verdict) => {
                    if let Verdict::Fail { failure, attempts } = &verdict {
                        tracing::debug!(
                            function = planned.function.name, class = %failure.class, attempts, topic = %event.partition.topic,
                            partition = event.partition.number, offset = event.offset, "the event failed",
                        );
                    }
                    return (verdict, took);
                }
                Next::Wait(wait) => {
                    planned.metrics.retry();
                    self.clock.sleep(wait);
                    attempt += 1;
                }
            }
        }
    }
}

/// Holds what a function wants to publish against the schemas of its topics.
pub(super) fn checked(plan: &Plan, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Completed(effects) => match mismatch(plan, &effects) {
            None => Outcome::Completed(effects),
            Some(reason) => Outcome::Failed(Failure::new(Class::SchemaMismatch, reason)),
        },
        other => other,
    }
}

fn mismatch(plan: &Plan, effects: &Effects) -> Option<String> {
    effects.outputs.iter().find_map(|output| {
        let schema = plan.schemas.get(&output.topic)?;
        let found = match &output.value {
            None => "its value is null".to_owned(),
            Some(value) => schema.check_bytes(value).err().map(|all| describe(&all))?,
        };
        Some(format!("an output to `{}` does not fit its schema: {found}", output.topic))
    })
}

fn describe(mismatches: &[Mismatch]) -> String {
    let all: Vec<String> = mismatches.iter().map(|m| format!("{}: {}", m.pointer, m.detail)).collect();
    all.join("; ")
}
