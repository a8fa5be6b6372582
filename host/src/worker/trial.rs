//! A batch in which a version on trial failed: was it the version, or the event?
//!
//! What fails by the host's judgement (a trap, a limit, an output that does not fit) may be the fault of a version that was only just
//! deployed. So the batch, of which nothing is visible yet, is handled once more with the version before it. Where that one has no such
//! failure, it was the version: the batch is committed as the one before it handled it, and the version is taken back. Where it fails
//! too, it was the event, which becomes an error event as always.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::batch::{Decided, Handled, Handling, Work};
use super::plan::Plan;
use super::verdict::Verdict;
use super::{Worker, shadow};
use crate::deploy::Active;
use crate::deploy::trial::Blame;
use crate::event::{Class, Event, Failure};
use crate::invocation::Handler;

/// A work that failed under a version on trial.
struct Suspect {
    /// The event's index in the batch.
    event: usize,
    /// The function's index in the plan.
    function: usize,
    /// What was found.
    failure: Failure,
}

/// What the second handling shows.
enum Judgement {
    /// These versions are to blame.
    Versions(Vec<Blame>),
    /// All of the suspects' events fail under the version before as well.
    Events,
    /// The second handling did not come as far as the suspects' events.
    Open,
}

impl Worker {
    /// Handles a batch with `versions`; when some of them failed on trial and are to blame, with those before them, which then stand in
    /// `versions`. What the events are to blame for is added to `decided`.
    pub(super) fn handle(
        &mut self,
        events: &[Event],
        active: &Active,
        versions: &mut Vec<Arc<dyn Handler>>,
        decided: &mut Decided,
    ) -> Handled {
        let parts = self.parts.clone();
        let plan = &parts.plan;
        let shadowed = shadow::shadowed(plan, active);
        loop {
            let (clock, status) = (parts.clock.as_ref(), &parts.status);
            let handling = Handling { plan, versions, decided, clock, status, shadowed: &shadowed };
            let handled = handling.handle(events, &mut self.stores);
            let suspects = suspects(plan, active, versions, decided, &handled);
            if suspects.is_empty() {
                return handled;
            }
            self.undo(events);
            let before = before(plan, active, versions, &suspects);
            let second = Handling { versions: &before, ..handling }.handle(events, &mut self.stores);
            match judge(plan, versions, &suspects, &second) {
                Judgement::Versions(blamed) => blamed.into_iter().for_each(|blame| parts.deploy.blame(blame)),
                Judgement::Open => {}
                Judgement::Events => {
                    // Every round decides an event more, so there are no more rounds than works.
                    self.undo(events);
                    decided.extend(suspects.into_iter().map(|s| ((s.event, s.function), s.failure)));
                    continue;
                }
            }
            *versions = before;
            return second;
        }
    }

    /// What versions on trial have stood.
    pub(super) fn count_trials(&self, active: &Active, handled: &Handled) {
        if active.trials.is_empty() {
            return;
        }
        for (index, planned) in self.parts.plan.functions.iter().enumerate() {
            let events = handled.works.iter().filter(|work| work.function == index).count();
            self.parts.deploy.passed(active, &planned.function.name, u64::try_from(events).unwrap_or(u64::MAX));
        }
    }
}

/// The works that failed under versions on trial, by the host's judgement.
fn suspects(
    plan: &Plan,
    active: &Active,
    versions: &[Arc<dyn Handler>],
    decided: &Decided,
    handled: &Handled,
) -> Vec<Suspect> {
    if active.trials.is_empty() {
        return Vec::new();
    }
    let suspect = |work: &Work| {
        let Verdict::Fail { failure, .. } = &work.verdict else { return None };
        let name = &plan.functions.get(work.function)?.function.name;
        let trial = active.trials.get(name).filter(|trial| !trial.is_over())?;
        let is_on_trial = versions.get(work.function)?.digest() == trial.version;
        let is_decided = decided.contains_key(&(work.event, work.function));
        (is_on_trial && !is_decided && is_of_hosts_making(failure.class)).then(|| Suspect {
            event: work.event,
            function: work.function,
            failure: failure.clone(),
        })
    };
    handled.works.iter().filter_map(suspect).collect()
}

/// The versions with those before them in place of the suspects'.
fn before(plan: &Plan, active: &Active, versions: &[Arc<dyn Handler>], suspects: &[Suspect]) -> Vec<Arc<dyn Handler>> {
    let functions: BTreeSet<usize> = suspects.iter().map(|suspect| suspect.function).collect();
    let before = |(index, version): (usize, &Arc<dyn Handler>)| {
        let name = plan.functions.get(index).map(|planned| &planned.function.name);
        let trial = name.filter(|_| functions.contains(&index)).and_then(|name| active.trials.get(name));
        Arc::clone(trial.map_or(version, |trial| &trial.previous))
    };
    versions.iter().enumerate().map(before).collect()
}

/// Who is to blame, where `second` is what the versions before made of the batch.
fn judge(plan: &Plan, versions: &[Arc<dyn Handler>], suspects: &[Suspect], second: &Handled) -> Judgement {
    let mut blamed = Vec::new();
    let mut is_open = false;
    for suspect in suspects {
        let again = second.works.iter().find(|w| (w.event, w.function) == (suspect.event, suspect.function));
        let fails_again = match again.map(|work| &work.verdict) {
            None => {
                is_open = true;
                continue;
            }
            Some(Verdict::Fail { failure, .. }) => is_of_hosts_making(failure.class),
            Some(Verdict::Apply(_)) => false,
        };
        let (Some(planned), Some(version)) = (plan.functions.get(suspect.function), versions.get(suspect.function))
        else {
            continue;
        };
        let function = &planned.function.name;
        if !fails_again && !blamed.iter().any(|blame: &Blame| blame.function == *function) {
            let reason = format!("{}: {}", suspect.failure.class, suspect.failure.reason);
            blamed.push(Blame { function: function.clone(), version: version.digest(), reason });
        }
    }
    match (blamed.is_empty(), is_open) {
        (false, _) => Judgement::Versions(blamed),
        (true, true) => Judgement::Open,
        (true, false) => Judgement::Events,
    }
}

/// Whether the host found the failure, rather than the function saying so or the broker refusing a record.
fn is_of_hosts_making(class: Class) -> bool {
    !matches!(class, Class::Rejected | Class::RetriesExhausted | Class::PublishRefused)
}
