//! Topics and positions: what is asked of the broker outside the data path.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use super::job::{Denied, Work};
use super::shared::Shared;
use super::{keys, log};
use crate::broker::{Error, Progress, Pulse, TopicChange};
use crate::event::Partition;
use crate::sync::lock;

/// What was said to do nothing here. Bounded by the number of Kafka's keys.
#[derive(Default)]
pub(super) struct Said(Mutex<BTreeSet<String>>);

impl Said {
    /// What a change asks for in vain, and was not asked for before.
    fn news(&self, change: &TopicChange) -> Vec<String> {
        let (config, replication) = match change {
            TopicChange::Create { config, replication, .. } => (config, *replication),
            TopicChange::Configure { config, .. } => (config, None),
            TopicChange::Grow { .. } => return Vec::new(),
        };
        let replicas = replication.filter(|replicas| *replicas > 1).map(|_| "replication");
        let mut said = lock(&self.0);
        let asked = keys::not_honoured(config).chain(replicas).map(str::to_owned);
        asked.filter(|key| said.insert(key.clone())).collect()
    }
}

/// Makes one change.
pub(super) fn apply(shared: &Shared, said: &Said, change: &TopicChange) -> Result<(), Error> {
    match shared.ask(Work::Change(change.clone()), &Pulse::default()) {
        Ok(_) => {
            for key in said.news(change) {
                tracing::warn!(topic = change.topic(), "the embedded broker does nothing about `{key}`");
            }
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
            ids.insert(Partition::new(Arc::clone(&held.name), number), held.stored.id);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_in_vain_is_said_once() {
        let create = |name: &str, replication, config: &[(&str, &str)]| TopicChange::Create {
            name: name.to_owned(),
            partitions: 1,
            replication,
            config: config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        };
        let said = Said::default();
        let first = create("a", Some(3), &[("min.insync.replicas", "2"), ("retention.ms", "5")]);
        assert_eq!(said.news(&first), ["min.insync.replicas", "replication"]);
        let second = create("b", Some(3), &[("min.insync.replicas", "2"), ("segment.ms", "5")]);
        assert_eq!(said.news(&second), ["segment.ms"]);
        assert_eq!(said.news(&create("c", Some(1), &[])), [""; 0]);
    }
}
