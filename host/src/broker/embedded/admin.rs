//! Topics and positions: what is asked of the broker outside the data path.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::job::{Denied, Work};
use super::shared::Shared;
use super::{keys, log};
use crate::broker::{Error, Progress, Pulse, TopicChange};
use crate::event::Partition;

/// What was said to do nothing here. Bounded by the number of Kafka's keys.
#[derive(Default)]
pub(super) struct Said(Mutex<BTreeSet<String>>);

impl Said {
    /// Says once what a change asks for in vain.
    fn say(&self, change: &TopicChange) {
        let (config, replication) = match change {
            TopicChange::Create { config, replication, .. } => (config, *replication),
            TopicChange::Configure { config, .. } => (config, None),
            TopicChange::Grow { .. } => return,
        };
        let replicas = replication.filter(|replicas| *replicas > 1).map(|_| "replication");
        for key in keys::not_honoured(config).chain(replicas) {
            if self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned()) {
                tracing::warn!(topic = change.topic(), "the embedded broker does nothing about `{key}`");
            }
        }
    }
}

/// Makes one change.
pub(super) fn apply(shared: &Shared, said: &Said, change: &TopicChange) -> Result<(), Error> {
    match shared.ask(Work::Change(change.clone()), &Pulse::default()) {
        Ok(_) => {
            said.say(change);
            Ok(())
        }
        Err(why @ Denied::Unchanged(_)) => {
            let action = match change {
                TopicChange::Create { name, .. } => format!("create topic `{name}`"),
                TopicChange::Grow { name, partitions } => format!("give topic `{name}` {partitions} partitions"),
                TopicChange::Configure { name, .. } => format!("configure topic `{name}`"),
            };
            Err(Error::Refused { action, cause: Box::new(why) })
        }
        Err(other) => Err(shared.error(other, "changing topics")),
    }
}

/// A group's positions against the ends of the topics' partitions.
pub(super) fn progress(shared: &Shared, group: &str, topics: &[&str]) -> Result<Vec<Progress>, Error> {
    let mut ids = BTreeMap::new();
    let catalog = shared.catalog();
    for held in topics.iter().filter_map(|topic| catalog.get(topic)) {
        for number in 0..held.stored.partitions {
            ids.insert(Partition::new(std::sync::Arc::clone(&held.name), number), held.stored.id);
        }
    }
    drop(catalog);
    let read = shared.file.read(|transaction| {
        let positions = log::positions(transaction, group, &ids)?;
        let reader = log::Reader::new(transaction)?;
        let progress = ids.iter().map(|(partition, id)| {
            let bounds = reader.bounds((*id, partition.number))?.unwrap_or_default();
            let position = positions.get(partition).and_then(|position| position.next);
            Ok(Progress { partition: partition.clone(), position, start: bounds.start, end: bounds.end })
        });
        progress.collect()
    });
    read.map_err(|fault| shared.fault(fault))
}
