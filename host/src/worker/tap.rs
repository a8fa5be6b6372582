//! What became of events, told to whoever looks on: `dev` and `demo` show it.
//!
//! A [`Tap`] hears of an event once its transaction is committed, from the worker's own thread, so it must not wait.
//! Without one nothing is collected.

use std::sync::Arc;

use super::batch::Handled;
use super::plan::Plan;
use super::transaction::Origin;
use super::verdict::Verdict;
use crate::broker::Transaction;
use crate::event::{Digest, Event, Failure, Offset, Partition};

/// One event that a function handled.
#[derive(Clone, Debug)]
pub struct Passed {
    /// Where it lies.
    pub partition: Partition,
    /// Its offset there.
    pub offset: Offset,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Which function.
    pub function: String,
    /// Which version of it.
    pub version: Digest,
    /// The topics of its outputs, in their order.
    pub outputs: Vec<Arc<str>>,
    /// How many keys of its state it changed for good: another event of the same transaction may have changed them once more.
    pub changes: usize,
    /// Why it became an error event, if it did.
    pub failure: Option<Failure>,
}

/// Told of what is committed.
pub trait Tap: Send + Sync {
    /// The events of one transaction, in their order.
    fn passed(&self, events: Vec<Passed>);
}

/// What a committed batch is to be told as.
pub(super) fn passed(
    plan: &Plan,
    events: &[Event],
    handled: &Handled,
    transaction: &Transaction,
    origins: &[Origin],
) -> Vec<Passed> {
    let mut effects: Vec<(Vec<Arc<str>>, usize)> = vec![(Vec::new(), 0); handled.works.len()];
    for (record, origin) in transaction.records().iter().zip(origins) {
        let Origin::Effect(work) = origin else { continue };
        let Some((outputs, changes)) = effects.get_mut(*work) else { continue };
        match record.partition {
            None => outputs.push(Arc::clone(&record.topic)),
            // A record with a partition of its own is a change of state.
            Some(_) => *changes += 1,
        }
    }
    let told = handled.works.iter().zip(effects).filter_map(|(work, (outputs, changes))| {
        let (event, planned) = (events.get(work.event)?, plan.functions.get(work.function)?);
        Some(Passed {
            partition: event.partition.clone(),
            offset: event.offset,
            key: event.key.clone(),
            function: planned.function.name.clone(),
            version: work.version,
            outputs,
            changes,
            failure: match &work.verdict {
                Verdict::Apply(_) => None,
                Verdict::Fail { failure, .. } => Some(failure.clone()),
            },
        })
    });
    told.collect()
}
