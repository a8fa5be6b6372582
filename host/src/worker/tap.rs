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
    let mut outputs: Vec<Vec<Arc<str>>> = vec![Vec::new(); handled.works.len()];
    for (record, origin) in transaction.records().iter().zip(origins) {
        // A record with a partition of its own is a change of state.
        if let (Origin::Effect(work), None) = (origin, record.partition)
            && let Some(outputs) = outputs.get_mut(*work)
        {
            outputs.push(Arc::clone(&record.topic));
        }
    }
    let told = handled.works.iter().zip(outputs).filter_map(|(work, outputs)| {
        let (event, planned) = (events.get(work.event)?, plan.functions.get(work.function)?);
        Some(Passed {
            partition: event.partition.clone(),
            offset: event.offset,
            key: event.key.clone(),
            function: planned.function.name.clone(),
            version: work.version,
            outputs,
            failure: match &work.verdict {
                Verdict::Apply(_) => None,
                Verdict::Fail { failure, .. } => Some(failure.clone()),
            },
        })
    });
    told.collect()
}
