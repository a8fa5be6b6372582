//! A batch's transaction, handed in, and what becomes of its events: applied, undone, or some of them refused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::batch::{Decided, Handled};
use super::meters::Size;
use super::transaction::Origin;
use super::verdict::Verdict;
use super::{Ended, Worker};
use crate::admin::metrics::{self, Part, TransactionResult};
use crate::broker::{CommitError, Committed, Transaction};
use crate::event::{Class, Event, Failure, Partition};

/// How often the same transaction is handed in before the worker polls again.
const AGAIN_MAX: u32 = 10;
/// How long to wait before the same transaction is handed in again.
const AGAIN_WAIT: Duration = Duration::from_millis(100);

impl Worker {
    /// Hands a transaction in until the broker has an answer other than to hand it in again.
    pub(super) fn commit(&mut self, transaction: &Transaction) -> Result<Committed, CommitError> {
        for round in 1.. {
            let began = self.parts.clock.now();
            let result = self.membership.commit(transaction);
            let took = self.parts.clock.now().saturating_sub(began);
            self.parts.metrics.transaction(took, sort_result(&result));
            match result {
                // Whatever stands in the way may last: the group and whoever wants this host to end come first.
                Err(CommitError::Again { cause }) if round >= AGAIN_MAX => return Err(CommitError::Stale { cause }),
                Err(CommitError::Again { cause }) => {
                    tracing::warn!(group = self.parts.plan.group, cause = %cause, "the transaction was undone, handing it in again");
                    self.parts.clock.sleep(AGAIN_WAIT);
                }
                other => return other,
            }
        }
        Err(CommitError::Stale { cause: "no more rounds".into() })
    }

    /// The batch is committed: its state is the truth, its positions are ours.
    pub(super) fn applied(&mut self, events: &[Event], handled: &Handled, committed: &Committed) {
        if let Some(steps) = committed.steps {
            let parts = [
                (Part::Begin, steps.begin),
                (Part::Offsets, steps.offsets),
                (Part::Deliver, steps.deliver),
                (Part::Commit, steps.commit),
            ];
            parts.into_iter().for_each(|(part, took)| self.parts.metrics.part(part, took));
        }
        let now_ms = self.parts.clock.wall_ms();
        for work in &handled.works {
            let (Some(event), Some(planned)) = (events.get(work.event), self.parts.plan.functions.get(work.function))
            else {
                continue;
            };
            planned.metrics.event(match &work.verdict {
                Verdict::Apply(_) => metrics::Verdict::Applied,
                Verdict::Fail { failure, .. } => metrics::Verdict::Failed(failure.class),
            });
            if let Some(written_ms) = event.timestamp_ms {
                planned.metrics.latency(Duration::from_millis(now_ms.saturating_sub(written_ms)));
            }
            if let Some(store) = self.stores.get_mut(&(work.function, event.partition.clone()))
                && store.changes().next().is_some()
            {
                let changelog = planned.changelogs.get(&event.partition.topic);
                let end = changelog.and_then(|name| {
                    committed.ends.get(&Partition::new(Arc::clone(name), event.partition.number)).copied()
                });
                let before = Size::of(store);
                Arc::make_mut(store).apply(end, event.offset + 1);
                self.meters.changed(work.function, before, Size::of(store));
            }
        }
        self.meters.end(events.get(..handled.events).unwrap_or(events));
        for event in events.iter().take(handled.events) {
            if let Some(position) = self.owned.get_mut(&event.partition) {
                *position = Some(event.offset + 1);
            }
            self.settle.add(event.partition.clone());
        }
    }

    pub(super) fn undo(&mut self, events: &[Event]) {
        let partitions: BTreeSet<&Partition> = events.iter().map(|event| &event.partition).collect();
        for ((_, partition), store) in &mut self.stores {
            if partitions.contains(partition) {
                Arc::make_mut(store).undo();
            }
        }
    }

    /// Finds the events whose records the broker will never take. Returns whether a partition had to be stopped.
    pub(super) fn refuse(
        &mut self,
        events: &[Event],
        handled: &Handled,
        origins: &[Origin],
        refused: &[(usize, String)],
        decided: &mut Decided,
    ) -> Result<bool, Ended> {
        let mut stopped = false;
        for (record, reason) in refused {
            let origin = origins.get(*record);
            let (index, is_error_event) = match origin {
                Some(Origin::Effect(work)) => (*work, false),
                Some(Origin::ErrorEvent(work)) => (*work, true),
                None => continue,
            };
            let Some(work) = handled.works.get(index) else { continue };
            if !is_error_event {
                decided.insert((work.event, work.function), Failure::new(Class::PublishRefused, reason.clone()));
                continue;
            }
            let Some(event) = events.get(work.event) else { continue };
            let partition = event.partition.clone();
            tracing::error!(
                %partition, offset = event.offset, reason,
                "the broker refuses the error event of an event; the partition is stopped. Raise `max-message` of the topic \
                 `error` in app.toml, run `fnhost topics apply`, and start this host again",
            );
            self.membership.pause(std::slice::from_ref(&partition))?;
            self.stopped
                .insert(partition, format!("the error event for offset {} was refused: {reason}", event.offset));
            stopped = true;
        }
        self.parts.status.set_stopped(self.stopped.clone());
        Ok(stopped)
    }
}

fn sort_result(result: &Result<Committed, CommitError>) -> TransactionResult {
    match result {
        Ok(_) => TransactionResult::Committed,
        Err(CommitError::Again { .. }) => TransactionResult::Again,
        Err(CommitError::Stale { .. }) => TransactionResult::Stale,
        Err(CommitError::Refused { .. }) => TransactionResult::Refused,
        Err(CommitError::Over { .. } | CommitError::Broken(_)) => TransactionResult::Over,
    }
}
