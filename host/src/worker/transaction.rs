//! From a handled batch to one [`Transaction`], and from a refused record back to whose it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Stores;
use super::batch::Handled;
use super::descent;
use super::error_event::{self, Provenance};
use super::plan::Plan;
use super::verdict::Verdict;
use crate::broker::{Position, Transaction};
use crate::deploy;
use crate::deploy::book::Number;
use crate::event::{Digest, Event, Header, Output, Partition, Record, trace};

/// The layout of changelog records. Hosts refuse to restore another one.
pub const CHANGELOG_FORMAT: &[u8] = b"1";
/// The header that carries it.
pub const CHANGELOG_FORMAT_HEADER: &str = "fnhost-format";

/// Whose record it is, by its index among the works of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An output or a state change.
    Effect(usize),
    /// An error event.
    ErrorEvent(usize),
}

/// A transaction and where its records come from.
pub struct Built {
    /// To be committed; `None` when no event was handled.
    pub transaction: Option<Transaction>,
    /// One for each record.
    pub origins: Vec<Origin>,
}

/// Puts everything that a batch wants visible into one transaction: outputs and error events in the order of the events,
/// then one record for every key of state that changed, then the position of every partition touched, with the deployment `number` that
/// the batch was handled under. Empties the outputs.
///
/// # Errors
/// An error event that cannot be written as JSON.
pub fn build(
    plan: &Plan,
    events: &[Event],
    handled: &mut Handled,
    stores: &Stores,
    number: Number,
) -> serde_json::Result<Built> {
    let mut records = Vec::new();
    let mut origins = Vec::new();
    let mut touched: BTreeSet<(usize, &Partition)> = BTreeSet::new();
    for (index, work) in handled.works.iter_mut().enumerate() {
        let Some(event) = events.get(work.event) else { continue };
        touched.insert((work.function, &event.partition));
        let Some(planned) = plan.functions.get(work.function) else { continue };
        let name = planned.function.name.as_str();
        let carried = trace::carried(event, name);
        let mark = descent::mark(event, planned);
        match &mut work.verdict {
            Verdict::Apply(effects) => {
                for output in std::mem::take(&mut effects.outputs) {
                    records.push(published(output, work.version, &carried, mark.as_ref()));
                    origins.push(Origin::Effect(index));
                }
            }
            Verdict::Fail { failure, attempts } => {
                let by = Provenance {
                    app: &plan.app,
                    function: name,
                    version: work.version,
                    instance: &plan.instance,
                    attempts: *attempts,
                    failed_at_ms: work.failed_at_ms,
                    carried: &carried,
                };
                let mut record = error_event::record(&plan.error_topic, event, failure, &by)?;
                record.headers.extend(mark);
                records.push(record);
                origins.push(Origin::ErrorEvent(index));
            }
        }
    }
    for (function, partition) in touched {
        let changelog = plan.functions.get(function).and_then(|p| p.changelogs.get(&partition.topic));
        let (Some(changelog), Some(store)) = (changelog, stores.get(&(function, partition.clone()))) else { continue };
        for (key, value, origin) in store.changes() {
            records.push(change(changelog, partition.number, key, value));
            origins.push(Origin::Effect(origin));
        }
    }
    Ok(Built {
        transaction: Transaction::new(positions(events, handled.events, &deploy::note(number)), records),
        origins,
    })
}

/// The next offset of each partition after the first `handled` events, and the deployment that they were handled under.
fn positions(events: &[Event], handled: usize, note: &str) -> BTreeMap<Partition, Position> {
    let mut positions: BTreeMap<Partition, Position> = BTreeMap::new();
    for event in events.iter().take(handled) {
        let next = Some(event.offset + 1);
        match positions.get_mut(&event.partition) {
            Some(position) => position.next = next,
            None => drop(positions.insert(event.partition.clone(), Position { next, note: note.to_owned() })),
        }
    }
    positions
}

fn published(output: Output, version: Digest, carried: &[Header], mark: Option<&Header>) -> Record {
    let Output { topic, key, value, mut headers } = output;
    // Nobody else says it.
    headers.retain(|header| header.name != error_event::VERSION_HEADER && !descent::is_mark(header));
    headers.push(error_event::version_header(version));
    headers.extend(mark.cloned());
    // A function that says itself which trace it is in is left alone.
    if !headers.iter().any(|header| header.name == trace::TRACEPARENT) {
        headers.extend_from_slice(carried);
    }
    Record { topic, partition: None, key, value, headers }
}

fn change(changelog: &Arc<str>, number: i32, key: &[u8], value: Option<&[u8]>) -> Record {
    let format = Header { name: CHANGELOG_FORMAT_HEADER.to_owned(), value: Some(CHANGELOG_FORMAT.to_vec()) };
    Record {
        topic: Arc::clone(changelog),
        partition: Some(number),
        key: Some(key.to_vec()),
        value: value.map(<[u8]>::to_vec),
        headers: vec![format],
    }
}
