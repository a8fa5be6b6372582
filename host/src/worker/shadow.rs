//! A candidate handles the events of a batch beside the active version, while their transaction is committed.
//!
//! ```text
//! handle ──▶ build ──▶ commit ─────────────────▶ apply, count what differs
//!                └──▶ a thread: the candidate ──┘ waited for a little; what it did not come to is passed over
//! ```
//!
//! Each event comes to it with the state that the active version met: what is committed, and over it what the active version changed
//! for earlier events of the batch. What it publishes, keeps and logs goes nowhere. Its thread steps back behind the others where the
//! system allows that, and the worker waits for it for a twentieth of its time at most. Then it is stopped, in the middle of an
//! invocation if need be ([`Call::stop`], within some ticks of the sandbox's clock): at full load a candidate misses events, one that is
//! much slower than the active version is cut short, and the counts of both are shown. Of a batch that was not committed nothing is counted: it is handled again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::batch::{Handled, checked};
use super::plan::{Plan, Planned};
use super::state::{Store, range};
use super::verdict::{Next, Verdict, decide};
use super::{Clock, Stores, Worker};
use crate::broker::{CommitError, Committed, Transaction};
use crate::deploy::Active;
use crate::deploy::shadow::{Compared, Counts, Example, Shadow};
use crate::event::{Class, Event, Outcome, Partition};
use crate::invocation::{Call, View};

mod compare;

/// The share of a worker's time in which it may wait for candidates: one part in this many.
const SHARE: u32 = 20;
/// How far a candidate's thread steps back: beside a busy thread it has a quarter of a core.
#[cfg(target_os = "linux")]
const NICE: i32 = 5;
/// The most time to wait that is saved up.
const SAVED_MAX: Duration = Duration::from_millis(200);

/// What the active version made of an event.
#[derive(Debug)]
pub struct Kept {
    /// Its verdict, effects and all.
    pub verdict: Verdict,
    /// What its last invocation took.
    pub took: Duration,
}

/// How long a worker may wait for candidates.
#[derive(Default)]
pub(super) struct Allowance {
    /// Saved up, in nanoseconds; less than nothing after a wait that could not be cut short.
    saved: i64,
    /// When that was so.
    at: Duration,
}

impl Allowance {
    /// What there is at `now`; `None` when more than everything was spent.
    fn left(&mut self, now: Duration) -> Option<Duration> {
        let earned = nanos(now.saturating_sub(self.at) / SHARE);
        self.saved = self.saved.saturating_add(earned).min(nanos(SAVED_MAX));
        self.at = now;
        u64::try_from(self.saved).ok().map(Duration::from_nanos)
    }

    fn spend(&mut self, waited: Duration) {
        self.saved = self.saved.saturating_sub(nanos(waited));
    }
}

/// What candidates are to handle of one batch.
struct Pass<'a> {
    plan: &'a Plan,
    works: Vec<Task<'a>>,
    stores: BTreeMap<(usize, &'a Partition), Arc<Store>>,
    clock: &'a dyn Clock,
}

/// One event for one candidate.
struct Task<'a> {
    event: &'a Event,
    function: usize,
    shadow: &'a Arc<Shadow>,
    kept: &'a Kept,
}

/// What came of a pass, by function.
type Found = BTreeMap<usize, Counts>;

impl Worker {
    /// Commits, with candidates at work meanwhile.
    pub(super) fn commit_beside(
        &mut self,
        active: &Active,
        events: &[Event],
        handled: &Handled,
        transaction: &Transaction,
    ) -> Result<Committed, CommitError> {
        if active.shadows.is_empty() {
            return self.commit(transaction);
        }
        let (plan, clock) = (Arc::clone(&self.parts.plan), Arc::clone(&self.parts.clock));
        let pass = Pass::new(&plan, events, handled, &self.stores, active, clock.as_ref());
        let found = match self.allowance.left(clock.now()) {
            _ if pass.works.is_empty() => return self.commit(transaction),
            // Stopped before it begins, it passes all over.
            None => (self.commit(transaction), pass.run(&Arc::new(AtomicBool::new(true)))),
            Some(_) => self.with_thread(&pass, transaction),
        };
        // What is kept of the batch's stores would be copied when they change.
        drop(pass);
        let (committed, found) = found;
        if committed.is_ok() {
            for (function, counts) in found {
                let Some(planned) = plan.functions.get(function) else { continue };
                let Some(shadow) = active.shadows.get(&planned.function.name) else { continue };
                planned.metrics.shadowed(&counts);
                shadow.count(counts);
            }
        }
        committed
    }

    fn with_thread(&mut self, pass: &Pass<'_>, transaction: &Transaction) -> (Result<Committed, CommitError>, Found) {
        let stop = Arc::new(AtomicBool::new(false));
        let (done, is_done) = mpsc::sync_channel::<()>(1);
        std::thread::scope(|scope| {
            let stop = &stop;
            let run = move || {
                step_back();
                // Nothing that a candidate logs is to look as if it had happened.
                let nowhere = tracing::Dispatch::none();
                let found = tracing::dispatcher::with_default(&nowhere, || pass.run(stop));
                // An error says that nobody waits any more.
                done.try_send(()).ok();
                found
            };
            let thread = std::thread::Builder::new().name("shadow".to_owned()).spawn_scoped(scope, run);
            let committed = self.commit(transaction);
            let clock = Arc::clone(&self.parts.clock);
            let ended = clock.now();
            if let Some(left) = self.allowance.left(ended) {
                // Whether it is done or not, it stops now.
                is_done.recv_timeout(left).ok();
            }
            stop.store(true, Ordering::Relaxed);
            let found = match thread.map(|thread| thread.join()) {
                Ok(Ok(found)) => found,
                Ok(Err(_)) => {
                    tracing::error!(group = self.parts.plan.group, "a candidate's thread panicked; nothing is lost");
                    Found::new()
                }
                Err(error) => {
                    tracing::warn!(%error, "no thread for a candidate can be had");
                    pass.run(stop)
                }
            };
            self.allowance.spend(clock.now().saturating_sub(ended));
            (committed, found)
        })
    }
}

/// The functions of the plan that have a candidate.
pub(super) fn shadowed(plan: &Plan, active: &Active) -> BTreeSet<usize> {
    if active.shadows.is_empty() {
        return BTreeSet::new();
    }
    let named = |(_, planned): &(usize, &Planned)| active.shadows.contains_key(&planned.function.name);
    plan.functions.iter().enumerate().filter(named).map(|(index, _)| index).collect()
}

impl<'a> Pass<'a> {
    fn new(
        plan: &'a Plan,
        events: &'a [Event],
        handled: &'a Handled,
        stores: &Stores,
        active: &'a Active,
        clock: &'a dyn Clock,
    ) -> Self {
        let mut works = Vec::new();
        let mut of_works = BTreeMap::new();
        for work in &handled.works {
            let (Some(kept), Some(event)) = (&work.kept, events.get(work.event)) else { continue };
            let name = plan.functions.get(work.function).map(|planned| planned.function.name.as_str());
            let Some(shadow) = name.and_then(|name| active.shadows.get(name)) else { continue };
            // Who handled it may be the version before the active one.
            works.push(Task { event, function: work.function, shadow, kept });
            let place = (work.function, event.partition.clone());
            if let Some(store) = stores.get(&place) {
                of_works.entry((work.function, &event.partition)).or_insert_with(|| Arc::clone(store));
            }
        }
        Self { plan, works, stores: of_works, clock }
    }

    /// Has the candidates handle event after event until it is to stop.
    fn run(&self, stop: &Arc<AtomicBool>) -> Found {
        let mut found = Found::new();
        let mut changed: BTreeMap<(usize, &Partition), Arc<Changed>> = BTreeMap::new();
        for task in &self.works {
            let Counts { compared, passed_over, cut_short } = found.entry(task.function).or_default();
            let Some(planned) = self.plan.functions.get(task.function) else { continue };
            if stop.load(Ordering::Relaxed) {
                *passed_over += 1;
                continue;
            }
            let place = (task.function, &task.event.partition);
            let store = self.stores.get(&place);
            let state = changed.entry(place).or_insert_with(|| {
                Arc::new(Changed { store: store.cloned().unwrap_or_default(), changes: BTreeMap::new() })
            });
            match self.compare(task, planned, state, stop) {
                Some(one) => compared.push(one),
                None => *cut_short += 1,
            }
            if let Verdict::Apply(effects) = &task.kept.verdict {
                Arc::make_mut(state).changes.extend(effects.changes.iter().cloned());
            }
        }
        found
    }

    /// `None` when the candidate was stopped in the middle of it.
    fn compare(
        &self,
        task: &Task<'_>,
        planned: &Planned,
        state: &Arc<Changed>,
        stop: &Arc<AtomicBool>,
    ) -> Option<Compared> {
        let Task { event, shadow, kept, .. } = task;
        let began = self.clock.now();
        let state: Arc<dyn View> = Arc::<Changed>::clone(state);
        let seed = planned.seed(event);
        let call = Call { event, function: &planned.function, seed, state, stop: Some(Arc::clone(stop)) };
        let outcome = shadow.version.handle(call);
        let is_timed_out = matches!(&outcome, Outcome::Failed(failure) if failure.class == Class::TimedOut);
        if is_timed_out && stop.load(Ordering::Relaxed) {
            return None;
        }
        let candidate_took = self.clock.now().saturating_sub(began);
        // Another try would give the same, so what asks for one is taken as having had the last.
        let retry = crate::app::Retry { attempts: 1, ..planned.function.retry };
        let difference = match decide(checked(self.plan, outcome), 1, &retry) {
            Next::Decided(verdict) => compare::difference(&kept.verdict, &verdict),
            Next::Wait(_) => None,
        };
        let example = difference.map(|(difference, active, candidate)| Example {
            partition: event.partition.clone(),
            offset: event.offset,
            difference,
            active,
            candidate,
        });
        Some(Compared { example, active_took: kept.took, candidate_took })
    }
}

/// What is committed of a store, and over it what the active version changed for the events before.
#[derive(Clone)]
struct Changed {
    store: Arc<Store>,
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl View for Changed {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        match self.changes.get(key) {
            Some(value) => value.as_deref(),
            None => self.store.committed(key),
        }
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        changes: &BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        let of_batch = self.changes.range::<[u8], _>(range(prefix, after));
        let of_batch = of_batch.map(|(key, value)| (key.as_slice(), value.as_deref()));
        self.store.scan_under(of_batch, prefix, after, limit, changes)
    }
}

/// Lets other threads go first. Not by as much as can be: whoever waits for it has to wait until it notices.
fn step_back() {
    #[cfg(target_os = "linux")]
    {
        // On Linux a thread has a priority of its own. Where that is not allowed, it goes with the others.
        if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE) {
            tracing::debug!(%error, "a candidate's thread keeps its priority");
        }
    }
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
